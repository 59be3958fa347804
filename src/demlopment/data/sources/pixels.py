"""Numbers from a table as pixels: whole, from 0 to 255. Knows no format of a file."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

NO_NUMBER = "a pixel is missing or no number"
NOT_WHOLE = "a pixel is no whole number"
OUTSIDE = "a pixel is outside 0 to 255"


def as_pixels(values: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.uint8], Sequence[str | None]]:
    """(n, ...) numbers as bytes, and for each of the n what is wrong with it or None; what is wrong is 0 among the bytes.

    >>> as_pixels(np.array([[0.0, 255.0], [0.5, 0.0], [256.0, 0.0], [np.nan, 0.5]]))[1]
    [None, 'a pixel is no whole number', 'a pixel is outside 0 to 255', 'a pixel is missing or no number']
    """
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8), [None] * len(values)
    numbers: npt.NDArray[Any] = values if values.dtype.kind in "iuf" else values.astype(np.float64)
    missing = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(numbers.shape, np.bool_)
    fits = (numbers >= 0) & (numbers <= 255)  # false for NaN
    partial = fits & (numbers != np.floor(numbers)) if numbers.dtype.kind == "f" else missing
    pixels = np.where(fits & ~partial, numbers, 0).astype(np.uint8)
    each = tuple(range(1, numbers.ndim))
    faults = np.full(len(numbers), None, object)
    for wrong, words in ((~fits, OUTSIDE), (partial, NOT_WHOLE), (missing, NO_NUMBER)):
        faults[wrong.any(axis=each)] = words
    return pixels, faults.tolist()
