"""The labels that were doubted: a table by row. Knows nothing of how a doubt arose, and changes no label."""

from collections.abc import Collection

import polars as pl

from demlopment.data.tables import TableStore

DOUBTED = "doubted"
COLUMNS = {
    "key": pl.String,
    "label": pl.String,  # that is doubted
    "suggestion": pl.String,
    "score": pl.Float64,  # the margin of doubts.Doubt, -1 to 0: the lower, the likelier wrong
    "snapshot": pl.String,  # in which it was doubted first
}


class Doubted:
    """The table `doubted` of one store."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def add(self, doubts: pl.DataFrame) -> int:
        """Add those that are new, and return how many these are; the same doubt in another snapshot is none."""
        return self._store.insert(DOUBTED, doubts.select(*COLUMNS), by=("key", "label", "suggestion"), note={})

    def all(self) -> pl.DataFrame:
        """Every doubt, the likeliest error first, with the columns of `COLUMNS`."""
        if not self._store.exists(DOUBTED):
            return pl.DataFrame(schema=COLUMNS)
        return self._store.read(DOUBTED).select(*COLUMNS).sort("score", "key")

    def forget(self, keys: Collection[str]) -> None:
        """Remove every doubt about these rows."""
        self._store.remove(DOUBTED, "key", keys, note={})
