"""Snapshots as plain arrays beside the tables, so that loading one again reads no table. Knows nothing of tables and pins.

A file here is a copy that may be removed at any time: the folder `ready` of a lake that is a folder, else of the home.
One that is not whole, is of another release or was damaged is not there.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demlopment.data.bucket import is_remote
from demlopment.home import ending, hold
from demlopment.images import SIDE
from demlopment.records import Examples

FOLDER = "ready"
FORMAT = 1  # raised when files of an older release would be misread
BLOCK = 1024  # bytes that one number stands for
# Odd factors: whatever happens to one word of a block changes its number, and more is missed once in 2 ** 64.
FACTORS = np.random.default_rng(FORMAT).integers(0, 2**64, BLOCK // 8, np.uint64) | np.uint64(1)
Bytes = npt.NDArray[np.uint8]


class Ready:
    """The arrays of one lake's snapshots. Those of a lake that is no folder stand in `copies`; without it there are none."""

    def __init__(self, root: Path | str, copies: Path | None = None) -> None:
        self._root = copies if is_remote(root) else Path(root)
        self._lake = (str(root),) if is_remote(root) else ()  # one home may have had several lakes

    def find(self, *meaning: object) -> Examples | None:
        """What was kept under the same meaning, if it is whole, in memory of its own."""
        if self._root is None:
            return None
        try:
            with self._file(self._root, meaning).open("rb") as file:
                header = file.readline()
                data = np.fromfile(file, np.uint8)
            shape = json.loads(header)
            whole = header == _header(shape["rows"], shape["width"], data)
            return _examples(data, shape["rows"], shape["width"]) if whole else None
        except (OSError, ValueError, LookupError, TypeError):  # there is none, or no header of ours
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
        if self._root is None or not self._root.is_dir():
            return
        names = np.stack([examples.sources.astype("U"), examples.writers.astype("U")])
        parts = [
            np.ascontiguousarray(examples.images),
            examples.keys.astype("S64"),
            examples.labels.astype(np.int64),
            names,
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
                    file.write(_header(len(examples), names.dtype.itemsize // 4, data))
                    file.write(data.data)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def _file(self, root: Path, meaning: Sequence[object]) -> Path:
        return root / FOLDER / hashlib.sha256(repr((FORMAT, *self._lake, *meaning)).encode()).hexdigest()


def _examples(data: Bytes, rows: int, width: int) -> Examples:
    """Views of `data`, one array after the other; only the keys become longer."""
    pixels, keys, labels, names = np.split(data, np.cumsum([rows * SIDE * SIDE, rows * 64, rows * 8]))
    return Examples(
        keys=keys.astype(np.uint32).view("U64"),
        images=pixels.reshape(rows, SIDE, SIDE),
        labels=labels.view(np.int64),
        sources=names[: rows * width * 4].view(f"U{width}"),
        writers=names[rows * width * 4 : 2 * rows * width * 4].view(f"U{width}"),
    )


def _header(rows: int, width: int, data: Bytes) -> bytes:
    """The line before `data`: what it needs to be read, and a check over all of it."""
    numbers = np.einsum("ij,j->i", data.view(np.uint64).reshape(-1, BLOCK // 8), FACTORS)
    check = hashlib.sha256(f"{rows} {width} ".encode() + numbers.tobytes()).hexdigest()
    return json.dumps({"rows": rows, "width": width, "check": check}).encode() + b"\n"
