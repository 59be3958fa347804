"""What is left of snapshots since rows of them were forgotten: a table of entries by snapshot. Knows no picture.

An entry is a row's key and source. A snapshot that stands here no longer needs the version it was pinned at.
"""

import polars as pl

from demlopment.data.tables import TableStore

REMAINS = "remains"
ENTRY = pl.format("{} {}", "key", "source").alias("entry")
NOTE = "forgotten"  # what the versions made here are marked with


class Remains:
    """The table `remains` of one store."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def names(self) -> set[str]:
        """The snapshots of which it is recorded what is left, also where that is everything or nothing."""
        return set(self._store.read(REMAINS, columns=("name",))["name"]) if self._store.exists(REMAINS) else set()

    def of(self, name: str) -> pl.DataFrame | None:
        """The entries that are left of a snapshot, None where nothing of its version was forgotten."""
        if name not in self.names():
            return None
        return self._store.read(REMAINS, columns=("entry",), where=pl.col("name") == name)

    def record(self, name: str, kept: pl.DataFrame, why: str) -> None:
        """Say that these rows (key, source) are left of a snapshot. Recording it again adds nothing."""
        entries = ["", *kept.select(ENTRY).to_series()]  # the one without a name says so where nothing is left
        frame = pl.DataFrame({"name": [name] * len(entries), "entry": entries}, schema={"name": pl.String, "entry": pl.String})
        self._store.insert(REMAINS, frame, by=("name", "entry"), note={NOTE: why})

    def drop(self, rows: pl.DataFrame, why: str) -> None:
        """Say that these rows (key, source) are left of no snapshot."""
        self._store.remove(REMAINS, "entry", set(rows.select(ENTRY).to_series()), note={NOTE: why})


def left(rows: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """Those of the rows whose entry is among the given, as `Remains.of` gives them."""
    return rows.with_columns(ENTRY).join(entries, on="entry", how="semi").drop("entry")
