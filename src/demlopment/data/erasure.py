"""Rows that leave the examples, and what older versions pinned, for good. Knows no model, and of tables only their port."""

from collections.abc import Collection, Sequence
from typing import Literal, Protocol

import polars as pl

from demlopment.data.pins import EXAMPLES, Pins, of_sources
from demlopment.data.quarantine import Quarantine
from demlopment.data.ready import Ready
from demlopment.data.remains import Remains
from demlopment.data.tables import TableStore

Column = Literal["source", "writer", "key"]


class Remarks(Protocol):
    """What was said of pictures, by their keys."""

    def all(self) -> pl.DataFrame:
        """Everything that was said, with a column "key"."""

    def forget(self, keys: Collection[str]) -> None:
        """Remove what was said of these."""


class Erasure:
    """Of one store's examples."""

    def __init__(
        self, store: TableStore, pins: Pins, remains: Remains, ready: Ready, bad: Quarantine, remarks: Sequence[Remarks]
    ) -> None:
        self._store, self._pins, self._remains, self._ready, self._bad = store, pins, remains, ready, bad
        self._remarks = remarks

    def forget(self, column: Column, value: str) -> int:
        """Remove the rows that are `meant`, also from what older versions pinned; how many the newest version had.

        Cut off anywhere it is simply repeated: the examples go last, so that until then it is known what to forget.
        The bytes leave the disk with the next `garbage.sweep`.
        """
        if not self._store.exists(EXAMPLES):
            return 0
        alone, chosen = self._alone(value) if column == "writer" else [], self.meant(column, value)
        self._ready.clear()
        self._rebase(column, chosen)
        if column == "source":
            self._pins.forget(value)
        going = self._store.read(EXAMPLES, columns=("key", "source", "origin", "row"), where=chosen)
        self._remains.drop(going, column)
        self._forget_remarks(going, chosen)
        self._bad.corrected.forget(going)
        # Of those keys first: as long as a row names the writer, it is known which they are.
        removed = self._store.remove(EXAMPLES, "key", alone, note={"forgotten": column})
        removed += self._store.remove(EXAMPLES, column, [value], note={"forgotten": column})
        self._ready.clear()  # once more, for what was loaded meanwhile
        return removed

    def meant(self, column: Column, value: str) -> pl.Expr:
        """What is true of the rows to forget: of a writer also those with a picture of that hand that say nobody's name.

        They came back from production, or from a source that did not know. Where another writer has the picture too, they stay.
        """
        theirs = (pl.col(column) == value).fill_null(value=False)
        return theirs | pl.col("key").is_in(self._alone(value)) if column == "writer" else theirs

    def _alone(self, writer: str) -> list[str]:
        """The keys of pictures that are this writer's and of no other who is known."""
        keys = now(self._store, pl.col("writer") == writer, ("key",))["key"].unique()
        others = now(self._store, pl.col("key").is_in(keys.implode()) & (pl.col("writer") != writer), ("key",))["key"]
        return sorted(set(keys) - set(others))

    def _rebase(self, column: Column, chosen: pl.Expr) -> None:
        """Record what is left of every snapshot whose version has such rows."""
        columns = ("key", "source", "writer")
        rebased = self._remains.names()
        for pinned, sources in self._pins.every():
            if pinned.name in rebased:
                continue
            whole = self._store.read(EXAMPLES, version=pinned.version, columns=columns)
            if whole.filter(chosen).is_empty():
                continue
            # Also where the snapshot left that source out: its version's files hold the rows, and must not be kept for it.
            kept = of_sources(whole.filter(chosen.not_()), sources)
            self._remains.record(pinned.name, kept, column)

    def _forget_remarks(self, going: pl.DataFrame, chosen: pl.Expr) -> None:
        """Of pictures that leave with the last of their rows."""
        said = {key for table in self._remarks for key in table.all()["key"]}.intersection(going["key"])
        stays = chosen.not_() & pl.col("key").is_in(sorted(said))
        staying = self._store.read(EXAMPLES, columns=("key",), where=stays) if said else pl.DataFrame({"key": []})
        for table in self._remarks:
            table.forget(said - set(staying["key"]))


def now(store: TableStore, where: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
    """Those examples of the newest version `where` it is true, in no order; none where nothing was ever added."""
    if not store.exists(EXAMPLES):
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return store.read(EXAMPLES, columns=columns, where=where)
