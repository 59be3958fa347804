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
        if self._store.version(EXAMPLES) is None:
            return 0
        chosen = self.meant(column, value)
        self._ready.clear()
        self._rebase(column, chosen)
        going = self._store.read(EXAMPLES, columns=("key", "source", "origin", "row"), where=chosen)
        self._remains.drop(going, column)
        self._forget_remarks(going, chosen)
        self._bad.corrected.forget(going)
        by, values = ("key", going["key"].unique().to_list()) if column == "writer" else (column, [value])
        removed = self._store.remove(EXAMPLES, by, values, note={"forgotten": column})
        self._ready.clear()  # once more, for what was loaded meanwhile
        return removed

    def meant(self, column: Column, value: str) -> pl.Expr:
        """What is true of the rows to forget.

        A writer's are all that show a picture of that hand, also where another source did not say whose it is.
        """
        theirs = pl.col(column) == value
        if column != "writer":
            return theirs
        return pl.col("key").is_in(now(self._store, theirs, ("key",))["key"].unique().to_list())

    def _rebase(self, column: Column, chosen: pl.Expr) -> None:
        """Record what is left of every snapshot whose version has such rows."""
        columns = list(dict.fromkeys(("key", "source", column)))
        rebased = self._remains.names()
        for pinned, sources in self._pins.every():
            if pinned.name in rebased:
                continue
            whole = self._store.read(EXAMPLES, version=pinned.version, columns=columns)
            if whole.filter(chosen).is_empty():
                continue
            # Also where the snapshot left that source out: its version's files hold the rows, and must not be kept for it.
            kept = of_sources(whole.filter(chosen.fill_null(value=False).not_()), sources)
            self._remains.record(pinned.name, kept, column)

    def _forget_remarks(self, going: pl.DataFrame, chosen: pl.Expr) -> None:
        """Of pictures that leave with the last of their rows."""
        said = {key for table in self._remarks for key in table.all()["key"]}.intersection(going["key"])
        stays = chosen.fill_null(value=False).not_() & pl.col("key").is_in(sorted(said))
        staying = self._store.read(EXAMPLES, columns=("key",), where=stays) if said else pl.DataFrame({"key": []})
        for table in self._remarks:
            table.forget(said - set(staying["key"]))


def now(store: TableStore, where: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
    """Those examples of the newest version `where` it is true, in no order; none where nothing was ever added."""
    if store.version(EXAMPLES) is None:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return store.read(EXAMPLES, columns=columns, where=where)
