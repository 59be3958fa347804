"""Pictures that arrive as JSON or as a tensor. Knows base64 and arrays; knows no protocol, no model and no file format.

Numbers may be grey levels, 0 to 255, or shares, 0 to 1: which, is told by the largest.
"""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment import images
from demlopment.errors import RequestError
from demlopment.images import SIDE, Grey
from demlopment.serving import tensors
from demlopment.serving.tensors import Tensor

MAX_ROWS = 256  # in one request: four full batches, so that the other clients of the process wait 20 ms, not seconds
KEYS = ("data", "body", "b64", "image", "image_bytes")  # where clients of KServe's first protocol put one
Picture = bytes | npt.NDArray[np.uint8]  # as images.prepare takes it


def instances(values: Sequence[Any]) -> tuple[Picture, ...]:
    """The picture in each instance of KServe's first protocol. Raises RequestError naming one that holds none."""
    check_count(len(values))
    return tuple(_instance(number, value) for number, value in enumerate(values))


def rows(tensor: Tensor) -> tuple[Picture, ...]:
    """The rows of a batch: encoded pictures, or numbers as (n, height, width[, channels]), (height, width) or (n, 784)."""
    values = tensor.values
    if tensor.datatype == tensors.BYTES:
        check_count(values.size)
        return tuple(_decoded(each) for each in values.ravel())
    if values.ndim == 2 and values.shape[1] != SIDE * SIDE:
        values = values[np.newaxis]
    if values.ndim not in (2, 3, 4):
        raise RequestError(f"The input has the shape {list(values.shape)}.", f"Send [n, {SIDE}, {SIDE}].")
    check_count(len(values))
    return tuple(_pixels(values, "The input", one=False))


def prepared(given: Sequence[Picture]) -> list[Grey]:
    """Each as the network sees it. Raises RequestError naming the first that cannot be read, by its number."""
    return [_prepared(number, picture) for number, picture in enumerate(given)]


def check_count(count: int, what: str = "pictures") -> None:
    """Raise RequestError for no pictures, or too many."""
    if not 0 < count <= MAX_ROWS:
        raise RequestError(f"The request has {count} {what}.", f"Send 1 to {MAX_ROWS}.")


def _instance(number: int, row: Any) -> Picture:
    """One picture: base64, nested numbers, or an object that holds one of them under one of `KEYS`."""
    value = row
    for _ in range(2):  # {"image_bytes": {"b64": ...}} is TensorFlow Serving's
        if isinstance(value, dict):
            value = next((value[key] for key in KEYS if key in value), None)
    if isinstance(value, str):
        return _decoded(value.encode(errors="replace"))
    if isinstance(value, list):
        try:
            array = tensors.numbers(value)
        except ValueError as ragged:
            raise RequestError(f"Instance {number} is no array ({ragged}).", "Send rows of equal length.") from ragged
        except TypeError as text:
            raise _no_numbers(f"Instance {number}") from text
        if _has_truths(value):  # which an array would take for 0 and 1
            raise _no_numbers(f"Instance {number}")
        return _pixels(array, f"Instance {number}")
    raise RequestError(f"Instance {number} holds no picture.", 'Send {"data": "<base64 of a PNG>"} or 28 rows of 28 numbers.')


def _pixels(values: npt.NDArray[Any], what: str, *, one: bool = True) -> npt.NDArray[np.uint8]:
    """Numbers as grey levels: 0..255 or, if none is above 1, 0..1. `one` picture, or the rows of a batch."""
    if values.dtype.kind not in "iufb" or not values.size:
        raise _no_numbers(what)
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= 255:  # not a number is refused too
        raise RequestError(f"{what} holds numbers from {low} to {high}.", "Send numbers from 0 to 1, or from 0 to 255.")
    scaled = np.rint(values.astype(np.float64) * (255 if high <= 1 else 1)).astype(np.uint8)
    rows = scaled[np.newaxis] if one else scaled
    if rows.ndim == 2 and rows.shape[1] == SIDE * SIDE:
        rows = rows.reshape(-1, SIDE, SIDE)
    if rows.ndim == 4 and rows.shape[1] == 1:  # channels first, as networks are fed
        rows = rows[:, 0]
    return rows[0] if one else rows


def _has_truths(value: Any) -> bool:
    return any(map(_has_truths, value)) if isinstance(value, list) else isinstance(value, bool)


def _no_numbers(what: str) -> RequestError:
    return RequestError(f"{what} holds something else than numbers.", f"Send {SIDE} rows of {SIDE} numbers.")


def _decoded(content: bytes) -> bytes:
    """An encoded picture that came as base64, as text of one character a byte, or as it is."""
    try:
        return b64decode(content, validate=True)
    except binascii.Error:
        pass
    try:
        return content.decode().encode("latin-1")
    except UnicodeError:
        return content


def _prepared(number: int, picture: Picture) -> Grey:
    try:
        return images.prepare(picture)
    except images.ImageError as error:
        raise RequestError(f"Picture {number}: {error}") from error
