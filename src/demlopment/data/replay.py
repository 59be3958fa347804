"""The rows in quarantine as a source, with their corrections: which of them have become good, and may leave. Adds nothing.

A row leaves only once the lake has it. Killed before, it is judged again; killed after, it is known, and leaves then.
"""

from collections.abc import Iterator, Mapping

import polars as pl

from demlopment.data.contract import FILE, GREY, KEPT, ROW
from demlopment.data.corrections import RECORDED, Corrections
from demlopment.data.quarantine import QUARANTINE, Quarantine, named
from demlopment.errors import DataError

SHOWN = 3  # names that an error lists
NONE_BAD = pl.DataFrame(schema={"again": pl.String, "now": pl.String})
NONE_HELD = pl.DataFrame(schema=dict.fromkeys(("name", "label", "reasons"), pl.String))
NONE_SAID = pl.DataFrame(schema={**dict.fromkeys(RECORDED, pl.String), "row": pl.Int64})


class Replay:
    """A source for one intake; `leave` when what it found good has been added.

    The names of the rows that leave, and what has changed of the others, are held in memory: 100 bytes a row.
    """

    def __init__(self, quarantine: Quarantine, corrections: Corrections) -> None:
        self._quarantine, self._corrections = quarantine, corrections
        self._begin()
        self._bad = NONE_BAD  # of the batch that is with the intake, with their reasons now
        self._refuse_unknown()

    @property
    def name(self) -> str:
        """As Source."""
        return QUARANTINE

    @property
    def sha256(self) -> str:
        """Of the file of corrections, "" where there is none."""
        return self._corrections.sha256

    @property
    def rows(self) -> int | None:
        """As Source."""
        return None

    @property
    def note(self) -> Mapping[str, str]:
        """What the commit of the good rows says beside its run: the table `corrections` has the rows of that file."""
        return {"corrections": self.sha256, "corrected": str(len(self._corrections.labels))} if self.sha256 else {}

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source. Whoever asks for the next batch has judged the one before."""
        self._begin()
        for held in self._quarantine.slices():
            # What its source could not read is read anew with the source, and a review is neither picture nor row.
            rows = self._corrected(held.drop("place").filter(pl.col("format").is_in([GREY, FILE, ROW])))
            self._bad = NONE_BAD
            yield rows.select(*KEPT, place=pl.lit(None, pl.String), fault=pl.lit(None, pl.String))
            self._settle(rows)

    def reject(self, bad: pl.DataFrame) -> None:
        """Hear which rows of the batch are bad still."""
        self._bad = named(bad).select(again="name", now="reasons").unique("again")

    def leave(self) -> None:
        """Let the good rows out of quarantine, and give the others the labels and reasons that they have now."""
        self._quarantine.corrected.record(pl.concat(self._said))
        self._quarantine.release(pl.concat(self._leaving))
        self._quarantine.amend(pl.concat(self._amended))

    def _begin(self) -> None:
        self._said, self._leaving, self._amended = [NONE_SAID], [NONE_HELD["name"]], [NONE_HELD]

    def _corrected(self, held: pl.DataFrame) -> pl.DataFrame:
        """The rows with the labels that were said to be true, and the names that they would have with these."""
        labels = self._corrections.labels
        said = pl.Series("said", [labels.get(name) for name in held["name"]], pl.String)
        rows = held.rename({"name": "held"}).with_columns(said, former="label", label=pl.coalesce(said, "label"))
        return named(rows).rename({"name": "again"})

    def _settle(self, rows: pl.DataFrame) -> None:
        judged = rows.join(self._bad, on="again", how="left").with_columns(file=pl.lit(self.sha256))
        good, said = pl.col("now").is_null(), pl.col("said").is_not_null()
        self._leaving.append(judged.filter(good)["held"])
        self._said.append(judged.filter(said).drop("label").rename({"held": "name", "said": "label"}).select(RECORDED))
        other = (pl.col("now") != pl.col("reasons")) | pl.col("label").ne_missing(pl.col("former"))
        self._amended.append(judged.filter(~good & other).select("label", name="held", reasons="now").select(NONE_HELD.columns))

    def _refuse_unknown(self) -> None:
        """Raise DataError for corrections of rows that are not here, and have not left with the same label before."""
        labels = self._corrections.labels
        here = set(self._quarantine.found(pl.col("name").is_in(list(labels)), ("name",))["name"]) if labels else set()
        left = self._quarantine.corrected.among(list(labels))
        unknown = sorted(name for name, label in labels.items() if name not in here and left.get(name) != label)
        if unknown:
            shown = ", ".join(unknown[:SHOWN]) + (f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else "")
            raise DataError(
                f"{self._corrections.file} names rows that are not in quarantine: {shown}.",
                "Take the names from `demlopment data quarantine --export FOLDER`.",
            )
