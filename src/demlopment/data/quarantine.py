"""The bad rows: a table of them as they came, each with every reason it failed. Judges none, and knows no example."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields

import polars as pl

from demlopment.data import transform
from demlopment.data.contract import JUDGED, RAW, SEPARATOR
from demlopment.data.corrections import RECORDED, Corrected
from demlopment.data.sources import BATCH
from demlopment.data.sources.spoiled import planted_in
from demlopment.data.tables import TableStore

QUARANTINE = "quarantine"
PLACE = pl.lit(None, pl.String).alias("place")  # of rows that have none, and of a table of an earlier release
HELD = pl.Schema({**{name: RAW[name] for name in JUDGED}, "reasons": pl.String(), "name": pl.String()})
ALL = pl.lit(True)  # noqa: FBT003  polars' way to say it


@dataclass(frozen=True)
class Quarantined:
    """One bad row, kept with every reason it failed."""

    image: bytes | None  # as it came
    format: str
    label: str | None
    writer: str | None
    reasons: tuple[str, ...]
    source: str
    origin: str
    row: int


class Quarantine:
    """The table `quarantine` of one store, and beside it which rows were corrected and have left it."""

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self.corrected = Corrected(store)

    def reject(self, bad: pl.DataFrame) -> pl.DataFrame:
        """Keep bad rows with their `reasons`, and return those that were corrected or dropped: these are not kept again."""
        fresh = named(bad)
        said = pl.col("name").is_in(list(self.corrected.among(fresh["name"].to_list())))
        self._store.insert(QUARANTINE, fresh.filter(said.not_()), by=("name",), note={})
        corrected = fresh.filter(said)
        here = self.found(pl.col("name").is_in(corrected["name"].to_list()), ("name",)) if len(corrected) else corrected
        return corrected.join(here, on="name", how="anti")

    def rows(self) -> tuple[Quarantined, ...]:
        """Every bad row, by source and position."""
        rows = self.found(ALL, [field.name for field in fields(Quarantined)])
        return tuple(
            Quarantined(**(row | {"reasons": tuple(row["reasons"].split(SEPARATOR))}))
            for row in rows.sort("source", "origin", "row", nulls_last=True).to_dicts()
        )

    def found(self, where: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
        """These columns of the bad rows `where` it is true, in no order."""
        if not self._store.exists(QUARANTINE):
            return pl.DataFrame(schema=HELD).select(columns)
        return self._store.read(QUARANTINE, columns=columns, where=where)

    def slices(self) -> Iterator[pl.DataFrame]:
        """Every bad row, a batch at a time."""
        return map(_placed, self._store.slices(QUARANTINE, BATCH))

    def amend(self, rows: pl.DataFrame) -> None:
        """Give bad rows another `label` and other `reasons`, told by their `name`."""
        for some in rows.iter_slices(BATCH):
            self._store.amend(QUARANTINE, some, by="name", note={})

    def release(self, names: pl.Series) -> int:
        """Remove bad rows by their names, and return how many they were."""
        batches = (names[start : start + BATCH].to_list() for start in range(0, len(names), BATCH))
        return sum(self._store.remove(QUARANTINE, "name", each, note={}) for each in batches)

    def drop(self, where: pl.Expr) -> int:
        """Remove the bad rows `where` it is true, and return how many they were; their source does not bring them back.

        Cut off anywhere it is simply repeated.
        """
        rows = self.found(where, [name for name in RECORDED if name not in ("former", "file")])
        said = rows.with_columns(label=pl.lit(None, pl.String), former="label", file=pl.lit(""))
        self.corrected.record(said)
        return self.release(rows["name"])

    def forget(self, column: str, value: str, digests: Collection[str]) -> int:
        """Remove the rows with that value, and those whose picture has one of the digests, as it came or prepared.

        Of a source also those that were planted in it, which are made of one of its pictures.
        """
        planted = pl.col("origin") == planted_in(value) if column == "source" else pl.lit(False)  # noqa: FBT003
        gone = [pl.Series("name", [], pl.String)]
        for some in self.slices():
            theirs = (pl.col(column) == value).fill_null(value=False) if column in HELD else pl.lit(False)  # noqa: FBT003
            gone.append(some.filter(_showing(some, digests) | theirs | planted)["name"])
        names = pl.concat(gone)
        self.corrected.drop(names.to_list())  # first: as long as the rows are here, it is known which they are
        if column == "source":
            self.corrected.drop_source(value)
        return self.release(names)


def named(bad: pl.DataFrame) -> pl.DataFrame:
    """Bad rows, each named by where it stood and what it held, so that seeing it again adds nothing.

    One that has a `place` is named by that, whatever has come to stand before it; of one without a picture its origin is
    the list it stood in, which grows too.
    """
    rows = _placed(bad)
    held = rows.select("source", "origin", "row", "label", "image", "place").iter_rows()
    names = pl.Series("name", [hashlib.sha256(repr(_meaning(*row)).encode()).hexdigest() for row in held], pl.String)
    return rows.with_columns(names)


def _placed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows if "place" in rows.columns else rows.with_columns(PLACE)


def _meaning(
    source: str, origin: str, row: int, label: str | None, image: bytes | None, place: str | None
) -> tuple[str | int | bytes | None, ...]:
    """What a name is made of."""
    if place is None:
        return source, origin, row, label, image
    return source, origin if image is not None else None, place, label, image


def _showing(rows: pl.DataFrame, digests: Collection[str]) -> pl.Series:
    pictures = rows["image"].fill_null(b"")
    both = zip(pictures, transform.prepared(pictures.to_list(), rows["format"].fill_null("")), strict=True)
    return pl.Series(
        [any(isinstance(each, bytes) and hashlib.sha256(each).hexdigest() in digests for each in pair) for pair in both],
        dtype=pl.Boolean,
    )
