"""One file read from its start to its end, gzipped or plain, a piece at a time. Knows no format but gzip."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from demlopment.data.sources.port import unreadable
from demlopment.errors import DataError

GZIP_SIGNATURE = b"\x1f\x8b"
AGAIN = "Copy or download it again."
PIECE = 1 << 20  # bytes


class Unpacked:
    """The bytes of a file as they were before it was packed."""

    def __init__(self, path: Path, stream: IO[bytes] | gzip.GzipFile) -> None:
        self.path, self._stream = path, stream
        self.position = 0  # bytes read so far

    def exactly(self, size: int, part: str) -> bytes:
        """The next `size` bytes. Raises DataError where the file ends earlier, or is broken."""
        data = self.upto(size)
        if len(data) < size:
            raise DataError(
                f"{self.path} ends after {self.position} bytes, in {part}: {size - len(data)} bytes or more are missing.", AGAIN
            )
        return data

    def upto(self, size: int) -> bytes:
        """The next bytes, fewer than `size` at the end of the file. Raises DataError where it is broken."""
        pieces, left = [], size
        try:
            while left and (piece := self._stream.read(left)):
                pieces.append(piece)
                left -= len(piece)
        except (EOFError, gzip.BadGzipFile, zlib.error) as broken:
            raise DataError(
                f"{self.path} is not a whole gzip file: {broken}, after {self.position + size - left} unpacked bytes.", AGAIN
            ) from broken
        except OSError as error:
            raise unreadable(self.path, error) from error
        self.position += size - left
        return b"".join(pieces)

    def rest(self) -> bytes:
        """Everything that is left. Raises DataError where the file is broken."""
        return b"".join(iter(lambda: self.upto(PIECE), b""))

    def end(self) -> None:
        """Raise DataError unless everything has been read; gzip's checksum is looked at here."""
        if self.upto(1):
            raise DataError(f"{self.path} goes on after the {self.position - 1} bytes that its header speaks of.", AGAIN)


@contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """Open a file, whatever its name says of its packing. Raises DataError if it cannot be opened."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        try:
            packed = file.read(2) == GZIP_SIGNATURE
            file.seek(0)
        except OSError as error:
            raise unreadable(path, error) from error
        if packed:
            with gzip.GzipFile(fileobj=file, mode="rb") as plain:
                yield Unpacked(path, plain)
        else:
            yield Unpacked(path, file)
