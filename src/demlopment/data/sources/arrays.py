"""The arrays of a NumPy .npz file, read a slice at a time. Runs nothing that stands in one, and knows no picture."""

import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from demlopment.data.sources.port import unreadable
from demlopment.data.sources.unpacked import AGAIN, PIECE
from demlopment.errors import DataError

ENDING = ".npy"
FORMAT = "Save numbers or text with `np.savez(file, x=pictures, y=labels)`."
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, KeyError, SyntaxError, tokenize.TokenError),  # NumPy reads a header as Python's own text
)
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Header:
    """What the start of an array says of it."""

    member: str
    shape: tuple[int, ...]
    kind: np.dtype[Any]


class Slices:
    """An array that is read from its start to its end."""

    def __init__(self, path: Path, header: Header, stream: IO[bytes]) -> None:
        self._path, self._header, self._stream = path, header, stream
        _header(path, header.member, stream)

    def next(self, rows: int) -> Array:
        """The next `rows` of it. Raises DataError where the file ends earlier, or is broken."""
        shape = (rows, *self._header.shape[1:])
        size = math.prod(shape) * self._header.kind.itemsize
        with _explained(self._path, self._header.member):
            data = self._stream.read(size)  # zipfile gives fewer bytes only at the end
        if len(data) < size:
            raise DataError(f"{self._path}: {self._header.member} ends {size - len(data)} bytes or more too early.", AGAIN)
        return np.frombuffer(data, self._header.kind).reshape(shape)

    def starts(self, rows: int, most: int) -> list[bytes]:
        """The first `most` bytes of each of the next `rows`, none of which need fit into memory. Raises as `next`."""
        size = math.prod(self._header.shape[1:]) * self._header.kind.itemsize
        return [self._start(size, most) for _ in range(rows)]

    def _start(self, size: int, most: int) -> bytes:
        start, left = b"", size
        while left:
            with _explained(self._path, self._header.member):
                piece = self._stream.read(min(left, PIECE))
            if not piece:
                raise DataError(f"{self._path}: {self._header.member} ends {left} bytes or more too early.", AGAIN)
            start, left = start + piece[: most - len(start)], left - len(piece)
        return start

    def end(self) -> None:
        """Raise DataError unless everything has been read; zip's checksum is looked at here."""
        with _explained(self._path, self._header.member):
            if self._stream.read(1):
                raise DataError(f"{self._path}: {self._header.member} goes on after what its header speaks of.", AGAIN)


def members(path: Path) -> list[str]:
    """The names under which the file's arrays were saved."""
    with _explained(path, "it"), zipfile.ZipFile(path) as archive:
        return [member.removesuffix(ENDING) for member in archive.namelist() if member.endswith(ENDING)]


def headers(path: Path, wanted: Container[str]) -> dict[str, Header]:
    """What the arrays of these names are, where there are such. Raises DataError for one that cannot be read in slices."""
    found = {}
    for name in members(path):
        member = name + ENDING
        if name in wanted:
            with _explained(path, member), zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                found[name] = _header(path, member, stream)
    return found


@contextmanager
def side_by_side(path: Path, headers: Sequence[Header]) -> Iterator[list[Slices]]:
    """The arrays, side by side, each at its first row."""
    with ExitStack() as stack:
        with _explained(path, "it"):
            archive = stack.enter_context(zipfile.ZipFile(path))
            streams = [stack.enter_context(archive.open(header.member)) for header in headers]
        yield [Slices(path, header, stream) for header, stream in zip(headers, streams, strict=True)]


def _header(path: Path, member: str, stream: IO[bytes]) -> Header:
    """Read the start of an array. Raises DataError for one that holds Python objects, or cannot be read in slices."""
    with _explained(path, member):
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise DataError(f"{path}: {member} has the format {version[0]}.{version[1]} of arrays.", FORMAT)
        shape, fortran, kind = read(stream)
    if kind.hasobject:
        raise DataError(f"{path}: {member} holds Python objects, which are never loaded.", FORMAT)
    if not shape or kind.itemsize == 0:
        raise DataError(f"{path}: {member} has the shape {shape} and the type {kind}.", FORMAT)
    if fortran and len(shape) > 1:
        raise DataError(f"{path}: {member} is stored column by column.", "Save `np.ascontiguousarray(...)` of it.")
    return Header(member, shape, kind)


@contextmanager
def _explained(path: Path, member: str) -> Iterator[None]:
    """Say in our words what zipfile and NumPy say of a broken file."""
    try:
        yield
    except BROKEN as broken:
        raise DataError(f"{path} is not a whole .npz file: {member}: {str(broken).rstrip('.')[:200]}.", AGAIN) from broken
    except OSError as error:
        raise unreadable(path, error) from error
