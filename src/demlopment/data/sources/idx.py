"""IDX files, the format of MNIST, EMNIST and QMNIST, gzipped or plain, read a batch at a time. Judges no row.

A file is four bytes (0, 0, type, number of dimensions), the dimensions as big-endian 32-bit numbers, then the values.
QMNIST's labels have eight columns: class, series of NIST's forms, writer, and five numbers that say where it stood.
"""

import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from demlopment import images
from demlopment.data.contract import FILE, GREY
from demlopment.data.sources.port import UNSTATED, digest, fitting, own_name, raw_frame, unreadable
from demlopment.data.sources.unpacked import Unpacked, unpacked
from demlopment.errors import DataError

UBYTE, INT = 0x08, 0x0C  # types of values: whole numbers of one byte without a sign, and of four with one
WIDTHS = {UBYTE: 1, INT: 4}
EXTENDED = 8  # columns of QMNIST's labels
CLASS, WRITER = 0, 2  # those that we keep


@dataclass(frozen=True)
class Idx:
    """A file of pictures and one of labels, row for row. Make one with `idx`."""

    pictures: Path
    labels: Path
    name: str
    sha256: str
    licence: str
    rows: int | None
    classes: Mapping[int, str] = field(default_factory=dict)  # label -> name of the class; empty: the number is the name
    transposed: bool = False  # the pictures lie on their side, as EMNIST's do
    origin: str = ""  # SHA-256 of the pictures

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source. Pictures of another size than 28 x 28 come as PNG."""
        with unpacked(self.pictures) as pictures, unpacked(self.labels) as labels:
            count, height, width = _picture_header(pictures)
            columns = _label_header(labels, count, self.pictures)
            size = fitting(height * width)
            for first in range(0, count, size):
                rows = min(size, count - first)
                part = f"the pictures {first + 1} to {first + rows} of {count}"
                pixels = np.frombuffer(pictures.exactly(rows * height * width, part), np.uint8).reshape(rows, height, width)
                names, writers = self._named(labels, rows, columns, f"the labels {first + 1} to {first + rows} of {count}")
                yield self._frame(pixels, names, writers, first)
            pictures.end()
            labels.end()

    def _named(self, file: Unpacked, rows: int, columns: int, part: str) -> tuple[list[str], list[str] | None]:
        """The class and the writer of each row."""
        if columns == 1:
            numbers, writers = np.frombuffer(file.exactly(rows, part), np.uint8).tolist(), None
        else:
            table = np.frombuffer(file.exactly(rows * columns * WIDTHS[INT], part), ">i4").reshape(rows, columns)
            numbers, writers = table[:, CLASS].tolist(), [f"nist-{number}" for number in table[:, WRITER].tolist()]
        if not self.classes:
            return [str(number) for number in numbers], writers
        # A number that the mapping lacks must not pass for the class of that name.
        return [self.classes.get(number, f"unmapped {number}") for number in numbers], writers

    def _frame(self, pixels: npt.NDArray[np.uint8], names: list[str], writers: list[str] | None, first: int) -> pl.DataFrame:
        upright = np.ascontiguousarray(pixels.transpose(0, 2, 1)) if self.transposed else pixels
        grey = upright.shape[1:] == (images.SIDE, images.SIDE)
        pictures = [picture.tobytes() if grey else images.encode_png(picture) for picture in upright]
        return raw_frame(
            pictures,
            names,
            source=self.name,
            licence=self.licence,
            origins=self.origin,
            kind=GREY if grey else FILE,
            writers=writers,
            first=first,
        )


def idx(
    pictures: Path,
    labels: Path | None = None,
    mapping: Path | None = None,
    *,
    name: str | None = None,
    licence: str = UNSTATED,
) -> Idx:
    """The pictures of one file with the labels of another: the one given, or that with the matching name beside it.

    `mapping` is EMNIST's "label character-code" a line; files named emnist-... need it, and it is found beside them.
    Raises DataError for a file that cannot be read, has another format, or speaks of another number of rows.
    """
    labels = labels or labels_beside(pictures)
    emnist = pictures.name.startswith("emnist-")
    mapping = mapping or (_mapping_beside(pictures) if emnist else None)
    origin, sha256 = digest(pictures), digest(pictures, labels, *([mapping] if mapping else []))
    with unpacked(pictures) as first, unpacked(labels) as second:
        count, _, _ = _picture_header(first)
        _label_header(second, count, pictures)
    return Idx(
        pictures,
        labels,
        name or own_name(pictures.name.split(".")[0], sha256),
        sha256,
        licence,
        count,
        _classes(mapping) if mapping else {},
        transposed=emnist,
        origin=origin,
    )


def is_idx(start: bytes) -> bool:
    """Whether a file that starts so (unpacked) is an IDX file."""
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in (0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E) and 1 <= start[3] <= 4


def labels_beside(pictures: Path) -> Path:
    """The labels that belong to a file of pictures by its name. Raises DataError where there are none."""
    named = re.fullmatch(r"(.*)images([-.])idx3-ubyte(\.gz)?", pictures.name, re.DOTALL)
    kinds = [f"{named[1]}labels{named[2]}{kind}" for kind in ("idx1-ubyte", "idx2-int")] if named else []
    for kind in kinds:
        for ending in (".gz", ""):
            found = pictures.with_name(kind + ending)
            if found.is_file():
                return found
    raise DataError(f"There are no labels beside {pictures}.", "Give their file with `--labels FILE`.")


def _mapping_beside(pictures: Path) -> Path:
    """The mapping that belongs to EMNIST's pictures. Raises DataError without one: its letter 1 would pass for the digit."""
    found = pictures.with_name(re.sub(r"-(train|test)-images.*", "", pictures.name, flags=re.DOTALL) + "-mapping.txt")
    if not found.is_file():
        raise DataError(f"There is no mapping of the labels beside {pictures}.", f"Copy EMNIST's {found.name} there.")
    return found


