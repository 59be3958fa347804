"""Rows of a table that arrive as JSON or as a tensor. Knows columns and arrays; knows no protocol and no model."""

from collections.abc import Sequence
from typing import Any

from demlopment import row
from demlopment.errors import RequestError
from demlopment.row import Column, Row, RowError
from demlopment.serving import tensors
from demlopment.serving.pictures import check_count
from demlopment.serving.tensors import Tensor

KEYS = ("data", "body")  # where clients of KServe's first protocol may put one


def instances(values: Sequence[Any], columns: Sequence[Column]) -> tuple[Any, ...]:
    """What each instance of KServe's first protocol holds, to be `prepared`. Raises RequestError for none, or too many."""
    check_count(len(values), "rows")
    names = {column.name for column in columns}
    return tuple(_held(value, names) for value in values)


def rows(tensor: Tensor, columns: Sequence[Column]) -> tuple[Any, ...]:
    """The rows of a batch, numbers as (n, columns) or (columns,). Raises RequestError likewise, and for another shape."""
    values = tensor.values
    if tensor.datatype == tensors.BYTES or values.dtype.kind == "b":
        raise RequestError(f"The input has the datatype {tensor.datatype}.", f"Send [n, {len(columns)}] of FP32.")
    batch = values.reshape(1, -1) if values.ndim == 1 else values
    if batch.ndim != 2 or batch.shape[1] != len(columns):
        raise RequestError(f"The input has the shape {list(values.shape)}.", f"Send [n, {len(columns)}].")
    check_count(len(batch), "rows")
    return tuple(batch.tolist())


def prepared(given: Sequence[Any], columns: Sequence[Column]) -> list[Row]:
    """Each as the network sees it. Raises RequestError naming the first that is no row, by its number."""
    return [_prepared(number, each, columns) for number, each in enumerate(given)]


def _held(value: Any, names: set[str]) -> Any:
    """What an instance holds: the numbers, unless it is an object that has them under one of `KEYS`."""
    if not isinstance(value, dict) or names & set(value):
        return value
    return next((value[key] for key in KEYS if key in value), value)


def _prepared(number: int, given: Any, columns: Sequence[Column]) -> Row:
    try:
        return row.prepare(given, columns)
    except RowError as error:
        raise RequestError(f"Row {number}: {error}") from error
