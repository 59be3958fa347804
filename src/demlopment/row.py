"""Rows of a table become model input here and nowhere else. Knows nothing of models, HTTP or the rest of the package.

The same file travels inside the archives of models that read rows, so it may import NumPy only.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

VERSION = 1  # raised with every change that alters a single number; archives record it
MOST = 128  # columns: a row of 196 would have as many bytes as a picture, and is told from one by them
DECIMALS = 4  # of a share of the range: rounding makes ties, which the monitors' tests allow for

ZERO = np.float32(0)  # plus it, -0 is 0: equal rows have equal bytes, by which they are told from others
LARGEST = float(np.finfo(np.float32).max)

Row = npt.NDArray[np.float32]


class Column(NamedTuple):
    """One number of a row, and the range it is in wherever the table is sound."""

    name: str
    low: float
    high: float


class ColumnError(ValueError):
    """What was given are no columns of a table."""


class RowError(ValueError):
    """What was given is no row of the table. `reasons` says every fault without its value, to be counted."""

    def __init__(self, said: str, reasons: Sequence[str]) -> None:
        super().__init__(said)
        self.reasons = tuple(reasons)


def columns(given: object) -> tuple[Column, ...]:
    """A table's columns, given as such or as JSON has them: (name, low, high) each.

    Raises ColumnError for none or more than `MOST`, one that is no name with two numbers, the first below the second in
    float32 too, a name with nothing or space around it, or one that comes twice.

    >>> columns([["alcohol", 10, 16]])
    (Column(name='alcohol', low=10, high=16),)
    """
    listed = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else []
    strange = [each for each in listed if not _is_column(each)]
    names = [] if strange else [name for name, _, _ in listed]
    if strange or not listed:
        said = f"the column {(strange or [given])[0]!r:.60}" if strange else f"the columns {given!r:.60}"
    elif len(listed) > MOST:
        said = f"{len(listed)} columns"
    elif len(set(names)) < len(names):
        said = f"the column {next(name for name in names if names.count(name) > 1)!r:.60} twice"
    else:
        return tuple(Column(*each) for each in listed)
    raise ColumnError(
        f"The table has {said}. Name 1 to {MOST} columns, each once, as [name, low, high] in float32, low below high."
    )


def prepare(given: bytes | Mapping[str, object] | Sequence[object], columns: Sequence[Column]) -> Row:
    """One row as the network sees it: (columns,) float32, the numbers as they are and in the order of the columns.

    Takes    numbers by the names of their columns, or in their order; or either as JSON in UTF-8. Names that are no column
             are passed over: another version may read them.
    Raises   RowError naming every number that is missing, no number or outside the range of its column.

    >>> columns = (Column("alcohol", 10, 16), Column("hue", 0, 2))
    >>> prepare(b'{"hue": 1, "alcohol": 12.5, "ash": 2}', columns).tolist()
    [12.5, 1.0]
    >>> prepare([130, None], columns)
    Traceback (most recent call last):
    demlopment.row.RowError: The row has alcohol 130, which is outside 10 to 16; hue missing. Send 2 numbers, in their ranges.
    """
    values = _values(given, columns)
    faults = [(fault, value) for column, value in zip(columns, values, strict=True) if (fault := _fault(column, value))]
    if faults:
        said = "; ".join(f"{words[0]} {value!r:.40}, which is {words[1]}" if words[1] else words[0] for words, value in faults)
        remedy = f"Send {len(columns)} numbers, in their ranges."
        raise RowError(f"The row has {said}. {remedy}", [" ".join(filter(None, words)) for words, _ in faults])
    return np.array(values, np.float32) + ZERO


def statistics(rows: Row, columns: Sequence[Column]) -> dict[str, npt.NDArray[np.float64]]:
    """What can be said of rows (n, columns) without a model: where each number stands in its column's range, (n,) each."""
    places = {
        column.name: (rows[:, at].astype(np.float64) - column.low) / (column.high - column.low)
        for at, column in enumerate(columns)
    }
    return {name: values.round(DECIMALS) for name, values in places.items()}


def mirrored(row: Row, columns: Sequence[Column]) -> Row:
    """The row with each number as far from the other end of its range: a second one that has little of the first."""
    low, high = (np.array(ends, np.float64) for ends in ([each.low for each in columns], [each.high for each in columns]))
    return np.clip(low + high - row, low, high).astype(np.float32)


def encode_json(row: Row, columns: Sequence[Column] = ()) -> bytes:
    """A row as a client sends it: numbers by the names of the columns, or in their order where these are not given."""
    # In as few digits as float32 needs: in those of float64 it might leave its range.
    numbers = [float(str(value)) for value in row]
    return json.dumps(dict(zip((each.name for each in columns), numbers, strict=True)) if columns else numbers).encode()


def _is_column(value: object) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
        return False
    name, low, high = value
    if not isinstance(name, str) or not name or name != name.strip() or any("\ud800" <= letter <= "\udfff" for letter in name):
        return False
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) and abs(end) <= LARGEST for end in (low, high))
    return numbers and bool(np.float32(low) < np.float32(high))


def _values(given: bytes | Mapping[str, object] | Sequence[object], columns: Sequence[Column]) -> list[object]:
    """One for each column, None where it is missing."""
    what = _parsed(given) if isinstance(given, bytes) else given
    if isinstance(what, Mapping):
        return [what.get(column.name) for column in columns]
    if not isinstance(what, Sequence) or isinstance(what, str):
        raise RowError(f"The row is {what!r:.40}. Send a JSON object with a number for each column.", ["row is no object"])
    if len(what) != len(columns):
        raise RowError(
            f"The row has {len(what)} numbers. Send {len(columns)}, or name them: {', '.join(each.name for each in columns)}.",
            [f"row does not have {len(columns)} numbers"],
        )
    return list(what)


def _parsed(given: bytes) -> object:
    try:
        return json.loads(given)
    except (ValueError, RecursionError) as broken:
        raise RowError(
            f"The row is not JSON: {len(given)} bytes that start with {given[:8]!r}. "
            "Send a JSON object with a number for each column.",
            ["row is not JSON"],
        ) from broken


def _fault(column: Column, value: object) -> tuple[str, str] | None:
    """Its subject and what is wrong with it."""
    if value is None:
        return f"{column.name} missing", ""
    if isinstance(value, bool) or not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        return column.name, "no number"
    if not column.low <= value <= column.high and not _rounded(column.low, min) <= value <= _rounded(column.high, max):
        return column.name, f"outside {column.low:g} to {column.high:g}"
    return None


def _rounded(end: float, further: Callable[[float, float], float]) -> float:
    """An end of a range, or what float32 makes of it where that lies further out: clients send either."""
    return further(end, float(np.float32(end)))
