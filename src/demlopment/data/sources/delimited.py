"""Pictures as lines of pixels with a label, packed or plain, read a batch at a time. Judges no row.

Commas divide a line, or where the first has none, semicolons or tabs.

A first line that names the columns says where the label stands. Without one it stands first (MNIST and EMNIST as CSV)
or last (mnist_5k.csv.gz), and only what the lines hold tells which.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import polars as pl

from demlopment.data.contract import GREY, PIXELS, UNREAD
from demlopment.data.sources.columns import FORMAT, Columns, columns, whole
from demlopment.data.sources.lines import lines
from demlopment.data.sources.pixels import Numbers, as_pixels, scale
from demlopment.data.sources.port import BATCH, LEFT_OVER, UNSTATED, batched, digest, own_name, raw_frame
from demlopment.data.sources.unpacked import Unpacked, unpacked
from demlopment.errors import DataError

Side = Literal["first", "last"]
LONGEST = 1 << 16  # bytes of a line: 785 numbers of 80 digits
NUMBER = re.compile(rb"\s*[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?\s*")
CONVERT = "Save it as UTF-8, for example with `iconv -f {encoding} -t UTF-8`."
PAPER = (b"0", b"255")  # what a picture's corner nearly always is
MOST_CLASSES = 62  # EMNIST's digits, capitals and small letters; a larger number is no label
Numbered = tuple[int, bytes]  # a line with its number, from 1


@dataclass(frozen=True)
class Delimited:
    """A file of lines. Make one with `delimited`."""

    path: Path
    name: str
    sha256: str
    licence: str
    columns: Columns
    width: int  # columns of every line
    header: bool
    divider: bytes = b","
    scale: int = 1  # 255 for pixels from 0 to 1
    rows: None = None  # only reading all of them would tell

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source. A line without a picture is a bad row; one with another number of columns breaks the file."""
        first = 0
        for batch in self._lines():
            yield self._frame(batch, first)
            first += len(batch)
        if not first:
            raise DataError(f"{self.path} holds no rows.", FORMAT)

    def numbers(self) -> Iterator[Numbers]:
        """The pixels as they stand there, likewise."""
        return (self._pixels(self._parsed(batch)) for batch in self._lines())

    def _lines(self) -> Iterator[list[bytes]]:
        with unpacked(self.path) as file:
            for batch in batched(numbered(file, header=self.header), lambda row: len(row[1])):
                for number, line in batch:
                    check_text(self.path, number, line)
                    _check_width(self.path, number, line, self.width, self.divider)
                yield [line for _, line in batch]

    def _pixels(self, table: pl.DataFrame) -> Numbers:
        return table.select(map(str, self.columns.pixels)).to_numpy()

    def _parsed(self, batch: Sequence[bytes]) -> pl.DataFrame:
        """The lines as a table, columns named by their position; a pixel that is no number is null."""
        pixels = set(self.columns.pixels)

        def read(kind: type[pl.DataType]) -> pl.DataFrame:
            schema = {str(place): kind if place in pixels else pl.String for place in range(self.width)}
            divider = self.divider.decode()
            return pl.read_csv(
                text, has_header=False, schema=schema, ignore_errors=True, encoding="utf8-lossy", separator=divider
            )

        text = b"\n".join(batch)
        table = read(pl.Int16)
        if any(table.select(map(str, self.columns.pixels)).null_count().row(0)):
            table = read(pl.Float32)  # pandas writes 255.0 where one value of the column is missing
        return table.with_columns(pl.col(pl.String).str.strip_chars().replace("", None))

    def _frame(self, batch: Sequence[bytes], first: int) -> pl.DataFrame:
        at = self.columns
        table = self._parsed(batch)
        pixels, faults = as_pixels(self._pixels(table), self.scale)
        stated = table[str(at.licence)].to_list() if at.licence is not None else [None] * len(batch)
        return raw_frame(
            [line[:LEFT_OVER] if fault else row.tobytes() for row, fault, line in zip(pixels, faults, batch, strict=True)],
            whole(table[str(at.label)]).to_list(),
            source=self.name,
            licence=[each or self.licence for each in stated],
            origins=self.sha256,
            kind=[UNREAD if fault else GREY for fault in faults],
            writers=whole(table[str(at.writer)]).to_list() if at.writer is not None else None,
            faults=faults,
            first=first,
        )


