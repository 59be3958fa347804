"""Optuna's journal in a file, an entry a line, each whole or not there. Knows nothing of what the entries say.

Optuna's own file takes a torn last line for part of the next entry, after which nobody can read it; and its lock
outlives a killed process by half a minute.
"""

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

from demlopment.errors import HomeError
from demlopment.home import explained


class Logbook(BaseJournalBackend):
    """A journal that a `kill -9` or a full disk leaves as it was before the entry that was being written."""

    def __init__(self, path: Path) -> None:
        """Raises HomeError if the file cannot be made, or is none."""
        self._path = path
        if path.is_dir():
            raise HomeError(f"{path} is a folder, and no journal.", "Move it, or search under another name.")
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._reader = JournalFileBackend(str(path))

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self._reader.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Raises HomeError if the disk does not take them; nothing of them is kept then."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with explained(self._path), self._path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the kernel lets go when its holder dies
            end = _end(file)
            file.truncate(end)
            file.seek(end)
            try:
                _write(file, lines.encode())
            except OSError:
                file.truncate(end)
                raise


def _write(file: IO[bytes], data: bytes) -> None:
    while data:  # a disk that is nearly full takes a part first, and says so the next time
        data = data[file.write(data) :]
    os.fsync(file.fileno())


def _end(file: IO[bytes]) -> int:
    """Where the last whole line ends: what follows it was never finished."""
    end, block = file.seek(0, os.SEEK_END), 4096
    while end:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
