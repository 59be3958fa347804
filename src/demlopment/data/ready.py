"""Snapshots as plain arrays beside the tables, so that loading one again reads no table. Knows nothing of tables and pins.

A file here is a copy that may be removed at any time: the folder `ready` of a lake that is a folder, else of the home.
One that is not whole, is of another release or was damaged is not there. It is read, not mapped: of a mapped file a process
has whatever somebody writes into it later, and dies where it was cut short. So each process that loads it has its own bytes.
"""

import contextlib
import hashlib
import json
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.data.bucket import is_remote
from demlopment.home import ending, hold
from demlopment.images import SIDE
from demlopment.records import Examples

FOLDER = "ready"
FORMAT = 3  # raised when files of an older release would be misread
BLOCK = 1024  # bytes that one number stands for
# Odd factors: whatever happens to one word of a block changes its number, and more is missed once in 2 ** 64.
FACTORS = np.random.default_rng(1).integers(0, 2**64, BLOCK // 8, np.uint64) | np.uint64(1)
PIECE = 1024 * BLOCK  # bytes that are checked at once
# Memory that the system hands over at once: a page at a time, as it is touched, it takes a third longer, huge ones as well.
FRESH = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0)
Bytes = npt.NDArray[np.uint8]


class Ready:
    """The arrays of one lake's snapshots. Those of a lake that is no folder stand in `copies`; without it there are none."""

    def __init__(self, root: Path | str, copies: Path | None = None) -> None:
        self._root = copies if is_remote(root) else Path(root)
        self._lake = (str(root),) if is_remote(root) else ()  # one home may have had several lakes

    def find(self, *meaning: object) -> Examples | None:
        """What was kept under the same meaning, if it is whole; whoever writes to it changes no file."""
        if self._root is None:
            return None
        try:
            with self._file(self._root, meaning).open("rb") as file:
                line = file.readline()
                header = json.loads(line)
                header.pop("check")
                data = np.frombuffer(mmap.mmap(-1, max(0, os.fstat(file.fileno()).st_size - len(line)), FRESH), np.uint8)
                return _examples(header, data) if line == _line(header, map(_sums, _filled(data, file))) else None
        except (OSError, ValueError, LookupError, TypeError, AttributeError):  # there is none, or no header of ours
            return None

    def clear(self, *, dry_run: bool = False) -> tuple[str, ...]:
        """Remove every copy, and name them; with `dry_run` they are only named."""
        if self._root is None:
            return ()
        files = sorted((self._root / FOLDER).glob("*"))
        for file in () if dry_run else files:
            file.unlink(missing_ok=True)  # whoever has it open reads on
        return tuple(file.name for file in files)

    def keep(self, examples: Examples, *meaning: object) -> None:
        """Write them whole, or leave nothing: a disk that is full or read-only only makes the next loading slower."""
        if self._root is None or not self._root.is_dir() or examples.images.ndim == 2:
            return  # rows of a table are read from it in no time
        (sources, of_sources), (writers, of_writers) = _numbered(examples.sources), _numbered(examples.writers)
        header = {"rows": len(examples), "sources": sources, "writers": writers}
        parts = [
            np.ascontiguousarray(examples.images),
            examples.keys.astype("S64"),
            examples.labels.astype(np.int64),
            of_sources,
            of_writers,
        ]
        size = sum(part.nbytes for part in parts)
        data = np.zeros(-(-size // BLOCK) * BLOCK, np.uint8)
        np.concatenate([part.reshape(-1).view(np.uint8) for part in parts], out=data[:size])
        path = self._file(self._root, meaning)
        partial = path.with_name(path.name + ending())
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            try:
                with partial.open("wb") as file:
                    hold(file)
                    file.write(_line(header, [_sums(data)]))
                    file.write(data.data)
                partial.chmod(0o444)  # a copy is replaced or removed, never written to
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def _file(self, root: Path, meaning: Sequence[object]) -> Path:
        return root / FOLDER / hashlib.sha256(repr((FORMAT, *self._lake, *meaning)).encode()).hexdigest()


def _filled(data: Bytes, file: BufferedIOBase) -> Iterator[Bytes]:
    """Read the file's rest into `data` and give it a piece at a time, to be checked while the processor has it at hand.

    Raises ValueError where the file ends earlier.
    """
    for start in range(0, len(data), PIECE):
        piece = data[start : start + PIECE]
        if file.readinto(piece.data) < len(piece):
            raise ValueError("the copy was cut short while it was read")
        yield piece


def _numbered(names: npt.NDArray[np.str_]) -> tuple[list[str], npt.NDArray[np.uint32]]:
    """The names that there are, and of each row the place of its own among them."""
    texts = names.tolist()
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return list(places), np.fromiter(map(places.__getitem__, texts), np.uint32, len(texts))


def _examples(header: Mapping[str, Any], data: Bytes) -> Examples:
    """Views of `data`, one array after the other; only keys and names become longer."""
    rows = header["rows"]
    ends = np.cumsum([rows * SIDE * SIDE, rows * 64, rows * 8, rows * 4, rows * 4])
    pixels, keys, labels, sources, writers, _ = np.split(data, ends)
    return Examples(
        keys=keys.astype(np.uint32).view("U64"),
        images=pixels.reshape(rows, SIDE, SIDE),
        labels=labels.view(np.int64),
        sources=_named(header["sources"], sources.view(np.uint32)),
        writers=_named(header["writers"], writers.view(np.uint32)),
    )


def _named(names: Sequence[str], places: npt.NDArray[np.uint32]) -> npt.NDArray[np.str_]:
    """The name of each row; one that all have is in memory once."""
    texts = np.array(names, np.str_)
    return np.broadcast_to(texts, places.shape) if len(names) == 1 else texts[places]


def _sums(data: Bytes) -> npt.NDArray[np.uint64]:
    """Of each block a number that all of its bytes decide."""
    sums: npt.NDArray[np.uint64] = np.einsum("ij,j->i", data.view(np.uint64).reshape(-1, BLOCK // 8), FACTORS)
    return sums


def _line(header: Mapping[str, Any], sums: Iterable[npt.NDArray[np.uint64]]) -> bytes:
    """The line before the data: what it needs to be read, and a check over that and the sums of all of it."""
    digest = hashlib.sha256(json.dumps(header).encode())
    for each in sums:
        digest.update(each.tobytes())
    line = json.dumps({**header, "check": digest.hexdigest()}).encode()
    return line.ljust(-(-(len(line) + 1) // BLOCK) * BLOCK - 1) + b"\n"  # so that each number lies where a processor wants it
