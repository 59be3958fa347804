"""Which pictures the lake has met, and under which labels and sources: an index of their keys that grows as rows come.

Sorted runs, of which equally large ones become one, so that a batch is looked up in a few binary searches and neither
time nor memory is spent on what it does not meet. 20 bytes a row: of what the table holds nothing else stays in memory.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

# A key's 256 bits as two numbers of 64: half of it tells rows apart as surely as the whole, in an eighth of the memory.
HALVES = (
    pl.col("key").str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64).alias("high"),
    pl.col("key").str.slice(16, 16).str.to_integer(base=16, dtype=pl.UInt64).alias("low"),
)
KEY = ("high", "low")
LONGEST = 1 << 18  # rows of a run: making one of two takes as much memory again, 10 MB; two million rows are eight

Halves = npt.NDArray[np.uint64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Run:
    """Rows sorted by the first half of their keys, those with the same one in the order in which they came."""

    high: Halves  # (n,)
    low: Halves  # (n,)
    said: npt.NDArray[np.uint32]  # (n,) the place of the row's label and source among all that were met

    def __len__(self) -> int:
        return len(self.high)

    @classmethod
    def of(cls, high: Halves, low: Halves, said: npt.NDArray[np.uint32]) -> "Run":
        """Rows in the order in which they came."""
        order = np.argsort(high, kind="stable")  # of two sorted runs numpy's is a merge
        return cls(high[order], low[order], said[order])

    def after(self, earlier: "Run") -> "Run":
        """Both as one; of rows with one key the earlier run's stand first."""
        return Run.of(*(np.concatenate(pair) for pair in zip(earlier._columns(), self._columns(), strict=True)))

    def find(self, high: Halves, low: Halves) -> tuple[Places, npt.NDArray[np.uint32]]:
        """Of the keys that are here: the place of each in `high`, and what was said; a key comes as often as it is here."""
        start = np.searchsorted(self.high, high, "left")
        count = np.searchsorted(self.high, high, "right") - start
        asked = np.repeat(np.arange(len(high)), count)
        within = np.arange(len(asked)) - np.repeat(np.cumsum(count) - count, count)
        found = np.repeat(start, count) + within
        same = self.low[found] == low[asked]
        return asked[same], self.said[found[same]]

    def _columns(self) -> tuple[npt.NDArray[np.unsignedinteger], ...]:
        return self.high, self.low, self.said


class Known:
    """Rows by their keys. Of several rows with one key the first that was learnt is met first."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._pairs: dict[tuple[str, str], int] = {}  # (label, source) -> its place

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def learn(self, rows: pl.DataFrame) -> None:
        """Add rows with `high`, `low`, `label` and `source`, whether they are known or not."""
        if rows.is_empty():
            return
        pairs = rows.select("label", "source").unique(maintain_order=True)
        for pair in pairs.iter_rows():
            self._pairs.setdefault(pair, len(self._pairs))
        numbered = pairs.with_columns(said=pl.Series([self._pairs[pair] for pair in pairs.iter_rows()], dtype=pl.UInt32))
        said = rows.select("label", "source").join(numbered, on=("label", "source"), maintain_order="left")["said"]
        run = Run.of(rows["high"].to_numpy(), rows["low"].to_numpy(), said.to_numpy())
        while self._runs and len(self._runs[-1]) <= min(2 * len(run), LONGEST - len(run)):
            run = run.after(self._runs.pop())
        self._runs.append(run)

    def met(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The rows that have one of the keys, given and returned as `high` and `low`, with their `label` and `source`."""
        high, low = (keys[half].to_numpy() for half in KEY)
        asked, said = [np.empty(0, np.intp)], [np.empty(0, np.uint32)]
        for run in self._runs:
            places, numbers = run.find(high, low)
            asked.append(places)
            said.append(numbers)
        pairs = pl.DataFrame(list(self._pairs), schema={"label": pl.String, "source": pl.String}, orient="row")
        return pl.concat([keys.select(KEY)[np.concatenate(asked)], pairs[np.concatenate(said)]], how="horizontal")
