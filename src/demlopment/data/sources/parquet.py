"""Parquet files of pictures with labels, as Hugging Face's data sets are, or of columns of pixels. Judges no row.

A picture stands in a column `image`: bytes (of a file, or 784 pixels), {bytes, path}, or a list of 784 numbers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from arro3.io import read_parquet

from demlopment.data.contract import FILE, GREY, PIXELS, UNREAD
from demlopment.data.sources.columns import Columns, columns, whole
from demlopment.data.sources.pixels import Numbers, as_pixels, scale
from demlopment.data.sources.port import LEFT_OVER, UNSTATED, batched, digest, fitting, own_name, raw_frame, unreadable
from demlopment.data.sources.unpacked import AGAIN
from demlopment.errors import DataError

SIGNATURE = b"PAR1"
FORMAT = f"Give columns `label` and `image`: bytes of a picture, {{bytes, path}}, or {PIXELS} numbers."
NO_PICTURE = f"image is no list of {PIXELS} numbers"
# A file of exactly 784 bytes would pass for pixels, were it not for how it starts.
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"RIFF")
WRAPPED = "C Data interface error: Parquet argument error: "  # what stands before every word of arro3's
TEXT = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class Parquet:
    """A file of columns. Make one with `parquet`."""

    path: Path
    name: str
    sha256: str
    licence: str
    columns: Columns
    rows: int
    scale: int = 1  # 255 for pixels from 0 to 1

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source. Of a row group the pages are in memory that are being read, however large it is."""
        first = 0
        for table in _tables(self.path, self.rows):
            sizes = _sizes(table, self.columns.image)
            for rows in batched(range(len(table)), sizes.__getitem__):
                yield self._frame(table[rows[0] : rows[-1] + 1], first)
                first += len(rows)

    def _frame(self, table: pl.DataFrame, first: int) -> pl.DataFrame:
        at = self.columns
        if at.image is not None:
            pictures, kinds, faults = _pictures(table.to_series(at.image), self.scale)
        else:
            pictures, kinds, faults = _rows_of(table[:, list(at.pixels)], self.scale)
        stated = _texts(table, at.licence)
        return raw_frame(
            pictures,
            _texts(table, at.label),
            source=self.name,
            licence=[each or self.licence for each in stated],
            origins=self.sha256,
            kind=kinds,
            writers=_texts(table, at.writer),
            faults=faults,
            first=first,
        )


Read = tuple[list[bytes | None], list[str], Sequence[str | None]]  # pictures, formats, faults


def parquet(path: Path, *, name: str | None = None, licence: str = UNSTATED) -> Parquet:
    """The rows of a Parquet file. Raises DataError naming the file, and the column, if it does not have that form."""
    sha256 = digest(path)
    with _explained(path):
        file = pl.scan_parquet(path, glob=False)
        schema = file.collect_schema()
        rows = file.select(pl.len()).collect().item()
    if not rows:
        raise DataError(f"{path} holds no rows.", FORMAT)
    found = columns(schema.names(), path, encoded=True)
    kinds = schema.dtypes()
    for place in (found.label, found.writer, found.licence):
        if place is not None and not (kinds[place] in TEXT or kinds[place].is_numeric() or kinds[place] == pl.Null):
            raise _unfit(path, schema.names()[place], kinds[place], "Give whole numbers or text.")
    if found.image is not None and not _is_picture(kinds[found.image]):
        raise _unfit(path, schema.names()[found.image], kinds[found.image], FORMAT)
    for place in found.pixels:
        if not (kinds[place].is_numeric() or kinds[place] == pl.Null):
            raise _unfit(path, schema.names()[place], kinds[place], "Give columns of numbers from 0 to 255.")
    scaled = _scale(path, rows, found, kinds)
    return Parquet(path, name or own_name(path.name.split(".")[0], sha256), sha256, licence, found, rows, scaled)


def is_parquet(start: bytes) -> bool:
    """Whether a file that starts so is a Parquet file."""
    return start.startswith(SIGNATURE)


