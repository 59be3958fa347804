"""Which source reads a path: told by what is in the file, not by its name."""

from pathlib import Path

from demlopment.data.sources.folders import pictures
from demlopment.data.sources.idx import idx, is_idx
from demlopment.data.sources.official import NAMES
from demlopment.data.sources.packaged import PACKAGED, packaged_digits
from demlopment.data.sources.port import UNSTATED, Source, unreadable
from demlopment.data.sources.returned import FEEDBACK
from demlopment.data.sources.spoiled import PLANTED
from demlopment.data.sources.unpacked import unpacked
from demlopment.data.sources.zips import is_zip
from demlopment.errors import DataError

RESERVED = {FEEDBACK, PLANTED, PACKAGED, *NAMES}  # names that say more of a row than where it lay
LONGEST = 100  # characters of a name, which every row carries


def opened(path: Path | None = None, *, name: str | None = None, licence: str | None = None) -> Source:
    """The packaged digits, or the rows of a user's path: a folder or a zip of pictures, IDX pictures with their labels
    beside them, or lines of numbers.

    `name` is what the source is called in the lake, so that a folder which has grown is still the same source.
    Raises DataError naming the path if it cannot be read, or is none of these, and for a name that is not to be had.
    """
    if name is not None:
        _check(name)
    if path is None:
        return packaged_digits(name=name, licence=licence)
    start = b"" if path.is_dir() else _start(path)
    if path.is_dir() or is_zip(start):
        return pictures(path, name=name, licence=licence or UNSTATED)
    with unpacked(path) as file:
        start = file.upto(4)
    return (
        idx(path, name=name, licence=licence or UNSTATED)
        if is_idx(start)
        else packaged_digits(path, name=name, licence=licence)
    )


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise unreadable(path, error) from error


def _check(name: str) -> None:
    if name in RESERVED:
        raise DataError(f"The name {name!r} is reserved for a source of ours.", "Give another name.")
    if not 0 < len(name) <= LONGEST or not name.isprintable() or name != name.strip():
        raise DataError(
            f"The name {name[:LONGEST]!r} does not fit.",
            f"Give 1 to {LONGEST} printable characters without spaces around them.",
        )
