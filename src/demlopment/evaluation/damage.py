"""A picture of which less and less can be seen, so that confidence may only fall. Knows no model.

Each takes prepared pictures, (n, 28, 28), how bad it is, and a generator; the same generator at two degrees of badness gives
the same damage, less and more of it.
"""

from collections.abc import Callable

import cv2
import numpy as np

from demlopment.images import BOX, SIDE, Grey

Damage = Callable[[Grey, float, np.random.Generator], Grey]


def noise(pictures: Grey, tones: float, rng: np.random.Generator) -> Grey:
    """Each pixel off by so many tones."""
    return np.clip(np.rint(pictures + tones * rng.standard_normal(pictures.shape)), 0, 255).astype(np.uint8)


def blur(pictures: Grey, pixels: float, _: np.random.Generator) -> Grey:
    """Out of focus by so many pixels."""
    if pixels == 0:
        return pictures
    return np.stack([np.asarray(cv2.GaussianBlur(each, (0, 0), pixels), np.uint8) for each in pictures])


def cover(pictures: Grey, share: float, rng: np.random.Generator) -> Grey:
    """Paper lies over that share of the box in which the ink is, from one of four sides."""
    covered = pictures.copy()
    depth = (SIDE - BOX) // 2 + round(share * BOX) if share else 0
    for picture, quarter in zip(covered, rng.integers(0, 4, len(covered)), strict=True):
        np.rot90(picture, quarter)[:depth] = 0  # a view
    return covered


def fade(pictures: Grey, share: float, rng: np.random.Generator) -> Grey:
    """The pen skips: that share of the 4 x 4 pixel patches has lost its ink."""
    gone = rng.random((len(pictures), SIDE // 4, SIDE // 4)) < share
    return np.where(np.kron(gone, np.ones((1, 4, 4), bool)), np.uint8(0), pictures)