def _tables(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """The rows, so many at a time as fit a batch by what they take in the file."""
    with _explained(path):
        # Not polars' reader, which takes a row group whole; pandas writes a million rows as one.
        tables = iter(read_parquet(path, batch_size=fitting(path.stat().st_size // rows)))
    while True:
        with _explained(path):
            table = next(tables, None)
            if table is None:
                return
            read = pl.DataFrame(table)
        yield read


def _scale(path: Path, rows: int, at: Columns, kinds: Sequence[pl.DataType]) -> int:
    """As `pixels.scale`. Whole numbers are not read for that."""
    places = at.pixels if at.image is None else (at.image,)
    if not any(kind.is_float() or kind.is_decimal() for kind in (_innermost(kinds[place]) for place in places)):
        return 1
    return scale(_flattened(table[:, list(places)]) for table in _tables(path, rows))


def _flattened(table: pl.DataFrame) -> Numbers:
    """Every number of columns of numbers, or of one of lists of them."""
    column = table.to_series()
    while isinstance(column.dtype, pl.List | pl.Array):
        column = column.explode()
    return table.to_numpy() if table.width > 1 else column.to_numpy()


def _innermost(kind: pl.DataType) -> pl.DataType:
    """The type of what stands in lists, of lists or not."""
    while isinstance(kind, pl.List | pl.Array):
        kind = cast("pl.DataType", kind.inner)
    return kind


def _sizes(table: pl.DataFrame, image: int | None) -> list[int]:
    """Bytes of each row's picture; of numbers all rows are taken to have the same."""
    column = table.to_series(image or 0)
    if isinstance(column.dtype, pl.Struct):
        column = column.struct.field("bytes")
    if image is not None and column.dtype == pl.Binary:
        return column.bin.size().fill_null(0).to_list()
    return [int(table.estimated_size()) // max(1, len(table))] * len(table)


def _is_picture(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.Struct):
        return any(field.name == "bytes" and field.dtype == pl.Binary for field in kind.fields)
    if isinstance(kind, pl.List | pl.Array):
        inner = kind.inner
        return isinstance(inner, pl.DataType) and inner != pl.Binary and _is_picture(inner)
    return kind == pl.Binary or kind.is_numeric()


def _pictures(column: pl.Series, scale: int) -> Read:
    """The column `image`, whichever way it holds pictures."""
    if isinstance(column.dtype, pl.Struct):
        column = column.struct.field("bytes")
    if column.dtype != pl.Binary:
        return _listed(column, scale)
    pictures = column.to_list()
    kinds = [GREY if each and len(each) == PIXELS and not each.startswith(SIGNATURES) else FILE for each in pictures]
    return pictures, kinds, [None] * len(pictures)


def _listed(column: pl.Series, scale: int) -> Read:
    """Lists of numbers, or lists of rows of numbers."""
    even = _evenly(column)
    if even is not None:
        pixels, faults = as_pixels(even, scale)
        return _kept(pixels, faults, [column[place].to_list() if fault else () for place, fault in enumerate(faults)])
    lists = column.to_list()
    arrays = [_flat(each) for each in lists]
    pixels, faults = as_pixels(np.stack([np.zeros(PIXELS) if each is None else each for each in arrays]), scale)
    read = [
        None if given is None else NO_PICTURE if array is None else fault
        for given, array, fault in zip(lists, arrays, faults, strict=True)
    ]
    return _kept(pixels, read, lists)


def _evenly(column: pl.Series) -> npt.NDArray[np.generic] | None:
    """The numbers of lists that all have as many as a picture, a line each; None where one has not."""
    rows = len(column)
    while isinstance(column.dtype, pl.List | pl.Array):
        if column.null_count() or (isinstance(column.dtype, pl.List) and column.list.len().n_unique() > 1):
            return None
        column = column.explode()
    return column.to_numpy().reshape(rows, PIXELS) if len(column) == rows * PIXELS else None


def _flat(given: Any) -> npt.NDArray[np.float64] | None:
    """The numbers of a list or a list of lists, a missing one as NaN; None unless they are as many as a picture has."""
    try:
        array = np.array(given, np.float64).ravel()
    except (ValueError, TypeError):
        return None
    return array if len(array) == PIXELS else None


def _kept(pixels: npt.NDArray[np.uint8], faults: Sequence[str | None], rows: Sequence[object]) -> Read:
    """Pixels as bytes; of a row that has a fault, the start of its numbers as text."""
    pictures = [
        None if given is None else str(given).encode()[:LEFT_OVER] if fault else picture.tobytes()
        for picture, fault, given in zip(pixels, faults, rows, strict=True)
    ]
    return pictures, [UNREAD if fault else GREY for fault in faults], faults


def _rows_of(table: pl.DataFrame, scale: int) -> Read:
    """Columns of pixels."""
    pixels, faults = as_pixels(table.to_numpy(), scale)
    rows = [table.row(place) if fault else () for place, fault in enumerate(faults)]
    return _kept(pixels, faults, rows)


def _texts(table: pl.DataFrame, place: int | None) -> list[str | None]:
    if place is None:
        return [None] * len(table)
    column = table.to_series(place)
    known = column.fill_nan(None) if column.dtype.is_float() else column
    return whole(known.cast(pl.String).str.strip_chars().replace("", None)).to_list()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say in our words what the two readers say of a broken file."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error
    except BaseException as broken:
        # What arro3 raises has no class of its own; a panic has one in each library, and is no Exception.
        if not (isinstance(broken, pl.exceptions.PolarsError) or type(broken).__name__ in ("Exception", "PanicException")):
            raise
        said = str(broken).removeprefix(WRAPPED).partition("\n")[0].rstrip(".")[:200]
        raise DataError(f"{path} is not a whole Parquet file: {said}.", AGAIN) from broken


def _unfit(path: Path, name: str, kind: pl.DataType, wanted: str) -> DataError:
    return DataError(f"{path} has a column {name[:40]!r} of type {kind}.", wanted)