def delimited(path: Path, labels: Side | None = None, *, name: str | None = None, licence: str = UNSTATED) -> Delimited:
    """The rows of a file with a line of names, or with none and the label in the first or the last column.

    Raises DataError naming the file, and the column or the line, if it cannot be read or does not have that form.
    """
    sha256 = digest(path)
    with unpacked(path) as file:
        start = file.upto(len(codecs.BOM_UTF16_LE))
    if not start:
        raise DataError(f"{path} is empty.", FORMAT)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise DataError(f"{path} is a text in UTF-16, not in UTF-8.", CONVERT.format(encoding="UTF-16"))
    with unpacked(path) as file:
        first = next(lines(file, LONGEST), b"")
    divider = divider_of(first)
    if divider in first:  # otherwise it is no table, whatever it is written in
        check_text(path, 1, first)
    header = _has_header(first, divider)
    names = cells(path, 1, first, divider)
    if header:
        found = columns(names, path)
    else:
        _check_width(path, 1, first, PIXELS + 1, divider)
        found = _nameless(labels or side(path, divider))
    called = name or own_name(path.name.split(".")[0], sha256)
    rows = Delimited(path, called, sha256, licence, found, len(names), header, divider)
    return replace(rows, scale=scale(rows.numbers()))


def side(path: Path, divider: bytes = b",") -> Side:
    """Where the label stands in a file without names. Raises DataError where its first rows leave that open.

    A picture's first and last pixel are paper in every row, and labels are small numbers that differ, or are no paper.
    """
    with unpacked(path) as file:
        lines = islice(numbered(file, header=False), BATCH)
        ends = [(line.partition(divider)[0], line.rpartition(divider)[2]) for _, line in lines]
    first, last = ({each.strip() for each in column} for column in zip(*ends, strict=True)) if ends else (set(), set())
    if _all_paper(first) and _all_labels(last):
        return "last"
    if _all_paper(last) and _all_labels(first):
        return "first"
    raise DataError(
        f"{path} does not tell whether the label stands in the first column or in the last.",
        "Say so with `--labels first` or `--labels last`, or put a line with the columns' names before the rows.",
    )


def divider_of(line: bytes) -> bytes:
    """What divides the first line: the most frequent where no comma does."""
    return b"," if b"," in line else max(b";", b"\t", b",", key=line.count)


def _has_header(line: bytes, divider: bytes) -> bool:
    """Whether the first line has names: text in several columns, not all of it numbers."""
    try:
        readable = line.replace(divider, b",").decode().isprintable()
    except UnicodeDecodeError:
        return False
    return readable and divider in line and any(field and not NUMBER.fullmatch(field) for field in line.split(divider))


def _all_paper(column: set[bytes]) -> bool:
    return len(column) == 1 and column <= set(PAPER)


def _all_labels(column: set[bytes]) -> bool:
    small = all(not each or (each.isdigit() and len(each) < 4 and int(each) < MOST_CLASSES) for each in column)
    return small and not _all_paper(column)


def _nameless(labels: Side) -> Columns:
    places = range(PIXELS + 1)
    return Columns(tuple(places[1:]), 0) if labels == "first" else Columns(tuple(places[:-1]), PIXELS)


def numbered(file: Unpacked, *, header: bool) -> Iterator[Numbered]:
    """The lines that hold something, after that of the names."""
    every = enumerate(lines(file, LONGEST), start=1)
    return ((number, line) for number, line in every if line and not (header and number == 1))


def cells(path: Path, number: int, line: bytes, divider: bytes) -> list[str]:
    """The cells of a line. Raises DataError for a quote that is not closed, which would take the next lines into its cell."""
    try:
        return next(csv.reader([line.decode(errors="replace")], strict=True, delimiter=divider.decode()), [])
    except csv.Error as error:
        raise DataError(
            f"{path}, line {number}: a quote or the end of a line stands where none can.",
            "Mend the line, or save the file again, with a line feed after each line.",
        ) from error


def check_text(path: Path, number: int, line: bytes) -> None:
    """Raise DataError for a line that is not in UTF-8: read in another encoding, its labels would be other labels."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: the byte {line[error.start]:#04x} is no UTF-8.", CONVERT.format(encoding="ISO-8859-1")
        ) from error


def _check_width(path: Path, number: int, line: bytes, width: int, divider: bytes) -> None:
    """Raise DataError unless a line has so many columns."""
    if len(line) > LONGEST:
        raise DataError(f"{path}, line {number}: more than {LONGEST} bytes.", FORMAT)
    found = line.count(divider) + 1 if b'"' not in line else len(cells(path, number, line, divider))
    if found != width:
        raise DataError(f"{path}, line {number}: {found} columns, not {width}.", "Mend the line, or copy the file again.")
