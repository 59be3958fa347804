"""NumPy's .npz files of pictures and labels, read a slice at a time. Runs nothing that stands in a file. Judges no row.

Pictures are called x, X or images, labels y, Y or labels, and writers writers; x_train and x_test are parts of one source.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from demlopment import images
from demlopment.data.contract import FILE, GREY, PIXELS, UNREAD
from demlopment.data.sources import port
from demlopment.data.sources.arrays import FORMAT, Array, Header, Slices, headers, members, side_by_side
from demlopment.data.sources.pixels import as_pixels, scale, scaled
from demlopment.data.sources.port import LEFT_OVER, UNSTATED, digest, fitting, own_name, raw_frame, too_large
from demlopment.errors import DataError

ZIP_SIGNATURE = b"PK\x03\x04"
PARTS = ("", "_train", "_val", "_test")
PICTURES, LABELS, WRITERS = ("x", "X", "images"), ("y", "Y", "labels"), ("writers",)
CHANNELS = (1, 3, 4)
MOST_TEXT = 4096  # bytes of a label or a writer's name: NumPy gives each as many as the longest has
COLOURS = {3: [2, 1, 0], 4: [2, 1, 0, 3]}  # OpenCV writes blue first


@dataclass(frozen=True)
class Part:
    """Arrays that belong together, row for row."""

    pictures: Header
    labels: Header
    writers: Header | None
    scale: int = 1  # 255 for pictures from 0 to 1

    @property
    def large(self) -> bool:
        """Whether a row is too large to be read."""
        return _bytes(self.pictures) > port.LARGEST


Read = tuple[list[bytes], list[str], Sequence[str | None]]  # pictures, formats, faults


@dataclass(frozen=True)
class Npz:
    """A file of arrays. Make one with `npz`."""

    path: Path
    name: str
    sha256: str
    licence: str
    parts: tuple[Part, ...]
    rows: int

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source. Pictures of another size than 28 x 28 come as PNG."""
        first = 0
        for part in self.parts:
            columns = [part.pictures, part.labels, *([part.writers] if part.writers else [])]
            with side_by_side(self.path, columns) as arrays:
                for rows in _sizes(part.pictures):
                    pictures = self._passed(arrays[0], part, rows) if part.large else self._read(arrays[0], part, rows)
                    labels, *writers = (_texts(array.next(rows)) for array in arrays[1:])
                    yield self._frame(pictures, labels, writers[0] if writers else None, first)
                    first += rows
                for array in arrays:
                    array.end()

    def _read(self, array: Slices, part: Part, rows: int) -> Read:
        given = array.next(rows)
        pixels, faults = as_pixels(given, part.scale)
        shaped = pixels.reshape(len(pixels), *_picture_shape(pixels.shape))
        kind = GREY if shaped.shape[1:] == (images.SIDE, images.SIDE) else FILE
        pictures = [
            raw.tobytes()[:LEFT_OVER] if fault else _encoded(picture, kind)
            for raw, picture, fault in zip(given, shaped, faults, strict=True)
        ]
        return pictures, [UNREAD if fault else kind for fault in faults], faults

    def _passed(self, array: Slices, part: Part, rows: int) -> Read:
        """Rows that are too large to be read."""
        return array.starts(rows, LEFT_OVER), [UNREAD] * rows, [too_large(_bytes(part.pictures))] * rows

    def _frame(self, read: Read, labels: list[str | None], writers: list[str | None] | None, first: int) -> pl.DataFrame:
        pictures, kinds, faults = read
        return raw_frame(
            pictures,
            labels,
            source=self.name,
            licence=self.licence,
            origins=self.sha256,
            kind=kinds,
            writers=writers,
            faults=faults,
            first=first,
        )


def npz(path: Path, *, name: str | None = None, licence: str = UNSTATED) -> Npz:
    """The rows of all parts of the file, one part after the other.

    Pictures are (n, 784), (n, height, width) or with 1, 3 or 4 channels last; from 0 to 255, or fractions of 255 from 0 to 1.
    Raises DataError naming the file, and the array, if it cannot be read, has another form, or holds Python objects.
    """
    sha256 = digest(path)
    found = headers(path, {name + ending for name in (*PICTURES, *LABELS, *WRITERS) for ending in PARTS})
    parts = tuple(part for each in PARTS if (part := _part(path, found, each)))
    if not parts:
        shown = ", ".join(sorted(members(path))[:6]) or "nothing"
        raise DataError(f"{path} has no arrays of pictures and labels: it has {shown}.", FORMAT)
    rows = sum(part.pictures.shape[0] for part in parts)
    if not rows:
        raise DataError(f"{path} holds no rows.", FORMAT)
    return Npz(path, name or own_name(path.name.split(".")[0], sha256), sha256, licence, parts, rows)


def is_npz(start: bytes) -> bool:
    """Whether a file that starts so is a zip whose first member is an array."""
    length = int.from_bytes(start[26:28], "little")
    return start.startswith(ZIP_SIGNATURE) and start[30 : 30 + length].endswith(b".npy")


