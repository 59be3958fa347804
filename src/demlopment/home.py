"""The folder where everything lives: its rooms on disk, its lock, and writes that are whole or not there. Knows no room."""

import errno
import fcntl
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from demlopment.errors import DataError, HomeError

PARTIAL = ".partial"  # the ending of a file that is being written; one that is found was never finished
WRITER = re.compile(rf"\.(\d+)(?:-(\d*))?{re.escape(PARTIAL)}$")  # the second number is missing from what older releases left
NEEDED_MB = 100  # a whole demo leaves about 30 MB; below this a run would stop half-way


@dataclass(frozen=True)
class Home:
    """Paths below one root, and the lake, which may be elsewhere. Nothing is created before `open` or the first write."""

    root: Path
    elsewhere: str | None = None  # a folder or a URI

    @property
    def lake(self) -> Path | str:
        """A folder, or the URI of an object store."""
        if self.elsewhere is None:
            return self.root / "lake"
        return self.elsewhere if "://" in self.elsewhere else Path(self.elsewhere)

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def cards(self) -> Path:
        """Of models, for people; the archives have cards of their own, for machines."""
        return self.root / "cards"

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
    def checkpoint(self) -> Path:
        """Of the fit that is running, or was when its process was killed."""
        return self.root / "fit.pt"

    @property
    def turn(self) -> Path:
        """What is known of the turn that is running, or was when its process was killed."""
        return self.root / "turn.json"

    @property
    def history(self) -> Path:
        return self.root / "history.db"

    @property
    def studies(self) -> Path:
        return self.root / "studies"

    @property
    def downloads(self) -> Path:
        return self.root / "downloads"

    @property
    def report(self) -> Path:
        return self.root / "report"

    def open(self, *, growing: bool = True) -> None:
        """Create the root, see that it can be written and has room, and remove what an interrupted write left.

        Who only looks or removes (not `growing`) needs no room, and a root that is there is left as it is. Raises HomeError
        naming the folder and what is wrong with it.
        """
        if not growing and self.root.is_dir():
            return
        try:
            with explained(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.root) as probe:
                    probe.write(b"demlopment")
        except OSError as error:
            raise HomeError(
                f"{self.root} cannot be a home: {error.strerror}.", "Set DEMLOPMENT_HOME to a folder that can be created."
            ) from error
        free_mb = shutil.disk_usage(self.root).free // 1_000_000
        if growing and free_mb < NEEDED_MB:
            raise HomeError(
                f"The disk that holds {self.root} has {free_mb} MB left, and a run needs {NEEDED_MB}.",
                "Free some space, or set DEMLOPMENT_HOME to another disk.",
            )
        sweep(self.root.rglob(f"*{PARTIAL}"))

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
        partial = path.with_name(f"{path.name}{ending()}")
        try:
            with partial.open("wb") as file:
                hold(file)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Make a folder of what is written into the one given, which appears whole or not at all.

    Raises DataError if there is one that holds something, HomeError where nothing can be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder} is already there.", "Name a folder that does not exist yet.")
    folder = folder.absolute()
    partial = folder.with_name(f"{folder.name}{ending()}")
    with explained(folder):
        for left in folder.parent.glob("*"):  # not by the folder's name, which may hold a wildcard
            if left.name.startswith(f"{folder.name}.") and left.is_dir() and abandoned(left):
                shutil.rmtree(left, ignore_errors=True)
        try:
            _make(partial)
            yield partial
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _make(partial: Path) -> None:
    """The folder with those above it. Raises HomeError where the system has no room for files of ours, as in /proc."""
    try:
        partial.mkdir(parents=True)
    except FileNotFoundError as error:
        raise HomeError(f"{partial.parent} takes no folders.", "Name a folder that can be created.") from error


def birth(pid: int) -> str:
    """When a process started, in ticks since the machine did, or "" if it does not run: numbers are used again."""
    try:
        # Its name, in parentheses, may have spaces and parentheses of its own.
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state == "Z" else fields[18]  # a zombie is dead, only not collected yet


def ending() -> str:
    """The ending of a file that this process is writing: it says whose it was if we are killed."""
    return f".{os.getpid()}-{birth(os.getpid())}{PARTIAL}"


def hold(file: IO[bytes]) -> None:
    """Keep others from taking `file` for one that was never finished, until it is closed or we die.

    In another container our number says nothing, or is another process's.
    """
    fcntl.flock(file, fcntl.LOCK_EX)


def sweep(partials: Iterable[Path]) -> None:
    """Remove those files that nobody is writing any more. Only what has our `ending` is ours; folders stay."""
    for partial in partials:
        if partial.is_file() and abandoned(partial) and not _held(partial):
            partial.unlink(missing_ok=True)


def abandoned(partial: Path) -> bool:
    """Whether the process that gave a file or folder our `ending` has ended; of any other name False."""
    writer = WRITER.search(partial.name)
    # The process of that number may be another one by now: in a container ours has the same at every start.
    return writer is not None and (writer[2] is None or birth(int(writer[1])) != writer[2])


def _held(partial: Path) -> bool:
    try:
        with partial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # it is held, or somebody else's
        return True
    return False


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
    errno.ENOSPC: "Free some space and run it again, or set DEMLOPMENT_HOME to another disk.",
    errno.EDQUOT: "Free some space and run it again, or set DEMLOPMENT_HOME to another disk.",
    errno.EFBIG: "A limit on the size of files is in force: raise it with `ulimit -f unlimited`.",
    errno.EACCES: "Give yourself write permission, or set DEMLOPMENT_HOME to a folder of your own.",
    errno.EPERM: "Give yourself write permission, or set DEMLOPMENT_HOME to a folder of your own.",
    errno.EROFS: "The file system is read-only: set DEMLOPMENT_HOME to a folder that can be written.",
    errno.ENOTDIR: "A file stands where a folder is needed: move it, or set DEMLOPMENT_HOME to another folder.",
    errno.EISDIR: "A folder stands where a file is needed: name a file, or move the folder.",
    errno.EEXIST: "A file stands where a folder is needed: move it, or set DEMLOPMENT_HOME to another folder.",
}
SQLITE_REASONS: dict[int | None, int] = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}
