"""Where archives run: each registration has a folder of its own, as in TorchServe, and it goes with it. Knows no archive.

A handler may write into its folder, so nothing that runs is ever taken from one: the next registration, and the next run
of the endpoint, unpack the archive again.
"""

import re
import shutil
import tempfile
from pathlib import Path

ARCHIVES = "archives"
INSTALLED = "packages"  # what requirements name, by the digest of the archive: installed once, and copied
UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]")  # in a title, which may come from an archive
UNFINISHED = ".unfinished"  # the ending of a folder in there that is being written


def fresh(root: Path, title: str) -> Path:
    """An empty folder that nobody else has, below `root`, for somebody who looks there. Raises OSError."""
    place = root / ARCHIVES
    place.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{UNUSUAL.sub('_', title)[:200]}.", dir=place.absolute()))


def remove(folder: Path) -> None:
    """Remove a folder and everything in it, as far as it can be."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove what a former run left in `root`, however it ended, except packages that are installed whole."""
    for each in root.glob("*"):
        if each.name != INSTALLED:
            remove(each)
    for unfinished in (root / INSTALLED).glob(f"*{UNFINISHED}"):
        remove(unfinished)
