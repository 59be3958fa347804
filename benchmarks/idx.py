"""IDX files of any number of rows: MNIST's own or the packaged digits, repeated until they are enough. Measures nothing."""

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demlopment.data import packaged_digits
from demlopment.data.sources.idx import labels_beside

PICTURES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
GZIPPED = b"\x1f\x8b"
# Tones of ink of which the lowest bit may change: none becomes paper or full ink, so the picture is still a prepared one.
INK, FULL = 64, 250

Bytes = npt.NDArray[np.uint8]


def digits(pictures: Path | None) -> tuple[Bytes, Bytes]:
    """Pictures (n, 28, 28) and their labels (n,): those of an IDX file and of that beside it, or the packaged 5,000."""
    if pictures is None:
        frame = packaged_digits().frame
        packaged = np.frombuffer(b"".join(frame["image"]), np.uint8).reshape(-1, 28, 28)
        return packaged, frame["label"].cast(int).to_numpy().astype(np.uint8)
    return _values(pictures, 16).reshape(-1, 28, 28), _values(labels_beside(pictures), 8)


def written(folder: Path, rows: int, pictures: Bytes, labels: Bytes) -> Path:
    """Write that many rows to a new folder, nearly all unlike each other; where the pictures lie.

    The first time the pictures come as they are, and then each time with the lowest bit of their ink drawn by chance.
    """
    folder.mkdir()
    rng = np.random.default_rng(rows)
    with (folder / PICTURES).open("wb") as some, (folder / LABELS).open("wb") as others:
        some.write(struct.pack(">4B3I", 0, 0, 8, 3, rows, 28, 28))
        others.write(struct.pack(">4B1I", 0, 0, 8, 1, rows))
        for first in range(0, rows, len(pictures)):
            count = min(len(pictures), rows - first)
            some.write((pictures if first == 0 else _jittered(pictures, rng))[:count].tobytes())
            others.write(labels[:count].tobytes())
    return folder / PICTURES


def _jittered(pictures: Bytes, rng: np.random.Generator) -> Bytes:
    ink = (pictures >= INK) & (pictures < FULL)
    return pictures ^ (rng.integers(0, 2, pictures.shape, np.uint8) & ink)


def _values(file: Path, header: int) -> Bytes:
    data = file.read_bytes()
    return np.frombuffer(gzip.decompress(data) if data.startswith(GZIPPED) else data, np.uint8, offset=header)
