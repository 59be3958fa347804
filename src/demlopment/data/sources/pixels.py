"""Numbers from a table as pixels: whole from 0 to 255, or that divided by 255. Knows no format of a file."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

NO_NUMBER = "a pixel is missing or no number"
NOT_WHOLE = "a pixel is no whole number"
NO_FRACTION = "a pixel is no fraction of 255"
OUTSIDE = "a pixel is outside 0 to 255"
Numbers = npt.NDArray[Any]


def scale(parts: Iterable[Numbers]) -> int:
    """255 where the numbers of a source, a part of it after the other, are floats that reach from 0 to 1; else 1.

    A part that tells is the last that is asked for: of pictures from 0 to 255 that is nearly always the first.

    >>> scale([np.array([0.0, 0.2]), np.array([1.0, np.nan])]), scale([np.array([0.0, 2.0])]), scale([np.array([0, 1])])
    (255, 1, 1)
    """
    fractions = False
    for values in map(_numeric, parts):
        if np.max(values, initial=0, where=np.isfinite(values)) > 1:
            return 1
        fractions = fractions or values.dtype.kind == "f"
    return 255 if fractions else 1


def scaled(values: Numbers, scale: int) -> Numbers:
    """Fractions of 255 as the whole numbers that they were made of; what was none is left as it is, times `scale`."""
    if scale == 1:
        return values
    times = values.astype(np.float64) * scale
    with np.errstate(invalid="ignore"):
        # A fraction is rounded once when it is made: by half a unit in its last place, which 255 makes larger.
        near = np.abs(times - np.rint(times)) <= scale * (np.finfo(values.dtype).eps if values.dtype.kind == "f" else 0)
    return np.where(near, np.rint(times), times)


def as_pixels(values: npt.NDArray[np.generic], scale: int = 1) -> tuple[npt.NDArray[np.uint8], Sequence[str | None]]:
    """(n, ...) numbers as bytes, and for each of the n what is wrong with it or None; what is wrong is 0 among the bytes.

    >>> as_pixels(np.array([[0.0, 255.0], [0.5, 0.0], [256.0, 0.0], [np.nan, 0.5]]))[1]
    [None, 'a pixel is no whole number', 'a pixel is outside 0 to 255', 'a pixel is missing or no number']
    >>> as_pixels(np.array([[0.2, 1.0], [0.5, 0.0]]), 255)[1]
    [None, 'a pixel is no fraction of 255']
    """
    if values.dtype == np.uint8 and scale == 1:
        return np.asarray(values, np.uint8), [None] * len(values)
    numbers = scaled(_numeric(values), scale)
    missing = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(numbers.shape, np.bool_)
    fits = (numbers >= 0) & (numbers <= 255)  # false for NaN
    partial = fits & (numbers != np.floor(numbers)) if numbers.dtype.kind == "f" else missing
    pixels = np.where(fits & ~partial, numbers, 0).astype(np.uint8)
    each = tuple(range(1, numbers.ndim))
    faults = np.full(len(numbers), None, object)
    for wrong, words in ((~fits, OUTSIDE), (partial, NOT_WHOLE if scale == 1 else NO_FRACTION), (missing, NO_NUMBER)):
        faults[wrong.any(axis=each)] = words
    return pixels, faults.tolist()


def _numeric(values: npt.NDArray[np.generic]) -> Numbers:
    """Decimals, and what polars gives as objects, as floats."""
    return values if values.dtype.kind in "biuf" else values.astype(np.float64)
