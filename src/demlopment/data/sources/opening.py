"""Which source reads a path: told by what is in the file, not by its name."""

from pathlib import Path

from demlopment.data.sources.idx import idx, is_idx
from demlopment.data.sources.packaged import packaged_digits
from demlopment.data.sources.port import Source
from demlopment.data.sources.unpacked import unpacked


def opened(path: Path | None = None) -> Source:
    """The packaged digits, or the rows of a user's file: IDX pictures with their labels beside them, or lines of numbers.

    Raises DataError naming the file if it cannot be read, or is none of these.
    """
    if path is None:
        return packaged_digits()
    with unpacked(path) as file:
        start = file.upto(4)
    return idx(path) if is_idx(start) else packaged_digits(path)
