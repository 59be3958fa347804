"""Whether a picture has about as much ink as a character, in strokes and not in shades. Knows no model and no class.

A network that was shown nothing but characters may be sure of blank paper, full ink or noise. This is told without it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demlopment.images import INK, Grey

# How far beyond all that was taught. Of 4,527 digits that were not taught none is outside, and of those that were sent in 31
# other ways (evaluation/behaviour.py) one in 200 at most, for two of the ways, after 150 digits.
LESS, MORE_INK, MORE_HALFTONES = 0.5, 1.5, 2.0
FILLED = 0.5  # ink beyond which a picture is a filled box, whatever was taught: 20 of 28 pixels either way are 0.51


@dataclass(frozen=True)
class Limits:
    """What a legible picture has; these are no limits at all."""

    least_ink: float = 0.0  # mean tone, 0 to 1
    most_ink: float = 1.0
    most_halftones: float = 1.0  # share of the pixels that are neither paper nor full ink


ANYTHING = Limits()


def limits(pictures: Grey) -> Limits:
    """Those of prepared pictures (n, 28, 28) that show characters, with room for other pens and scanners."""
    inked, halftones = ink(pictures), _halftones(pictures)
    most = min(FILLED, MORE_INK * float(inked.max()))
    return Limits(LESS * float(inked.min()), most, min(1.0, MORE_HALFTONES * float(halftones.max())))


def legible(pictures: Grey, within: Limits) -> npt.NDArray[np.bool_]:
    """Which of prepared pictures (n, 28, 28) keep the limits: (n,).

    >>> pictures = np.zeros((2, 28, 28), np.uint8)
    >>> pictures[1, 4:24, 13:16] = 255
    >>> legible(pictures, Limits(least_ink=0.01)).tolist()
    [False, True]
    """
    if within == ANYTHING:
        return np.ones(len(pictures), np.bool_)
    inked = ink(pictures)
    kept = (inked >= within.least_ink) & (inked <= within.most_ink) & (_halftones(pictures) <= within.most_halftones)
    return np.asarray(kept, np.bool_)


def ink(pictures: Grey) -> npt.NDArray[np.float64]:
    """(n, 28, 28) -> (n,): the mean tone, 0 to 1."""
    return np.asarray(pictures.mean(axis=(1, 2)) / 255, np.float64)


def _halftones(pictures: Grey) -> npt.NDArray[np.float64]:
    return np.asarray(((pictures > INK) & (pictures < 255 - INK)).mean(axis=(1, 2)), np.float64)
