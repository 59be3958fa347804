"""Rows of a table whose columns have names and ranges, as a text with a line of names, read a batch at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from demlopment import row
from demlopment.data.contract import ROW, SEPARATOR, UNREAD, table
from demlopment.data.sources.delimited import LONGEST, cells, check_text, divider_of, numbered
from demlopment.data.sources.lines import lines
from demlopment.data.sources.port import LEFT_OVER, UNSTATED, batched, digest, own_name, raw_frame
from demlopment.data.sources.unpacked import unpacked
from demlopment.errors import DataError
from demlopment.row import Column, RowError


@dataclass(frozen=True)
class Tabular:
    """A file of lines. Make one with `tabular`."""

    path: Path
    name: str
    sha256: str
    licence: str
    columns: tuple[Column, ...]
    names: tuple[str, ...]  # of every cell of a line
    label: str
    writer: str | None
    divider: bytes
    rows: None = None  # only reading all of them would tell

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source. A line that is no row of the table, for any reason, is a bad row."""
        first = 0
        with unpacked(self.path) as file:
            for batch in batched(numbered(file, header=True), lambda line: len(line[1])):
                yield self._frame([self._read(number, line) for number, line in batch], first)
                first += len(batch)
        if not first:
            raise DataError(f"{self.path} holds no rows.", "Give a table with a line of names and a line for each row.")

    def _frame(self, read: "Sequence[tuple[bytes, str | None, str | None, str | None]]", first: int) -> pl.DataFrame:
        images, labels, writers, faults = zip(*read, strict=True)
        kinds = [UNREAD if fault else ROW for fault in faults]
        origin, said = self.sha256, {"source": self.name, "licence": self.licence}
        return raw_frame(images, labels, origins=origin, kind=kinds, writers=writers, faults=faults, first=first, **said)

    def _read(self, number: int, line: bytes) -> tuple[bytes, str | None, str | None, str | None]:
        """What was read of a line: numbers, label, writer, and why it is no row."""
        check_text(self.path, number, line)
        found = cells(self.path, number, line[:LONGEST], self.divider)
        if len(found) != len(self.names) or len(line) > LONGEST:
            return line[:LEFT_OVER], None, None, f"line does not have {len(self.names)} cells"
        said = {name: text.strip() for name, text in zip(self.names, found, strict=True)}
        label, writer = said[self.label] or None, (said[self.writer] or None) if self.writer else None
        try:
            numbers = row.prepare({name: _number(text) for name, text in said.items()}, self.columns)
        except RowError as error:
            return line[:LEFT_OVER], label, writer, SEPARATOR.join(error.reasons)
        return numbers.tobytes(), label, writer, None


def tabular(
    path: Path,
    columns: Sequence[Column],
    label: str = "label",
    *,
    writer: str | None = None,
    name: str | None = None,
    licence: str = UNSTATED,
) -> Tabular:
    """The rows of a file whose first line names its columns, in any order and with others among them, which are passed over.

    Rows with one name in the column `writer` never stand on two sides of a split.
    Raises DataError naming the file and the column if it cannot be read or lacks one, or for columns that no table has.
    """
    numbers, sha256 = table(columns), digest(path)
    with unpacked(path) as file:
        first = next(lines(file, LONGEST), b"")
    if not first:
        raise DataError(f"{path} is empty.", "Give a table with a line of names and a line for each row.")
    check_text(path, 1, first)
    divider = divider_of(first)
    names = [each.strip() for each in cells(path, 1, first, divider)]
    wanted = [column.name for column in numbers] + [label] + ([writer] if writer else [])
    wrong = [each for each in wanted if names.count(each) != 1]
    if wrong:
        raise DataError(
            f"{path} has {names.count(wrong[0])} columns called {wrong[0]!r}.", f"Its first line must name {', '.join(wanted)}."
        )
    called = name or own_name(path.name.split(".")[0], sha256)
    return Tabular(path, called, sha256, licence, numbers, tuple(names), label, writer, divider)


def _number(text: str) -> float | str | None:
    """The number that a cell holds; its text where that is none, and nothing where it is empty."""
    try:
        return float(text) if text else None
    except ValueError:
        return text
