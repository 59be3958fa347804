"""Which pictures the lake has met, and under which labels and sources: an index of their keys that grows as rows come.

Sorted runs, of which equally large ones become one, so that a batch is looked up in a few binary searches and neither
time nor memory is spent on what it does not meet. Long ones go to disk, where nobody else sees them and nothing is left of
them when the process ends: 4 bytes a row stay in memory, of what the table holds nothing else.
"""

import os
import tempfile
from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt
import polars as pl

from demlopment.errors import HomeError

# A key's 256 bits as two numbers of 64: half of it tells rows apart as surely as the whole, in an eighth of the memory.
HALVES = (
    pl.col("key").str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64).alias("high"),
    pl.col("key").str.slice(16, 16).str.to_integer(base=16, dtype=pl.UInt64).alias("low"),
)
KEY = ("high", "low")
LONGEST = 1 << 18  # rows of a run: making one of two takes as much memory again, 10 MB; two million rows are some ten
ROOM = "Free some space there, or set TMPDIR to a folder on another disk."  # what to do where a temporary file finds none
RECORD = np.dtype([("high", np.uint64), ("low", np.uint64), ("said", np.uint32)])  # a row on disk, 20 bytes
FIRST = np.uint64(32)  # bits of a key that stay in memory of a row on disk: two of a run have the same once in 16,000

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
        asked, found = _equal(self.high, high)
        same = self.low[found] == low[asked]
        return asked[same], self.said[found[same]]

    def _columns(self) -> tuple[npt.NDArray[np.unsignedinteger], ...]:
        return self.high, self.low, self.said


class Shelved:
    """A run that grows no more, in a file."""

    def __init__(self, run: Run, file: IO[bytes]) -> None:
        """Raises OSError where the disk is full."""
        rows = np.empty(len(run), RECORD)
        rows["high"], rows["low"], rows["said"] = run.high, run.low, run.said
        self._file, self._offset = file, file.tell()
        file.write(rows.tobytes())
        file.flush()
        self._firsts = (run.high >> FIRST).astype(np.uint32)

    def __len__(self) -> int:
        return len(self._firsts)

    def find(self, high: Halves, low: Halves) -> tuple[Places, npt.NDArray[np.uint32]]:
        """As Run.find: only rows whose first bits are the same are read."""
        asked, found = _equal(self._firsts, (high >> FIRST).astype(np.uint32))
        offsets = (self._offset + found * RECORD.itemsize).tolist()
        rows = np.frombuffer(b"".join(os.pread(self._file.fileno(), RECORD.itemsize, offset) for offset in offsets), RECORD)
        same = (rows["high"] == high[asked]) & (rows["low"] == low[asked])
        return asked[same], rows["said"][same]


class Known:
    """Rows by their keys. Of several rows with one key the first that was learnt is met first. Close it when it is done."""

    def __init__(self) -> None:
        self._shelved: list[Shelved] = []
        self._runs: list[Run] = []  # learnt after those
        self._file: IO[bytes] | None = None
        self._pairs: dict[tuple[str, str], int] = {}  # (label, source) -> its place

    def __len__(self) -> int:
        return sum(map(len, self._all()))

    def learn(self, rows: pl.DataFrame) -> None:
        """Add rows with `high`, `low`, `label` and `source`, whether they are known or not.

        Raises HomeError where the folder for temporary files has no room for what is not in memory.
        """
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
        if len(run) > LONGEST // 2:  # the next will hardly become one with it
            self._shelve()

    def close(self) -> None:
        """Let go of the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def met(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The rows that have one of the keys, given and returned as `high` and `low`, with their `label` and `source`."""
        high, low = (keys[half].to_numpy() for half in KEY)
        asked, said = [np.empty(0, np.intp)], [np.empty(0, np.uint32)]
        for run in self._all():
            places, numbers = run.find(high, low)
            asked.append(places)
            said.append(numbers)
        pairs = pl.DataFrame(list(self._pairs), schema={"label": pl.String, "source": pl.String}, orient="row")
        return pl.concat([keys.select(KEY)[np.concatenate(asked)], pairs[np.concatenate(said)]], how="horizontal")

    def _all(self) -> list[Shelved | Run]:
        return [*self._shelved, *self._runs]

    def _shelve(self) -> None:
        """Put every run away: what is learnt later stands after them."""
        try:
            # It has no name from the beginning, so that it goes with the process, however that ends.
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115  it is open until `close`
            while self._runs:
                self._shelved.append(Shelved(self._runs[0], self._file))
                self._runs.pop(0)
        except OSError as error:
            raise HomeError(
                f"The index of known rows cannot be written into {tempfile.gettempdir()}: {error.strerror}.", ROOM
            ) from error


def _equal(ordered: npt.NDArray[np.unsignedinteger], wanted: npt.NDArray[np.unsignedinteger]) -> tuple[Places, Places]:
    """Of the wanted numbers that are in `ordered`: their places among the wanted, and in `ordered`; each as often as there."""
    start = np.searchsorted(ordered, wanted, "left")
    count = np.searchsorted(ordered, wanted, "right") - start
    asked = np.repeat(np.arange(len(wanted)), count)
    within = np.arange(len(asked)) - np.repeat(np.cumsum(count) - count, count)
    return asked, np.repeat(start, count) + within
