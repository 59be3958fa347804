"""Where tables live: a small port, and Delta Lake behind it. Knows nothing of what the columns mean.

An address is a folder or a URI such as s3://bucket/lake; the code is the same for both.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from demlopment.errors import DataError, HomeError, NotReadyError
from demlopment.home import REMEDIES

# Delta has no unsigned and no fixed-size-list type: list<uint8> values from 128 up silently come back as NULL.
STORABLE = (pl.String, pl.Binary, pl.Boolean, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64)
UNFIT = "%[]"  # delta-rs decodes the first as an escape, even into another folder, and panics at the others
ATTEMPTS = 20  # of writers that collide, one always gets through, so as many may write at once
ERRNO = re.compile(r"os error (\d+)|Os \{ code: (\d+)")


class TableStore(Protocol):
    """Named, versioned tables that only grow."""

    def version(self, table: str) -> int | None:
        """The newest version of `table`, or None where it does not exist."""

    def read(self, table: str, *, version: int | None = None, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows of `table` at a version (the newest if None), in no particular order.

        Raises DataError if the table or that version does not exist, or is damaged.
        """

    def insert(self, table: str, frame: pl.DataFrame, *, by: Sequence[str], note: Mapping[str, str]) -> int:
        """Add, all or none, the rows whose `by` columns are not in `table` yet, and return how many were added.

        Creates the table if needed; makes no new version where nothing was added. `note` is kept with the version.
        Raises DataError for a column type that does not survive storing, HomeError where nothing can be written.
        """


def check_storable(table: str, frame: pl.DataFrame) -> None:
    """Raise DataError for a column that would not come back as it was."""
    for name, kind in frame.schema.items():
        if kind not in STORABLE:
            raise DataError(
                f"The column {name} of the table {table} has the type {kind}, which does not survive storing.",
                "Store pixels as Binary and whole numbers as Int64.",
            )


class DeltaStore:
    """Delta tables below one address. Safe with several writers: whoever comes second looks again before adding."""

    def __init__(self, root: Path | str) -> None:
        self.root = str(root).rstrip("/")
        unfit = sorted(set(self.root) & set(UNFIT))
        if "://" not in self.root and unfit:
            raise DataError(
                f"The path {self.root} has the character {unfit[0]}, which Delta tables cannot have in theirs.",
                "Set DEMLOPMENT_HOME to a path without it.",
            )

    def version(self, table: str) -> int | None:
        address = self._address(table)
        with _explained(address):
            return DeltaTable(address).version() if DeltaTable.is_deltatable(address) else None

    def read(self, table: str, *, version: int | None = None, columns: Sequence[str] | None = None) -> pl.DataFrame:
        address = self._address(table)
        with _explained(address):
            if not DeltaTable.is_deltatable(address):
                raise DataError(f"There is no table at {address}.", "Ingest something first, or correct DEMLOPMENT_HOME.")
            return self._rows(DeltaTable(address, version=version), table, columns)

    def insert(self, table: str, frame: pl.DataFrame, *, by: Sequence[str], note: Mapping[str, str]) -> int:
        check_storable(table, frame)
        address = self._address(table)
        for _ in range(ATTEMPTS):
            with _explained(address):
                try:
                    return self._merge(table, frame, by, note)
                except CommitFailedError:
                    continue
        raise NotReadyError(f"Other processes keep writing to {address}.", "Try again when they are done.")

    def _merge(self, table: str, frame: pl.DataFrame, by: Sequence[str], note: Mapping[str, str]) -> int:
        address = self._address(table)
        commit = CommitProperties(custom_metadata=dict(note))
        if not DeltaTable.is_deltatable(address):
            write_deltalake(address, frame.clear(), mode="ignore", commit_properties=commit)
        target = DeltaTable(address)
        known = self._rows(target, table, by)
        fresh = frame.join(known, on=list(by), how="anti", maintain_order="left")
        if fresh.is_empty():
            return 0
        # The merge repeats the comparison: it is what makes Delta refuse the commit when somebody else has added rows.
        same = " AND ".join(f"new.{column} = old.{column}" for column in by)
        merge = target.merge(fresh, predicate=same, source_alias="new", target_alias="old", commit_properties=commit)
        return int(merge.when_not_matched_insert_all().execute()["num_target_rows_inserted"])

    def _rows(self, delta: DeltaTable, table: str, columns: Sequence[str] | None) -> pl.DataFrame:
        # polars' readers, not the table's own `scan`: on a damaged footer that one aborts the whole process.
        chosen = list(columns) if columns else None
        files = [uri.rpartition("/")[2] for uri in delta.file_uris()]
        if "://" in self.root or not files:
            return pl.read_delta(delta, columns=chosen)
        # In a folder the files are opened by their paths: read_delta encodes a space or an umlaut twice and finds nothing.
        return pl.read_parquet([f"{self.root}/{table}/{file}" for file in files], columns=chosen, glob=False)

    def _address(self, table: str) -> str:
        return f"{self.root}/{table}"


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Name the table in what Delta, polars or the operating system say of it."""
    try:
        yield
    except (DeltaError, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        # polars panics on a file that was cut short; its PanicException is a BaseException.
        text = str(error)
        code = ERRNO.search(text)
        remedy = REMEDIES.get(int(code[1] or code[2])) if code else None
        if remedy is not None:
            raise HomeError(f"{address} cannot be written: {_first_line(text)}.", remedy) from error
        raise DataError(
            f"The table {address} is damaged: {_first_line(text)}.",
            "Restore it from a copy, or move it away and ingest again.",
        ) from error


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].rstrip(".")[:200] if text.strip() else "no message"
