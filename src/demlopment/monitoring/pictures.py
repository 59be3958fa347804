"""What a prepared picture is like, as a few numbers. Knows no model, no reference and no window."""

from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.images import INK

CHUNK = 500  # pictures at once: what is made of them stays in the processor's cache, which is three times as quick
DECIMALS = 4  # rounding makes ties, which the test allows for; both sides are rounded alike

Values = npt.NDArray[np.float64]


def picture_statistics(images: npt.NDArray[np.uint8]) -> dict[str, Values]:
    """What can be said of each picture without a model, (n, 28, 28) -> (n,) each; zeros for a blank one.

    ink        mean brightness, 0 to 1
    stroke     width of the pen in pixels: twice the ink over the length of its edge
    slant      pixels to the right for each pixel down, from the second moments: upright is 0
    aspect     width over height of the ink
    softness   share of the ink that is neither dark nor full: what blur, scanners and compression raise
    """
    parts = [_measured(images[start : start + CHUNK]) for start in range(0, max(len(images), 1), CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]).round(DECIMALS) for name in parts[0]}


def _measured(images: npt.NDArray[np.uint8]) -> dict[str, Values]:
    """In whole tones, of which float32 holds every sum here, and only then as shares: twenty times as quick."""
    n, side = len(images), images.shape[1]
    places = np.arange(side)
    along = images.reshape(n * side, side).astype(np.float32) @ np.stack([np.ones(side), places], axis=1).astype(np.float32)
    down, across = (
        along.reshape(n, side, 2)[:, :, part].astype(np.float64) for part in (0, 1)
    )  # by row: sum, sum times column
    mass = down.sum(axis=1)
    brightest, lightest = images.max(axis=1), images.max(axis=2)
    inked = images > INK
    return {
        "ink": mass / (255 * side * side),
        "stroke": _ratio(2 * mass, _steps(images[:, 1:], images[:, :-1]) + _steps(images[:, :, 1:], images[:, :, :-1])),
        "slant": _slant(down, across, mass, places),
        "aspect": _ratio(_extent(brightest > INK), _extent(lightest > INK)),
        "softness": _ratio(_count(inked & (images < 255 - INK)), _count(inked)),
    }


def _steps(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> Values:
    """The sum of all differences between neighbours, whichever is lighter: (n,)."""
    apart = np.maximum(one, other) - np.minimum(one, other)
    return _total(apart)


def _count(flags: npt.NDArray[np.bool_]) -> Values:
    return _total(flags.view(np.uint8))


def _total(tones: npt.NDArray[np.uint8]) -> Values:
    n, height, width = tones.shape
    return np.asarray(tones.reshape(n, height * width).sum(axis=1, dtype=np.uint32), np.float64)


def _slant(down: Values, across: Values, mass: Values, places: npt.NDArray[np.int64]) -> Values:
    middle_row, middle_column = _ratio(down @ places, mass), _ratio(across.sum(axis=1), mass)
    together = across @ places - mass * middle_row * middle_column
    return _ratio(together, down @ places**2 - mass * middle_row**2)


def _extent(occupied: npt.NDArray[np.bool_]) -> Values:
    """From the first to the last place that holds ink, (n, 28) -> (n,)."""
    span = occupied.shape[1] - occupied.argmax(axis=1) - occupied[:, ::-1].argmax(axis=1)
    return np.where(occupied.any(axis=1), span, 0).astype(np.float64)


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Values:
    """`above / below`, and 0 where there is nothing below."""
    quotient = np.zeros(len(below))
    np.divide(above, below, out=quotient, where=np.abs(below) > 1e-9)
    return quotient
