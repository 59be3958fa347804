"""Small files in the formats that the sources read. For tests only."""

import gzip
import struct
import zipfile
from functools import partial
from pathlib import Path

import cv2
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
    pack, ending = (partial(gzip.compress, mtime=0), ".gz") if packed else (bytes, "")  # the same bytes at any time
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{prefix}-images-idx3-ubyte{ending}"
    path.write_bytes(pack(idx_bytes(pictures(count))))
    labels = (np.arange(count) % 10).astype(np.uint8)
    (folder / f"{prefix}-labels-idx1-ubyte{ending}").write_bytes(pack(idx_bytes(labels)))
    return path


def png(picture: npt.NDArray[np.integer]) -> bytes:
    """A picture of any type and number of channels as PNG."""
    return cv2.imencode(".png", picture)[1].tobytes()


def folder_of_pictures(folder: Path, count: int) -> Path:
    """A picture a file in folders 0 to 9, so that labels 0 to 9 come in turn, and a CSV that says so; the folder's path."""
    path = folder / "pictures"
    path.mkdir(parents=True)
    noise = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)  # files of about the size of real ones
    rows = ["file,label,writer"]
    for number in range(count):
        name = f"{number // 1000}/{number:05}.png"
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(png(np.roll(noise, number) // (1 + number // 784)))
        rows.append(f"{name},{number % 10},w{number % 3}")
    (path / "labels.csv").write_text("\n".join(rows) + "\n")
    return path


def zip_of_pictures(folder: Path, count: int) -> Path:
    """The same in a zip."""
    return zipped(folder / "pictures.zip", folder_of_pictures(folder, count))


def zipped(path: Path, folder: Path, below: str = "") -> Path:
    """A zip at `path` of all files in the folder."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, below + str(file.relative_to(folder)))
    return path


def csv_digits(folder: Path, count: int) -> Path:
    path = folder / "own.csv"
    path.write_text("".join("0," * 300 + "255," * 80 + "0," * 404 + f"{number % 10}\n" for number in range(count)))
    return path
