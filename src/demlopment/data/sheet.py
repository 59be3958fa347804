"""A CSV file that a person filled, as editors and spreadsheets save it. Judges no line."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from demlopment.data.sources.port import unreadable
from demlopment.errors import DataError

SEPARATORS = (",", ";", "\t")  # the first where none stands in the line of names


def lines(path: Path, needed: Sequence[str], remedy: str) -> dict[int, dict[str, str]]:
    """The needed columns of each line, stripped, by the line's number; "" where a line is shorter.

    Raises DataError naming the file if it cannot be read, or has not each of the columns once.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8.", remedy) from error
    head = next(iter(text.splitlines()), "")
    # Strict, for a quote that is not closed would take all later lines into its cell.
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=head.count), strict=True)
    try:
        names = list(reader.fieldnames or [])
        for column in needed:
            if names.count(column) != 1:
                raise DataError(f"{path} has {'no' if column not in names else 'more than one'} column {column}.", remedy)
        found = {}
        for line in reader:
            found[reader.line_num] = {column: (line[column] or "").strip() for column in needed}
    except csv.Error as error:
        raise DataError(f"{path} cannot be read after line {reader.line_num}: {error}.", remedy) from error
    return found
