"""The ten digits as people are taught to write them, drawn on a page in code. Knows no model and none of our data.

`drawn` puts ink anywhere on a page of any size, as a client's camera or canvas sees it; nothing is scaled or centred here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from demlopment.images import Grey

Points = npt.NDArray[np.float64]  # (n, 2): x to the right, y down
Hand = Sequence[Points]  # the strokes of one character, 1 high

FRACTION = 4  # bits: OpenCV draws to a sixteenth of a pixel
KNEES = 24  # corners of a full turn
TREMOR = 0.012  # of the height, the standard deviation at each corner of a straight or bent stroke


@dataclass(frozen=True)
class Page:
    """How a character is put on paper. Lengths are shares: `height` and `place` of the page, the others of the height."""

    side: int = 120  # pixels
    height: float = 0.6
    width: float = 0.75  # of a character that is as wide as it is high: most hands write narrower ones
    pen: float = 0.1  # diameter; MNIST's strokes are 0.08 to 0.15
    slant: float = 0.0  # to the right, per height
    place: tuple[float, float] = (0.5, 0.5)  # of the middle: 0 touches the left or upper rim, 1 the right or lower one
    ink: int = 20
    paper: int = 245


def drawn(hand: Hand, page: Page) -> Grey:
    """(side, side): the strokes in ink on paper, with smooth edges."""
    low, high = (getattr(np.concatenate(list(hand)), end)(axis=0) for end in ("min", "max"))
    tall = page.height * page.side
    pen = max(1, round(page.pen * tall))
    strokes = [_leaning((stroke - (low + high) / 2) * tall * np.array([page.width, 1.0]), page.slant) for stroke in hand]
    reach = np.abs(np.concatenate(strokes)).max(axis=0) + pen / 2 + 1
    middle = reach + (page.side - 2 * reach) * np.array(page.place)
    picture = np.full((page.side, page.side), page.paper, np.uint8)
    for stroke in strokes:
        corners = np.rint((stroke + middle) * (1 << FRACTION)).astype(np.int32)
        cv2.polylines(picture, [corners], False, page.ink, pen, cv2.LINE_AA, FRACTION)  # noqa: FBT003  OpenCV's own order
    return picture


def pages(rng: np.random.Generator, number: int, page: Page) -> list[Page]:
    """`page` as `number` people would use it: each writes a little wider, thicker or more aslant, and elsewhere."""
    return [
        replace(
            page,
            width=page.width * rng.uniform(0.85, 1.15),
            pen=page.pen * rng.uniform(0.8, 1.25),
            slant=page.slant + rng.uniform(-0.1, 0.2),
            place=(rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)) if page.place == (0.5, 0.5) else page.place,
        )
        for _ in range(number)
    ]


def unsteady(hand: Hand, rng: np.random.Generator) -> Hand:
    """The same strokes by a hand that is not a ruler: every corner is off by a little."""
    return tuple(stroke + rng.normal(0, TREMOR, stroke.shape) for stroke in hand)


def _leaning(points: Points, slant: float) -> Points:
    return np.asarray(points @ np.array([[1.0, 0.0], [-slant, 1.0]]))


def _line(*points: tuple[float, float]) -> Points:
    return np.array(points)


def _arc(x: float, y: float, across: float, down: float, start: int, end: int) -> Points:
    """Part of an ellipse around (x, y), from one angle to another in degrees: 0 is right, 90 below, either way round."""
    corners = max(2, round(abs(end - start) / 360 * KNEES) + 1)
    angles = np.radians(np.linspace(start, end, corners))
    return np.stack([x + across * np.cos(angles), y + down * np.sin(angles)], axis=1)


def _joined(*parts: Points) -> Points:
    return np.concatenate(parts)


def _eight() -> Points:
    """One stroke that crosses itself."""
    turn = np.linspace(0, 2 * np.pi, 2 * KNEES)
    return np.stack([0.5 + 0.33 * np.sin(2 * turn), 0.5 - 0.5 * np.cos(turn)], axis=1)


# Each digit in the hands that a reader meets daily; their order means nothing.
DIGITS: Mapping[str, tuple[Hand, ...]] = {
    "0": (
        (_arc(0.5, 0.5, 0.42, 0.5, -90, 270),),
        (_arc(0.5, 0.5, 0.3, 0.5, -100, 265),),  # narrow
    ),
    "1": (
        (_line((0.5, 0), (0.5, 0.5), (0.5, 1)),),  # plain
        (_line((0.33, 0.2), (0.55, 0), (0.55, 0.5), (0.55, 1)),),  # with a flag
    ),
    "2": (
        (_joined(_arc(0.48, 0.28, 0.34, 0.28, 195, 385), _line((0.15, 1), (0.9, 1))),),
        (_joined(_arc(0.5, 0.3, 0.36, 0.3, 215, 400), _arc(0.1, 0.9, 0.14, 0.1, -60, 20), _line((0.95, 0.95))),),  # bent foot
    ),
    "3": (
        (_joined(_arc(0.45, 0.25, 0.33, 0.25, 200, 440), _arc(0.45, 0.74, 0.38, 0.26, 280, 520)),),
        (_joined(_line((0.15, 0), (0.8, 0), (0.45, 0.4)), _arc(0.43, 0.7, 0.37, 0.3, 280, 510)),),  # flat top
    ),
    "4": (
        (_line((0.2, 0), (0.12, 0.55), (0.9, 0.55)), _line((0.72, 0.1), (0.7, 0.5), (0.68, 1))),  # open
        (_line((0.68, 1), (0.68, 0.5), (0.68, 0), (0.08, 0.65), (0.95, 0.65)),),  # closed
    ),
    "5": (
        (_joined(_line((0.85, 0), (0.28, 0), (0.22, 0.44)), _arc(0.44, 0.69, 0.38, 0.31, 235, 515)),),
        (_line((0.3, 0.02), (0.9, 0)), _joined(_line((0.3, 0.02), (0.24, 0.42)), _arc(0.42, 0.7, 0.36, 0.3, 240, 500))),
    ),
    "6": (
        (_joined(_arc(0.85, 0.72, 0.7, 0.72, 262, 180), _arc(0.48, 0.72, 0.33, 0.28, 180, -185)),),
        (_joined(_line((0.6, 0), (0.28, 0.45)), _arc(0.47, 0.7, 0.32, 0.3, 190, -170)),),  # straight back
    ),
    "7": (
        (_line((0.1, 0), (0.88, 0), (0.62, 0.5), (0.36, 1)),),
        (_line((0.1, 0), (0.88, 0), (0.62, 0.5), (0.36, 1)), _line((0.32, 0.52), (0.85, 0.48))),  # with a bar
    ),
    "8": (
        (_eight(),),
        (_arc(0.5, 0.24, 0.28, 0.24, -90, 270), _arc(0.5, 0.74, 0.36, 0.26, -90, 270)),  # two rings
    ),
    "9": (
        (_joined(_arc(0.46, 0.28, 0.32, 0.28, 0, -360), _line((0.76, 0.6), (0.7, 1))),),
        (_joined(_arc(0.46, 0.28, 0.32, 0.28, 0, -360), _arc(0.26, 0.36, 0.52, 0.64, 5, 80)),),  # bent tail
    ),
}
