"""The folder where everything lives: its rooms on disk, its lock, and writes that are whole or not there. Knows no room."""

import errno
import fcntl
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demlopment.errors import HomeError

PARTIAL = ".partial"  # the ending of a file that is being written; one that is found was never finished
NEEDED_MB = 100  # a whole demo leaves about 30 MB; below this a run would stop half-way


@dataclass(frozen=True)
class Home:
    """Paths below one root. Nothing is created before `open` or the first write."""

    root: Path

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def endpoint(self) -> Path:
        return self.root / "endpoint"

    @property
    def tracking(self) -> Path:
        return self.root / "tracking.db"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def history(self) -> Path:
        return self.root / "history.db"

    @property
    def report(self) -> Path:
        return self.root / "report"

    def open(self) -> None:
        """Create the root, see that it can be written and has room, and remove what an interrupted write left.

        Raises HomeError naming the folder and what is wrong with it.
        """
        with explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as probe:
                probe.write(b"demlopment")
        free_mb = shutil.disk_usage(self.root).free // 1_000_000
        if free_mb < NEEDED_MB:
            raise HomeError(
                f"The disk that holds {self.root} has {free_mb} MB left, and a run needs {NEEDED_MB}.",
                "Free some space, or set DEMLOPMENT_HOME to another disk.",
            )
        for partial in self.root.rglob(f"*{PARTIAL}"):
            # Only what `replace` names so is ours: the home may be a folder with other things in it.
            writer = re.search(rf"\.(\d+){re.escape(PARTIAL)}$", partial.name)
            if writer and not _alive(int(writer[1])):
                partial.unlink(missing_ok=True)

    @contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Hold the home for one purpose ("turn", "serve"); the kernel lets go when the process dies, however it dies.

        Raises HomeError if another process holds it.
        """
        path = self.root / f"{purpose}.lock"
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as busy:
                raise HomeError(
                    f"Another process is using {self.root} ({path.name} is held).",
                    "Wait until it ends or stop it, or set DEMLOPMENT_HOME to another folder.",
                ) from busy
            yield


def replace(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or the next run after a crash, finds the old file or the new one whole."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    """Whether the process that names itself in a partial file may still be writing it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, as somebody else
        return True
    return True


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the operating system or SQLite says of a place that cannot be used into a HomeError; others pass."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0)
        if remedy is None:
            raise
        raise HomeError(f"{path} cannot be written: {error.strerror}.", remedy) from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)  # absent from errors that sqlite3 raises by itself
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise HomeError(f"{path} is damaged: {error}.", "Restore it from a copy, or move it away to begin anew.") from error
        number = SQLITE_REASONS.get(code)
        if number is None:
            raise
        raise HomeError(f"{path} cannot be written: {error}.", REMEDIES[number]) from error


REMEDIES = {
    errno.ENOSPC: "Free some space, or set DEMLOPMENT_HOME to another disk.",
    errno.EDQUOT: "Free some space, or set DEMLOPMENT_HOME to another disk.",
    errno.EACCES: "Give yourself write permission, or set DEMLOPMENT_HOME to a folder of your own.",
    errno.EPERM: "Give yourself write permission, or set DEMLOPMENT_HOME to a folder of your own.",
    errno.EROFS: "The file system is read-only: set DEMLOPMENT_HOME to a folder that can be written.",
    errno.ENOTDIR: "A file stands where a folder is needed: move it, or set DEMLOPMENT_HOME to another folder.",
    errno.EEXIST: "A file stands where a folder is needed: move it, or set DEMLOPMENT_HOME to another folder.",
}
SQLITE_REASONS: dict[int | None, int] = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}
