"""The journal's files: which one is written, which are complete, how large they are together. Knows no row and no lake.

A segment is `<start in nanoseconds>-<writer>.sqlite`. Whoever writes it holds a lock on the file beside it that ends in
`.lock`; the kernel lets go of it when the writer dies, so a segment that nobody holds is complete. A file beside it that
ends in `.stored` says that its rows are also in the lake, so that it may go when room is needed.
"""

import contextlib
import fcntl
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from demlopment.errors import DataError

ENDING, LOCK, STORED = ".sqlite", ".lock", ".stored"
WRITE_AHEAD = (f"{ENDING}-wal", f"{ENDING}-shm")  # SQLite's own, beside a file that is written


class Segment:
    """The file that one process writes."""

    def __init__(self, folder: Path, writer: str, tables: str) -> None:
        """Begin an empty file with these tables. Raises sqlite3.Error or OSError, and then leaves nothing behind."""
        self.rows = 0  # whether anything is in it, and roughly how much
        # Two lives of one process id differ by their start in nanoseconds.
        self.path = folder / f"{time.time_ns()}-{writer}{ENDING}"
        self._lock = self.path.with_suffix(LOCK).open("xb")  # held before there is a file that could look abandoned
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.file = _written(self.path, tables)
        except BaseException:
            remove(self.path)
            self._lock.close()
            raise

    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in (self.path, self.path.with_suffix(WRITE_AHEAD[0])) if path.exists())

    def fold(self) -> None:
        """Copy what has been committed into the database, beside its writer, on a connection of its own."""
        # Gone, closed or busy by now: whoever closes the segment folds what is left.
        with contextlib.suppress(sqlite3.Error), closing(_connected(self.path, "rw", timeout=0)) as file:
            file.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Fold the write-ahead file into the database and let go of both; an empty file goes altogether."""
        with contextlib.suppress(sqlite3.Error):  # a reader is in it, or the disk is full: the compactor tries again
            self.file.execute("PRAGMA busy_timeout = 0")
            self.file.execute("PRAGMA journal_mode = DELETE")
        with contextlib.suppress(sqlite3.Error):
            self.file.close()
        if self.rows:
            self.path.with_suffix(LOCK).unlink(missing_ok=True)
        else:
            remove(self.path)
        self._lock.close()


def every(folder: Path) -> list[Path]:
    """All segments, the oldest first."""
    return sorted(folder.glob(f"*{ENDING}"))


def complete(path: Path) -> bool:
    """Whether nobody writes this segment any more, because its writer has closed it or is dead."""
    try:
        with path.with_suffix(LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def settle(path: Path) -> bool:
    """Make one plain file of a complete segment, whatever a killed writer left beside it; False if somebody is in it.

    SQLite changes the mode of a file only for its sole user: a second proof that nobody writes it. Raises DataError if
    it is damaged, FileNotFoundError if it is gone.
    """
    with damage_named(path), closing(_connected(path, "rw", timeout=0)) as file:
        try:
            ((mode,),) = file.execute("PRAGMA journal_mode = DELETE").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                return False
            raise
    return bool(mode == "delete")


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Read a segment as it is at one moment. Raises DataError if it is damaged, FileNotFoundError if it is gone."""
    with damage_named(path), closing(_connected(path, "ro", timeout=5)) as file:
        file.execute("BEGIN")
        yield file


def stored(path: Path) -> float | None:
    """When a segment was found to be in the lake (seconds since 1970), None if it has not been."""
    try:
        return path.with_suffix(STORED).stat().st_mtime
    except FileNotFoundError:
        return None


def mark_stored(path: Path, *, stored: bool) -> None:
    """Note that a segment's rows are in the lake, or that they are not after all."""
    note = path.with_suffix(STORED)
    if not stored:
        note.unlink(missing_ok=True)
    elif not note.exists():
        note.touch()


def remove(path: Path) -> None:
    """Delete a segment; cut off half-way it is still a segment, or only its note is left."""
    for ending in (LOCK, *WRITE_AHEAD, ENDING, STORED):
        path.with_suffix(ending).unlink(missing_ok=True)


def make_room(folder: Path, max_bytes: float) -> bool:
    """Delete segments that are in the lake, the oldest first, until the folder holds less; False if that is not enough."""
    excess = size(folder) - max_bytes
    for path in every(folder):
        if excess < 0:
            break
        if stored(path) is not None:
            with contextlib.suppress(FileNotFoundError):  # another process makes room too
                excess -= path.stat().st_size
            remove(path)
    return excess < 0


def forget_removed(folder: Path) -> None:
    """Delete the notes about segments that are gone."""
    for note in folder.glob(f"*{STORED}"):
        if not note.with_suffix(ENDING).exists():
            note.unlink(missing_ok=True)


def size(folder: Path) -> int:
    """Bytes of all files of the journal."""
    whole = 0
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            whole += path.stat().st_size
    return whole


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Say which file it is that SQLite, or a row in it, makes trouble with."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as error:
        if not path.exists():
            raise FileNotFoundError(path) from error
        raise DataError(f"The journal {path} is damaged: {error}.", "Move it out of the folder and read again.") from error


def _written(path: Path, tables: str) -> sqlite3.Connection:
    # Written by one thread and closed by another, never by two at once.
    file = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
    try:
        file.execute("PRAGMA journal_mode = WAL")
        # NORMAL leaves the disk's cache unflushed between checkpoints: a power cut may lose the last answers, a crash none.
        file.execute("PRAGMA synchronous = NORMAL")
        # Otherwise every thousandth page would be copied within a request, which then takes 4 ms instead of 0.6; see `fold`.
        file.execute("PRAGMA wal_autocheckpoint = 0")
        file.executescript(tables)
    except BaseException:
        file.close()
        raise
    return file


def _connected(path: Path, mode: str, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=timeout, isolation_level=None)
