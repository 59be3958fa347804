"""One pass over a source: its rows are judged, prepared and settled against what the lake knows. Stores nothing itself."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from demlopment.data import contract, transform
from demlopment.data.known import HALVES, KEY, Known
from demlopment.data.sources import Source

CONTRADICTED = "the same pixels are already labelled "  # by the label that stands after it


@dataclass(frozen=True)
class Added:
    """What became of the rows of one source: rows = added + known + rejected."""

    rows: int
    added: int
    known: int  # already in the lake, twice in the source, or bad and put right or dropped since
    rejected: int  # rows that are in quarantine, since now or since they were first seen
    quarantined: Mapping[str, int]  # reason -> rows; a row with two reasons counts under both

    def without(self, gone: pl.DataFrame) -> "Added":
        """The same where those of the rejected rows have left quarantine before."""
        reasons = Counter(self.quarantined) - told(gone)
        return replace(self, known=self.known + len(gone), rejected=self.rejected - len(gone), quarantined=dict(reasons))


def told(bad: pl.DataFrame) -> Counter[str]:
    """How many bad rows have each reason."""
    return Counter(reason for joined in bad["reasons"] for reason in joined.split(contract.SEPARATOR))


class Intake:
    """Give `fresh` to a table, and ask `added` when it has been read to its end.

    known   the rows of the lake; what is fresh is added to it
    judged  the labels that people gave some of them (key, label)
    reject  is given each batch's bad rows, with their `reasons`
    heard   is told how many rows have been read
    """

    def __init__(
        self,
        classes: Sequence[str],
        known: Known,
        judged: pl.DataFrame,
        source: Source,
        reject: Callable[[pl.DataFrame], None],
        heard: Callable[[int], None],
        width: int = 0,  # columns of the table, where the lake keeps one
    ) -> None:
        self._width = width
        self._classes, self._known, self._source = classes, known, source
        self._reviewed = judged.select(*HALVES, truth=pl.col("label"))
        self._reject, self._heard = reject, heard
        self._rows = self._fresh = self._rejected = 0
        self._reasons: Counter[str] = Counter()

    def fresh(self) -> Iterator[pl.DataFrame]:
        """The curated rows that the lake does not hold yet, a batch at a time."""
        # Nothing of a batch is kept here while the next is read: its pictures may be large.
        yield from (settled for settled in map(self._judged, self._source.batches()) if not settled.is_empty())

    def added(self) -> Added:
        """The count of everything so far."""
        known = self._rows - self._rejected - self._fresh
        return Added(self._rows, self._fresh, known, self._rejected, dict(sorted(self._reasons.items())))

    def _judged(self, batch: pl.DataFrame) -> pl.DataFrame:
        """What is fresh of a batch; its bad rows are rejected, and all are counted."""
        good, bad = contract.screen(batch, self._classes, self._width)
        curated, read, unread = transform.curate(good)
        settled, conflicts = self._settle(curated, read)
        rejected = pl.concat([transform.explained(bad), unread.select(bad.columns), conflicts.select(bad.columns)])
        if not rejected.is_empty():
            self._reject(rejected)
        self._reasons += told(rejected)
        self._rows += len(batch)
        self._fresh += len(settled)
        self._rejected += len(rejected)
        self._heard(self._rows)
        return settled

    def _settle(self, curated: pl.DataFrame, read: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """One row for each picture of a source that is not known; and, as they came, those that contradict its first label."""
        named = curated.with_columns(*HALVES, place=pl.row_index())
        met = self._known.met(named.select(KEY).unique(maintain_order=True))
        labelled = pl.concat([met.select(*KEY, "label"), named.select(*KEY, "label")])
        first = labelled.unique(KEY, keep="first", maintain_order=True).rename({"label": "first"})
        met_before = named.join(first, on=KEY, maintain_order="left").join(
            self._reviewed, on=KEY, how="left", maintain_order="left"
        )
        # A label that a person has put in the place of the first is as good; the first stays what its source said.
        agrees = (pl.col("label") == pl.col("first")) | (pl.col("label") == pl.col("truth")).fill_null(value=False)
        against = met_before.filter(~agrees)
        reasons = against.select(reasons=pl.format(f"{CONTRADICTED}{{}}", pl.col("first")))
        conflicts = read[against["place"]].with_columns(reasons["reasons"])
        agreed = met_before.filter(agrees).unique((*KEY, "source"), keep="first", maintain_order=True)
        fresh = agreed.join(met, on=(*KEY, "source"), how="anti", maintain_order="left")
        self._known.learn(fresh)
        return fresh.select(transform.CURATED), conflicts
