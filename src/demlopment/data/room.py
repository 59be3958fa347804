"""Room on the disk below a table, looked for before Delta adds rows: without it Delta panics, aloud. Knows no table."""

import errno
import os
import re
import shutil
from pathlib import Path

from demlopment.data.bucket import is_remote
from demlopment.errors import HomeError
from demlopment.home import REMEDIES

BESIDE = 250_000  # bytes that a commit takes beside its rows: 160 files, as two million rows are, make a log of half of it
SAID = re.compile(r"os error (\d+)|Os \{ code: (\d+)")


def refusal(said: str) -> int:
    """The operating system's number in what Delta or polars say of a file, 0 where there is none.

    >>> refusal("parquet: underlying IO error: No space left on device (os error 28)")
    28
    """
    found = SAID.search(said)
    return int(found[1] or found[2]) if found else 0


def refuse_full(address: str, size: float) -> None:
    """Raise HomeError if the disk below a folder has no room for so many bytes of rows; an object store has no end."""
    if is_remote(address):
        return
    folder = Path(address).absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if shutil.disk_usage(there).free < size + BESIDE:
        raise HomeError(f"{address} cannot be written: {os.strerror(errno.ENOSPC)}.", REMEDIES[errno.ENOSPC])
