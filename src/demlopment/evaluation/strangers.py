"""Pictures that show nothing a model was taught, of which it should not be sure. Knows no model.

Each takes a generator and gives one page, (112, 112). Letters are those that nobody takes for a digit: not B, I, O, S or Z.
"""

from collections.abc import Callable

import cv2
import numpy as np

from demlopment.evaluation.hands import DIGITS, Page, drawn
from demlopment.images import Grey

Stranger = Callable[[np.random.Generator], Grey]

SIDE = 112
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)


def blank(_: np.random.Generator) -> Grey:
    return np.full((SIDE, SIDE), 255, np.uint8)


def full(_: np.random.Generator) -> Grey:
    """Ink from rim to rim, but for a margin by which it is told from paper."""
    picture = np.full((SIDE, SIDE), 255, np.uint8)
    picture[8:-8, 8:-8] = 0
    return picture


def block(rng: np.random.Generator) -> Grey:
    """A rectangle of ink."""
    picture = np.full((SIDE, SIDE), 255, np.uint8)
    height, width = rng.integers(20, 90, 2)
    picture[10 : 10 + height, 10 : 10 + width] = 0
    return picture


def noise(rng: np.random.Generator) -> Grey:
    """Every pixel by itself."""
    return rng.integers(0, 256, (SIDE, SIDE), np.uint8)


def clouds(rng: np.random.Generator) -> Grey:
    """Noise as smooth as strokes are wide."""
    smooth = np.asarray(cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)), (0, 0), 6))
    return np.asarray(np.rint(255 * (smooth - smooth.min()) / (smooth.max() - smooth.min())), np.uint8)


def specks(rng: np.random.Generator) -> Grey:
    """Dust on a scanner."""
    picture = np.full((SIDE, SIDE), 255, np.uint8)
    for x, y in rng.integers(5, SIDE - 5, (30, 2)).tolist():
        cv2.circle(picture, (x, y), 2, 0, -1)
    return picture


def stripes(rng: np.random.Generator) -> Grey:
    """Paper with lines, at any angle."""
    angle, width = rng.uniform(0, np.pi), rng.integers(4, 12)
    down, across = np.mgrid[:SIDE, :SIDE]
    return np.asarray((np.cos(angle) * across + np.sin(angle) * down) // width % 2 * 255, np.uint8)


def scribble(rng: np.random.Generator) -> Grey:
    """A pen that wanders."""
    points = np.cumsum(rng.normal(0, 1, (30, 2)), axis=0)
    return drawn([(points - points.min(axis=0)) / (points.max(axis=0) - points.min(axis=0))], Page(SIDE, width=1.0, pen=0.06))


def two_digits(rng: np.random.Generator) -> Grey:
    """Side by side, as a page that was not cut apart."""
    pair = rng.choice(sorted(DIGITS), 2)
    return np.concatenate([drawn(DIGITS[digit][0], Page(SIDE))[:, 20:-20] for digit in pair], axis=1)


def letter(name: str) -> Stranger:
    def printed(rng: np.random.Generator) -> Grey:
        picture = np.full((SIDE, SIDE), 255, np.uint8)
        size, pen = 2.5 * rng.uniform(0.8, 1.1), int(rng.integers(4, 9))
        cv2.putText(picture, name, (20, 95), int(rng.choice(FONTS)), size, 0, pen, cv2.LINE_AA)
        return picture

    return printed
