"""The journal's files: which one is written, which are complete, how large they are together. Knows no row and no lake.

A segment is `<start in nanoseconds>-<writer>.journal`. Whoever writes it holds a lock on it; the kernel lets go of it when
the writer dies, so a segment that nobody holds is complete. A file beside it that ends in `.stored` says that its rows are
also in the lake, so that it may go when room is needed.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demlopment.errors import DataError

ENDING, STORED = ".journal", ".stored"
BEGUN, PARTIAL = ".begun", ".partial"  # what a killed process may leave: no segment yet, and not yet the new form of one
FORMER = ".sqlite"  # of the segments of earlier releases
ABANDONED_SECONDS = 60  # a file is begun, locked and named within milliseconds
OURS = 0o600  # pictures of people's hands, and who asked: as secret as the tokens
ROOM = bytes(65_536)  # a disk that takes this takes the next answers


class Segment:
    """The file that one process writes, from several of its threads but never from two at once."""

    def __init__(self, folder: Path, writer: str, start: bytes) -> None:
        """Begin a file with some bytes. Raises OSError, and then leaves nothing behind."""
        self.empty = True  # nothing but the start is in it
        # Two lives of one process id differ by their start in nanoseconds.
        self.path = folder / f"{time.time_ns()}-{writer}{ENDING}"
        begun = self.path.with_suffix(BEGUN)
        self._file = os.open(begun, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OURS)
        self.size = 0  # bytes
        self._torn = False  # half an entry may be behind `size`
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write(start)
            begun.rename(self.path)  # held before there is a segment that could look abandoned
        except BaseException:
            begun.unlink(missing_ok=True)
            os.close(self._file)
            raise

    def append(self, entry: bytes) -> None:
        """Add an entry, in the hands of the kernel when this returns. Raises OSError, and then none of it is in the file."""
        self._write(entry)
        self.empty = False

    def probe(self) -> None:
        """Raise OSError unless the disk has room; the file stays as it is."""
        self._mend()
        try:
            self._put(ROOM)
        finally:
            self._mend()

    def close(self) -> None:
        """Have the disk keep the file, for after a power cut, and let go of it; one without an entry goes altogether."""
        with contextlib.suppress(OSError):  # the kernel has all of it, and goes on trying; an empty file costs nobody anything
            if self.empty:
                remove(self.path)
            else:
                os.fdatasync(self._file)
        os.close(self._file)

    def _write(self, content: bytes) -> None:
        self._mend()
        try:
            self._put(content)
        except BaseException:
            with contextlib.suppress(OSError):  # then before the next one: it may not follow half of this
                self._mend()
            raise
        self.size, self._torn = self.size + len(content), False

    def _put(self, content: bytes) -> None:
        self._torn = True
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _mend(self) -> None:
        if self._torn:
            os.ftruncate(self._file, self.size)
            self._torn = False


def every(folder: Path) -> list[Path]:
    """All segments, the oldest first. Raises DataError where an earlier release left some that we cannot read."""
    former = next(iter(sorted(folder.glob(f"*{FORMER}"))), None)
    if former is not None:
        raise DataError(
            f"The journal has a file of an earlier release: {former}.",
            "Move it out of the folder, or first run `demlopment data compact` of that release.",
        )
    return _listed(folder)


def complete(path: Path) -> bool:
    """Whether nobody writes this segment any more, because its writer has closed it or is dead.

    Raises FileNotFoundError if it is gone.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def replace(path: Path, content: bytes) -> None:
    """Give a complete segment another content, at once or not at all."""
    partial = path.with_suffix(PARTIAL)
    with partial.open("wb") as file:
        os.fchmod(file.fileno(), OURS)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


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
    for ending in (PARTIAL, ENDING, STORED):
        path.with_suffix(ending).unlink(missing_ok=True)


def make_room(folder: Path, max_bytes: float) -> bool:
    """Delete segments that are in the lake, the oldest first, until the folder holds less; False if that is not enough."""
    excess = size(folder) - max_bytes
    for path in _listed(folder):
        if excess < 0:
            break
        if stored(path) is not None:
            with contextlib.suppress(OSError):  # another process makes room too, or the file is not ours to remove
                held = path.stat().st_size
                remove(path)
                excess -= held
    return excess < 0


def tidy(folder: Path) -> None:
    """Delete the notes about segments that are gone, and what killed processes had begun."""
    for note in (*folder.glob(f"*{STORED}"), *folder.glob(f"*{PARTIAL}")):
        if not note.with_suffix(ENDING).exists():
            note.unlink(missing_ok=True)
    for begun in folder.glob(f"*{BEGUN}"):
        with contextlib.suppress(FileNotFoundError):  # it has become a segment
            if time.time() - begun.stat().st_mtime > ABANDONED_SECONDS and complete(begun):
                begun.unlink()


def size(folder: Path) -> int:
    """Bytes of all files of the journal."""
    whole = 0
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            whole += path.stat().st_size
    return whole


def waiting(folder: Path, empty: int) -> tuple[int, float | None]:
    """Bytes of complete segments that are not in the lake, and when the oldest was last written (seconds since 1970), if any.

    Those of at most `empty` bytes hold nothing that waits.
    """
    whole, oldest = 0, None
    for path in _listed(folder):
        with contextlib.suppress(FileNotFoundError):  # removed or moved meanwhile
            seen = path.stat()
            if seen.st_size > empty and stored(path) is None and complete(path):
                whole += seen.st_size
                oldest = seen.st_mtime if oldest is None else min(oldest, seen.st_mtime)
    return whole, oldest


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be read."""
    try:
        yield
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise DataError(f"The journal {path} is damaged: {error}.", "Move it out of the folder and read again.") from error


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{ENDING}"))
