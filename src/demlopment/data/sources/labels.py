"""The CSV that says what the pictures beside it show, a line at a time. Opens no picture, and judges no row."""

import csv
import io
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from demlopment.data.sources.trees import Tree
from demlopment.errors import DataError

COLUMNS = {"file": "file", "filename": "file", "path": "file", "label": "label", "writer": "writer", "licence": "licence"}
HEADER = (
    "Give a first line like `file,label`, with one column file, filename or path, one label, and if need be writer and licence."
)
EXAMPLES = "examples.parquet"  # what `data checkout` makes of a snapshot, unless it is asked for pictures
SNAPSHOT = "snapshot.json"  # what `data checkout` lays beside its labels, to be read by people; it is no picture of theirs
LONGEST = 1 << 20  # characters of a line that are held at once; no four columns need as many


@dataclass(frozen=True)
class Line:
    """What one line says; None where a cell is empty or missing, and everywhere if there are more than in the header."""

    file: str | None  # path below the tree
    label: str | None
    writer: str | None
    licence: str | None


def table(names: Sequence[str], where: object) -> str | None:
    """Which of the names is the CSV of labels: labels.csv, or the only one that ends so; None where none does.

    Raises DataError where it might be any of several.
    """
    found = [name for name in names if name.lower().endswith(".csv")]
    chosen = [name for name in found if name.rpartition("/")[2].lower() == "labels.csv"] or found
    if len(chosen) > 1:
        raise DataError(f"{where} holds {len(found)} CSV files: {', '.join(found[:5])}.", "Call the right one labels.csv.")
    return chosen[0] if chosen else None


def lines(tree: Tree, name: str, where: object) -> Iterator[Line]:
    """Every line of the CSV. Raises DataError with its number for one that is no CSV, or names a file outside of the tree."""
    with tree.open(name) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        reader = csv.reader(iter(lambda: text.readline(LONGEST), ""), strict=True)
        try:
            header = next(reader, [])
            columns = _columns(header, f"{where}: {name}")
            for cells in filter(None, reader):
                said = f"{where}: {name}, line {reader.line_num}"
                yield _line(cells if len(cells) <= len(header) else [], columns, posixpath.dirname(name), said)
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: {name} is no UTF-8 text: {error.reason}.", "Save it as UTF-8.") from error
        except csv.Error as error:
            raise DataError(f"{where}: {name}, line {reader.line_num}: {error}.", "Correct that line.") from error


def _columns(header: Sequence[str], where: str) -> Mapping[str, int]:
    """Which column holds what."""
    meant = [COLUMNS.get(cell.strip().lower()) for cell in header]
    if any(meant.count(wanted) != 1 for wanted in ("file", "label")) or any(
        meant.count(each) > 1 for each in ("writer", "licence")
    ):
        raise DataError(f"{where} starts with {','.join(header)[:80]!r}.", HEADER)
    return {name: place for place, name in enumerate(meant) if name}


def _line(cells: Sequence[str], columns: Mapping[str, int], folder: str, where: str) -> Line:
    def cell(column: str) -> str | None:
        place = columns.get(column, len(cells))
        return (cells[place].strip() or None) if place < len(cells) else None

    file = cell("file")
    if file and (file.startswith("/") or re.match(r"[A-Za-z]:[/\\]", file) or ".." in re.split(r"[/\\]", file)):
        raise DataError(f"{where}: {file[:200]!r} leads out of the folder.", "Name files that lie below it.")
    return Line(file and posixpath.normpath(posixpath.join(folder, file)), cell("label"), cell("writer"), cell("licence"))