def _classes(mapping: Path) -> dict[int, str]:
    """Label -> the first character of its line: the letters' lines name the capital, then the small one."""
    try:
        lines = mapping.read_text("ascii", "replace").splitlines()
    except OSError as error:
        raise unreadable(mapping, error) from error
    classes = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2 or not all(each.isascii() and each.isdigit() and len(each) < 4 for each in fields):
            raise DataError(
                f"{mapping}, line {number}: {line[:40]!r} does not fit.", "Give lines of a label and a character code."
            )
        classes[int(fields[0])] = chr(int(fields[1]))
    if not classes:
        raise DataError(f"{mapping} is empty.", "Give lines of a label and a character code.")
    return classes


def _picture_header(file: Unpacked) -> tuple[int, int, int]:
    """Number, height and width of the pictures."""
    kind, shape = _header(file)
    if kind != UBYTE or len(shape) != 3:
        raise _unfit(file, kind, shape, "pictures: three dimensions of one byte each")
    count, height, width = shape
    if not 0 < height * width <= images.MAX_PIXELS:
        raise DataError(
            f"{file.path} speaks of pictures of {width} x {height} pixels.",
            f"Give pictures of 1 to {images.MAX_PIXELS} pixels, or copy the file again.",
        )
    return count, height, width


def _label_header(file: Unpacked, pictures: int, beside: Path) -> int:
    """How many columns the labels have."""
    kind, shape = _header(file)
    if (kind, len(shape)) != (UBYTE, 1) and (kind, shape[1:]) != (INT, (EXTENDED,)):
        raise _unfit(file, kind, shape, f"labels: one dimension of one byte each, or {EXTENDED} columns of four")
    if shape[0] != pictures:
        raise DataError(
            f"{file.path} speaks of {shape[0]} labels, and {beside} of {pictures} pictures.",
            "Give the labels of these pictures.",
        )
    return math.prod(shape[1:])


def _header(file: Unpacked) -> tuple[int, tuple[int, ...]]:
    """The type of the values, and the dimensions."""
    magic = file.upto(4)
    if not is_idx(magic):
        raise DataError(f"{file.path} is no IDX file: it starts with {magic!r}.", "Give the files that MNIST is published in.")
    return magic[2], struct.unpack(f">{magic[3]}I", file.exactly(4 * magic[3], "its header"))


def _unfit(file: Unpacked, kind: int, shape: tuple[int, ...], wanted: str) -> DataError:
    return DataError(
        f"{file.path} has {len(shape)} dimensions ({' x '.join(map(str, shape))}) of type {kind:#04x}, no {wanted}.",
        "Give the file of the pictures first, then that of their labels.",
    )