def _part(path: Path, found: Mapping[str, Header], ending: str) -> Part | None:
    """The arrays whose names end so, or None where there are no such pictures."""
    pictures, labels, writers = (_only(path, found, names, ending) for names in (PICTURES, LABELS, WRITERS))
    if pictures is None:
        return None
    if labels is None:
        raise DataError(f"{path} has {pictures.member}, and no {LABELS[0]}{ending} with its labels.", FORMAT)
    shape = _picture_shape(pictures.shape)
    if not shape or pictures.kind.kind not in "buif":
        raise _unfit(path, pictures, f"pictures: (n, {PIXELS}), (n, height, width), or that with 1, 3 or 4 channels")
    if not 0 < math.prod(shape[:2]) <= images.MAX_PIXELS:
        raise _unfit(path, pictures, f"pictures of 1 to {images.MAX_PIXELS} pixels")
    for column in (labels, writers):
        if column and (column.shape[1:] not in ((), (1,)) or column.kind.kind not in "iufUS"):
            raise _unfit(path, column, "column of whole numbers or text")
        if column and column.kind.itemsize > MOST_TEXT:
            raise _unfit(path, column, f"column of at most {MOST_TEXT} bytes a row")
        if column and column.shape[0] != pictures.shape[0]:
            raise DataError(
                f"{path}: {column.member} has {column.shape[0]} rows, and {pictures.member} {pictures.shape[0]}.", FORMAT
            )
    return Part(pictures, labels, writers, _scale(path, pictures))


def _only(path: Path, found: Mapping[str, Header], names: Sequence[str], ending: str) -> Header | None:
    meant = [found[name + ending] for name in names if name + ending in found]
    if len(meant) > 1:
        both = " and ".join(header.member for header in meant)
        raise DataError(f"{path} has {both}, which mean the same.", "Keep the one that is meant.")
    return meant[0] if meant else None


def _picture_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Height and width, and 3 or 4 channels where there are colours; () for what is no array of pictures."""
    match tuple(shape[1:]):
        case (length,) if length == PIXELS:
            return images.SIDE, images.SIDE
        case (height, width):
            return height, width
        case (height, width, channels) if channels in CHANNELS:
            return (height, width) if channels == 1 else (height, width, channels)
    return ()


def _scale(path: Path, pictures: Header) -> int:
    """255 where the pictures' floats reach from 0 to 1, else 1. Raises DataError unless they are whole then."""
    if pictures.kind.kind != "f" or _bytes(pictures) > port.LARGEST:
        return 255 if pictures.kind.kind == "b" else 1
    found = scale(_all(path, pictures))
    for values in _all(path, pictures):
        pixels = scaled(values, found)
        with np.errstate(invalid="ignore"):
            partial = (pixels >= 0) & (pixels <= 255) & (pixels != np.rint(pixels))
        if partial.any():
            value = values[partial].ravel()[0]
            raise DataError(
                f"{path}: {pictures.member} holds {value!s}, neither whole from 0 to 255 nor that divided by 255.",
                "Save the pictures as they were, as uint8.",
            )
    return found


def _all(path: Path, header: Header) -> Iterator[Array]:
    with side_by_side(path, [header]) as (array,):
        for rows in _sizes(header):
            yield array.next(rows)


def _sizes(pictures: Header) -> Iterator[int]:
    """How many rows are read at once, until all are; large pictures come in smaller batches."""
    count, size = pictures.shape[0], fitting(_bytes(pictures))
    for first in range(0, count, size):
        yield min(size, count - first)


def _bytes(pictures: Header) -> int:
    """Of one row."""
    return math.prod(pictures.shape[1:]) * pictures.kind.itemsize


def _encoded(picture: npt.NDArray[np.uint8], kind: str) -> bytes:
    if kind == GREY:
        return picture.tobytes()
    return images.encode_png(picture if picture.ndim == 2 else np.ascontiguousarray(picture[:, :, COLOURS[picture.shape[2]]]))


def _texts(column: Array) -> list[str | None]:
    """Labels as text: 7, 7.0 and "7" are the same; NaN and "" are none."""
    flat = column.reshape(len(column))
    if flat.dtype.kind == "f":
        return [None if math.isnan(each) else f"{each:g}" for each in flat.tolist()]
    if flat.dtype.kind == "S":
        return [each.decode(errors="replace").strip() or None for each in flat.tolist()]
    if flat.dtype.kind == "U":  # numbers may stand there that are no characters, or halves of such
        raws = flat.astype(flat.dtype.newbyteorder("<")).view(f"V{flat.dtype.itemsize}")
        return [bytes(raw).decode("utf-32-le", "replace").rstrip("\0").strip() or None for raw in raws]
    return [str(each).strip() or None for each in flat.tolist()]


def _unfit(path: Path, header: Header, wanted: str) -> DataError:
    shape = " x ".join(map(str, header.shape))
    return DataError(f"{path}: {header.member} is {shape} of {header.kind}, no {wanted}.", FORMAT)
