"""Small files in the formats that the sources read. For tests only."""

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt


def idx_bytes(values: npt.NDArray[np.generic]) -> bytes:
    """An array of uint8 or int32 as an IDX file has it."""
    kind = {"uint8": 0x08, "int32": 0x0C}[values.dtype.name]
    big_endian = values.astype(values.dtype.newbyteorder(">"))
    return bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + big_endian.tobytes()


def pictures(count: int, height: int = 28, width: int = 28) -> npt.NDArray[np.uint8]:
    """Different pictures, each with ink in its middle."""
    made = np.zeros((count, height, width), np.uint8)
    for number in range(count):
        made[number, height // 4 : height // 2 + number % (height // 4), width // 3 : width // 2] = 255 - number % 200
    return made


def idx_pair(folder: Path, count: int, *, packed: bool = True, prefix: str = "train") -> Path:
    """Pictures and labels 0 to 9 in turn; the path of the pictures."""
    pack, ending = (gzip.compress, ".gz") if packed else (bytes, "")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{prefix}-images-idx3-ubyte{ending}"
    path.write_bytes(pack(idx_bytes(pictures(count))))
    labels = (np.arange(count) % 10).astype(np.uint8)
    (folder / f"{prefix}-labels-idx1-ubyte{ending}").write_bytes(pack(idx_bytes(labels)))
    return path
