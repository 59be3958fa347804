"""Bad rows of a source that wait until its good rows are committed: one that breaks off leaves nothing behind. Stores none.

Many of them go to disk, where nobody else sees them and nothing is left of them when the process ends.
"""

import tempfile
from collections.abc import Iterator
from io import BytesIO

import polars as pl

from demlopment.data.known import ROOM
from demlopment.errors import HomeError

IN_MEMORY = 8_000_000  # bytes: as much as a batch has of pictures


class Withheld:
    """Frames in the order in which they came. Close it when it is done."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  it is open until `close`
        self._sizes: list[int] = []

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Each frame once more."""
        self._file.seek(0)
        for size in self._sizes:
            yield pl.read_ipc_stream(BytesIO(self._file.read(size)))

    def add(self, bad: pl.DataFrame) -> None:
        """Keep a frame. Raises HomeError where the folder for temporary files has no room for it."""
        packed = BytesIO()
        bad.write_ipc_stream(packed)
        try:
            self._sizes.append(self._file.write(packed.getvalue()))
        except OSError as error:
            raise HomeError(f"Bad rows cannot be kept in {tempfile.gettempdir()}: {error.strerror}.", ROOM) from error

    def clear(self) -> None:
        """Let go of every frame."""
        self._file.seek(0)
        self._file.truncate()
        self._sizes.clear()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
