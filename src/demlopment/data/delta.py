"""The tables' port on Delta Lake. Knows nothing of what the columns mean.

An address is a folder or a URI such as s3://bucket/lake; the code is the same for both.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import PrimitiveType
from polars.io.plugins import register_io_source

from demlopment.data import bucket
from demlopment.data.room import refusal, refuse_full
from demlopment.data.tables import ATTEMPTS, check_storable
from demlopment.errors import DataError, HomeError, NotReadyError
from demlopment.home import REMEDIES

FORMAT = 3  # of the tables' columns: raised by a release that changes them, so that no other takes them for its own
OLDEST = 2  # that is read as well: a column that it lacks is null, and is added before the first rows that have it
NUMBERED = "demlopment format "  # stands before the number in a table's description; Delta refuses properties of ours
CONFIGURATION = {
    # Otherwise Delta forgets versions after 30 days, and with them what was pinned.
    "delta.enableExpiredLogCleanup": "false",
    # Otherwise its log keeps the least and the greatest value of every column, of rows that were forgotten too.
    "delta.dataSkippingNumIndexedCols": "0",
}
# delta-rs decodes the first as an escape, even into another folder, panics at two, and takes the last for a slash.
UNFIT = "%[]\\"
FILE_BYTES = 8_000_000  # of one file of a table: what is being written is in memory, and 2 million pictures are 160 files
MOST_VALUES = 5_000  # of one condition: DataFusion takes it apart by recursion, and 40,000 end the process without a word
EXTENDED = "extended"  # the transaction of every commit that adds rows by what it knew of the others
T = TypeVar("T")

NEWER = re.compile(r"[Uu]nsupported (?:minimum )?(?:reader|writer|table)")  # version or feature of Delta's own


class Passing:
    """Frames on their way into a table, one at a time; what they raise is kept, because Delta makes it words of its own."""

    def __init__(self, table: str, address: str, frames: Iterable[pl.DataFrame]) -> None:
        self._table, self._address, self._frames = table, address, iter(frames)
        self.first = next(self._frames, None)
        self.failure: BaseException | None = None

    def stream(self) -> Any:
        """All of them as an Arrow stream."""
        assert self.first is not None, "the first frame says what the columns are"
        return register_io_source(lambda *_: self._checked(), schema=self.first.schema).collect_batches(maintain_order=True)

    def _checked(self) -> Iterator[pl.DataFrame]:
        assert self.first is not None, "the first frame says what the columns are"
        passed = 0.0  # bytes
        try:
            for frame in chain([self.first], self._frames):
                check_storable(self._table, frame)
                passed += frame.estimated_size()
                # A file that is being written is in memory; of the rows that were there before, the disk has theirs.
                refuse_full(self._address, min(passed, 2 * FILE_BYTES))
                yield frame
        except BaseException as failure:
            self.failure = failure
            raise


class DeltaStore:
    """Delta tables below one address. Safe with several writers: whoever comes second looks again before adding."""

    def __init__(self, root: Path | str) -> None:
        self.root = str(root).rstrip("/")
        unfit = sorted(each for each in set(self.root) if each in UNFIT or not each.isprintable())
        if unfit and not bucket.is_remote(self.root):
            raise DataError(
                f"The path {self.root} has the character {unfit[0]!r}, which Delta tables cannot have in theirs.",
                "Set DEMLOPMENT_HOME to a path without it.",
            )

    def exists(self, table: str) -> bool:
        address = self._address(table)
        with _explained(address):
            return _exists(address)

    def version(self, table: str) -> int | None:
        address = self._address(table)
        with _explained(address):
            return _opened(address).version() if _exists(address) else None

    def read(
        self,
        table: str,
        *,
        version: int | None = None,
        columns: Sequence[str | pl.Expr] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        address = self._address(table)
        with _explained(address):
            if not _exists(address):
                raise DataError(f"There is no table at {address}.", "Ingest something first, or correct DEMLOPMENT_HOME.")
            return self._rows(_opened(address, version), table, columns, where)

    def slices(
        self, table: str, size: int, *, version: int | None = None, columns: Sequence[str | pl.Expr] | None = None
    ) -> Iterator[pl.DataFrame]:
        address = self._address(table)
        with _explained(address):
            if not _exists(address):
                return
            rows = self._scan(_opened(address, version), table)
            # Collected one by one and not as a stream: whoever takes them may be in the middle of a stream himself.
            for start in range(0, rows.select(pl.len()).collect().item(), size):
                yield rows.slice(start, size).select(list(columns) if columns else pl.all()).collect()

    def extend(self, table: str, frames: Iterable[pl.DataFrame], *, since: int | None, note: Mapping[str, str]) -> bool:
        address = self._address(table)
        passing = Passing(table, address, frames)
        if passing.first is None:
            return True
        with _explained(address):
            if since is None:
                _create(address, passing.first)
            # Of two commits that name one transaction Delta refuses the second, however old the version it began with.
            commit = CommitProperties(custom_metadata=dict(note), app_transactions=[Transaction(EXTENDED, 1)])
            target = _opened(address, since or 0)
            if _absent(target, passing.first.columns):
                _widen(address, passing.first)
                return False
            try:
                write_deltalake(target, passing.stream(), mode="append", commit_properties=commit, target_file_size=FILE_BYTES)
            except CommitFailedError:
                return False
            except DeltaError:
                if passing.failure is not None:
                    raise passing.failure from None
                raise
            return True

    def insert(self, table: str, frame: pl.DataFrame, *, by: Sequence[str], note: Mapping[str, str]) -> int:
        check_storable(table, frame)
        return self._repeated(table, lambda: self._insert(table, frame, by, note))

    def amend(self, table: str, frame: pl.DataFrame, *, by: str, note: Mapping[str, str]) -> int:
        if not self.exists(table) or frame.is_empty():
            return 0
        return self._repeated(table, lambda: self._amend(table, frame, by, note))

    def append(self, table: str, frame: pl.DataFrame, *, batch: str) -> bool:
        check_storable(table, frame)
        return self._repeated(table, lambda: self._append(table, frame, batch))

    def batches(self, table: str, names: Iterable[str]) -> set[str]:
        address = self._address(table)
        with _explained(address):
            if not _exists(address):
                return set()
            delta = _opened(address)
            return {name for name in names if delta.transaction_version(name) is not None}

    def history(self, table: str) -> tuple[Mapping[str, object], ...]:
        address = self._address(table)
        with _explained(address):
            return tuple(_opened(address).history()) if _exists(address) else ()

    def remove(self, table: str, column: str, values: Collection[str], *, note: Mapping[str, str]) -> int:
        if not self.exists(table) or not values:
            return 0
        # The log keeps the condition for ever, so what is to be forgotten must not stand in it.
        hashed = [f"'{hashlib.sha256(value.encode()).hexdigest()}'" for value in sorted(values)]
        parts = (", ".join(hashed[start : start + MOST_VALUES]) for start in range(0, len(hashed), MOST_VALUES))
        return sum(self._delete(table, f"encode(sha256({column}), 'hex') IN ({part})", note) for part in parts)

    def prune(self, table: str, *, keep: Collection[int], abandoned_hours: int, dry_run: bool = False) -> tuple[str, ...]:
        address = self._address(table)
        with _explained(address):
            if not _exists(address):
                return ()
            # What a version had and a later one has not, whatever its age; then also what no version ever had.
            superseded = self._vacuum(address, keep, 0, everything=False, dry_run=dry_run)
            abandoned = self._vacuum(address, keep, abandoned_hours, everything=True, dry_run=dry_run)
            return tuple(sorted({*superseded, *abandoned}))

    def _vacuum(self, address: str, keep: Collection[int], hours: int, *, everything: bool, dry_run: bool) -> list[str]:
        delta = _opened(address)
        rules: dict[str, Any] = {"full": everything, "enforce_retention_duration": False, "keep_versions": sorted(keep)}
        # The log names what was once removed, also what is long gone.
        found = [name for name in delta.vacuum(hours, dry_run=True, **rules) if _is_there(f"{address}/{name}")]
        if found and not dry_run:  # deleting nothing would still make two versions
            delta.vacuum(hours, dry_run=False, **rules)
        return found

    def _delete(self, table: str, where: str, note: Mapping[str, str]) -> int:
        address, commit = self._address(table), CommitProperties(custom_metadata=dict(note))
        return self._repeated(table, lambda: int(_opened(address).delete(where, commit_properties=commit)["num_deleted_rows"]))

    def _repeated(self, table: str, write: Callable[[], T]) -> T:
        """Write, and look again where another process was quicker."""
        address = self._address(table)
        for _ in range(ATTEMPTS):
            with _explained(address):
                try:
                    return write()
                except CommitFailedError:
                    continue
        raise NotReadyError(f"Other processes keep writing to {address}.", "Try again when they are done.")

    def _append(self, table: str, frame: pl.DataFrame, batch: str) -> bool:
        address = self._address(table)
        if not _exists(address):
            _create(address, frame)
        target = _opened(address)
        if target.transaction_version(batch) is not None:
            return False
        refuse_full(address, frame.estimated_size())
        # Of two commits that name one transaction Delta refuses the second, also where both had looked before.
        commit = CommitProperties(app_transactions=[Transaction(batch, 1)])
        write_deltalake(target, frame, mode="append", commit_properties=commit)
        return True

    def _insert(self, table: str, frame: pl.DataFrame, by: Sequence[str], note: Mapping[str, str]) -> int:
        address = self._address(table)
        if not _exists(address):
            _create(address, frame)
        target = _opened(address)
        if _absent(target, frame.columns):
            _widen(address, frame)
            return self._insert(table, frame, by, note)
        known = self._rows(target, table, by)
        fresh = frame.join(known, on=list(by), how="anti", maintain_order="left")
        if fresh.is_empty():
            return 0
        refuse_full(address, fresh.estimated_size())
        # Delta refuses the second of two commits that name one transaction, so what was compared with is still all there is.
        # A merge would say the same, and read every column of every row to do so.
        named = CommitProperties(custom_metadata=dict(note), app_transactions=[Transaction(EXTENDED, 1)])
        write_deltalake(target, fresh, mode="append", commit_properties=named)
        return len(fresh)

    def _amend(self, table: str, frame: pl.DataFrame, by: str, note: Mapping[str, str]) -> int:
        target = _opened(self._address(table))
        met = frame.join(self._rows(target, table, (by,)), on=by, how="semi")
        if met.is_empty():
            return 0
        commit = CommitProperties(custom_metadata=dict(note))
        same = f"new.{by} = old.{by}"
        merge = target.merge(met, predicate=same, source_alias="new", target_alias="old", commit_properties=commit)
        values = {column: f"new.{column}" for column in frame.columns if column != by}
        return int(merge.when_matched_update(values).execute()["num_target_rows_updated"])

    def _rows(
        self, delta: DeltaTable, table: str, columns: Sequence[str | pl.Expr] | None, where: pl.Expr | None = None
    ) -> pl.DataFrame:
        rows = self._scan(delta, table)
        named = [column for column in columns or () if isinstance(column, str)]
        rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in _absent(delta, named))
        if where is not None:
            rows = rows.filter(where)
        return rows.select(list(columns) if columns else pl.all()).collect()

    def _scan(self, delta: DeltaTable, table: str) -> pl.LazyFrame:
        # polars' readers, not the table's own `scan`: on a damaged footer that one aborts the whole process.
        # An object store is asked for as many bytes as were written, refuses where there are fewer, and takes a file whole.
        files = [] if bucket.is_remote(self.root) else _files(f"{self.root}/{table}", delta)
        # In a folder the files are opened by their paths: scan_delta encodes a space or an umlaut twice and finds nothing.
        if not files:
            return pl.scan_delta(delta, storage_options=bucket.READING)
        return pl.scan_parquet(files, glob=False, schema=pl.Schema(delta.schema().to_arrow()), missing_columns="insert")

    def _address(self, table: str) -> str:
        return f"{self.root}/{table}"


def _create(address: str, frame: pl.DataFrame) -> None:
    """Make an empty table with the columns of `frame`, unless there is one."""
    write_deltalake(
        address,
        frame.clear(),
        mode="ignore",
        description=f"{NUMBERED}{FORMAT}",
        configuration=CONFIGURATION,
        storage_options=bucket.options(address),
    )


def _absent(delta: DeltaTable, columns: Iterable[str]) -> list[str]:
    """Those of the columns that a table has not."""
    present = {field.name for field in delta.schema().fields}
    return [column for column in columns if column not in present]


def _widen(address: str, frame: pl.DataFrame) -> None:
    """Give a table of an earlier format the columns of `frame` that it lacks; its rows have none of them."""
    delta = _opened(address)
    absent = [Field(name, PrimitiveType("string")) for name in _absent(delta, frame.columns)]
    if absent:
        with contextlib.suppress(CommitFailedError):  # somebody else was quicker: whoever looks again sees what is lacking
            delta.alter.set_table_description(f"{NUMBERED}{FORMAT}")  # first, so that no earlier release takes it for its own
            delta.alter.add_columns(absent)


def _exists(address: str) -> bool:
    return DeltaTable.is_deltatable(address, bucket.options(address))


def _opened(address: str, version: int | None = None) -> DeltaTable:
    """The table at a version. Raises DataError if its columns are those of another release."""
    delta = DeltaTable(address, version=version, storage_options=bucket.options(address))
    number = (delta.metadata().description or "").removeprefix(NUMBERED) or "1"  # the first format had no number
    if number not in map(str, range(OLDEST, FORMAT + 1)):
        newer = number.isdecimal() and int(number) > FORMAT
        raise DataError(
            f"The table {address} has the format {number}, and this release reads {OLDEST} to {FORMAT}.",
            "Use a newer release." if newer else "Use the release that wrote it, or move it away and ingest again.",
        )
    return delta


def _files(folder: str, delta: DeltaTable) -> list[str]:
    """The files of a table in a folder, each as long as it was written: on another one polars panics, aloud."""
    written = pl.DataFrame(delta.get_add_actions()).select("path", "size_bytes").rows()
    for name, size in written:
        found = Path(f"{folder}/{name}").stat().st_size
        if found != size:
            raise DataError(
                f"The table {folder} is damaged: {name} has {found} bytes, not {size}.",
                "Restore it from a copy, or move it away and ingest again.",
            )
    return [f"{folder}/{name}" for name, _ in written]


def _is_there(file: str) -> bool:
    """Whether there is such a file, whatever is in it."""
    if not bucket.is_remote(file):
        return Path(file).exists()
    try:
        pl.scan_parquet(file, glob=False, storage_options=bucket.READING).collect_schema()
    except FileNotFoundError:
        return False
    except pl.exceptions.PolarsError:
        return True  # one that nobody wrote to its end
    return True


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    """Name the table in what Delta, polars or the operating system say of it."""
    try:
        yield
    except (DeltaError, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        # polars panics on a file that was cut short; its PanicException is a BaseException.
        text = str(error)
        refused = bucket.refusal(address, text) if bucket.is_remote(address) else None
        if refused is not None:
            raise refused from error
        if NEWER.search(text):
            raise DataError(
                f"The table {address} is of a newer release: {_first_line(text)}.", "Use a newer release."
            ) from error
        number = refusal(text)
        if number in REMEDIES:  # the operating system's words: Delta and the libraries below it put theirs around
            raise HomeError(f"{address} cannot be written: {os.strerror(number)}.", REMEDIES[number]) from error
        raise DataError(
            f"The table {address} is damaged: {_first_line(text)}.",
            "Restore it from a copy, or move it away and ingest again.",
        ) from error


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].rstrip(".")[:200] if text.strip() else "no message"
