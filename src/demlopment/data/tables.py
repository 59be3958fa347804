"""Where tables live: a small port. Knows nothing of what the columns mean, nor of any format."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import polars as pl

from demlopment.errors import DataError

# Delta has no unsigned and no fixed-size-list type: list<uint8> values from 128 up silently come back as NULL.
STORABLE = (pl.String, pl.Binary, pl.Boolean, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64)
ATTEMPTS = 20  # of writers that collide, one always gets through, so as many may write at once


class TableStore(Protocol):
    """Named, versioned tables, which grow, and shrink only where rows are removed for good."""

    def exists(self, table: str) -> bool:
        """Whether there is such a table; asking for its version takes several times as long."""

    def version(self, table: str) -> int | None:
        """The newest version of `table`, or None where it does not exist."""

    def read(
        self,
        table: str,
        *,
        version: int | None = None,
        columns: Sequence[str | pl.Expr] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        """The rows of `table` at a version (the newest if None), or those `where` it is true, in no particular order.

        Of the `columns` those that the table had not yet are null, and of texts.
        Raises DataError if the table or that version does not exist, or is damaged.
        """

    def slices(
        self, table: str, size: int, *, version: int | None = None, columns: Sequence[str | pl.Expr] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Every row of a version (the newest if None), at most `size` at once; of a version always in the same order.

        What is written meanwhile does not show. None where the table does not exist. Raises DataError if it is damaged.
        """

    def extend(self, table: str, frames: Iterable[pl.DataFrame], *, since: int | None, note: Mapping[str, str]) -> bool:
        """Add all rows in one commit, unless `table` was extended since that version (None: made since); whether it was done.

        Nor is it done where `table` lacked columns of the rows, of texts, and was given them: ask again.
        The frames are taken one at a time. Creates the table if needed; without a frame nothing happens. What `frames`
        raises comes through, and then nothing was added. Raises as `insert`.
        """

    def insert(self, table: str, frame: pl.DataFrame, *, by: Sequence[str], note: Mapping[str, str]) -> int:
        """Add, all or none, the rows whose `by` columns are not in `table` yet, and return how many were added.

        Creates the table if needed; makes no new version where nothing was added. `note` is kept with the version.
        Raises DataError for a column type that does not survive storing, HomeError where nothing can be written.
        """

    def amend(self, table: str, frame: pl.DataFrame, *, by: str, note: Mapping[str, str]) -> int:
        """Give rows the values that `frame` has for them, told by the column `by`, and return how many they were.

        One commit. Columns that `frame` has not stay, and so do other rows. Makes no version where no row is meant.
        """

    def append(self, table: str, frame: pl.DataFrame, *, batch: str) -> bool:
        """Add all rows as the batch of that name, unless `table` has had it before; whether they were added.

        The rows and the name are one commit, so that a writer killed anywhere is simply repeated. Creates the table if
        needed. Raises as `insert`.
        """

    def batches(self, table: str, names: Iterable[str]) -> set[str]:
        """Those of the `names` under which a batch was appended to `table`."""

    def history(self, table: str) -> tuple[Mapping[str, object], ...]:
        """The notes of every version, the newest first, each with its `version` and what else the store keeps of it.

        None without that table.
        """

    def remove(self, table: str, column: str, values: Collection[str], *, note: Mapping[str, str]) -> int:
        """Make versions without the rows whose `column` is one of `values`, and return how many those were.

        Older versions keep them until they are pruned. Makes no version, and no table, where there is nothing to remove.
        """

    def prune(self, table: str, *, keep: Collection[int], abandoned_hours: int, dry_run: bool = False) -> tuple[str, ...]:
        """Delete the files of `table` that neither its newest version nor one of `keep` has, and name them.

        A file that no version has may be one that a writer is about to add, and goes only when it is that old.
        With `dry_run` they are only named. A store without files, or without that table, has none.
        """


def check_storable(table: str, frame: pl.DataFrame) -> None:
    """Raise DataError for a column that would not come back as it was."""
    for name, kind in frame.schema.items():
        if kind not in STORABLE:
            raise DataError(
                f"The column {name} of the table {table} has the type {kind}, which does not survive storing.",
                "Store pixels as Binary and whole numbers as Int64.",
            )
