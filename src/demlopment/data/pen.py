"""What a pen drew, as a picture. A pure function of the points; knows no file and no label."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from demlopment.errors import DataError

SIDE = 56  # pixels of the picture: twice what the network sees, so that preparing it only ever shrinks
BOX = 40  # what the longer side of the points is scaled to
PEN = 5.0  # diameter: an eighth of the box, as MNIST's strokes are
REACH = PEN / 2 + 0.5  # of a point, to the centre of the farthest pixel that the pen touches there
AT_ONCE = 64  # segments: were each as long as the picture, 64 * 56 * 56 distances would be 1.6 MB

Points = npt.NDArray[np.float64]  # (n, 2): x to the right, y down
Places = npt.NDArray[np.int64]


def drawn(strokes: Sequence[Points]) -> npt.NDArray[np.uint8]:
    """(56, 56), ink light on dark: the strokes scaled into the box keeping their aspect, centred, of one width.

    Neither where the strokes lie, nor their size, direction or order makes a difference. A stroke of one point is a dot.
    Each pixel is as light as the pen, a disc, covers it: by the distance of its centre from the nearest segment.
    Raises DataError where there is no point, or one that is not finite.

    >>> picture = drawn([np.array([[0.0, 0.0], [10.0, 0.0]])])
    >>> picture[24:32, 28].tolist()
    [0, 128, 255, 255, 255, 255, 128, 0]
    """
    points = np.concatenate(strokes) if len(strokes) else np.zeros((0, 2))
    if not len(points) or not np.isfinite(points).all():
        raise DataError(f"{len(points)} points, not all of them finite, are no picture.", "Give one finite point or more.")
    starts, ends = _segments(strokes, points)
    nearest = np.full(SIDE * SIDE, np.inf)
    for first in range(0, len(starts), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        segments, rows, columns = _touched(starts[part], ends[part])
        squares = _squared_distances(starts[part][segments], ends[part][segments], rows, columns)
        np.minimum.at(nearest, rows * SIDE + columns, squares)
    cover = np.clip(REACH - np.sqrt(nearest), 0, 1)
    return np.asarray(np.rint(255 * cover), np.uint8).reshape(SIDE, SIDE)


def _segments(strokes: Sequence[Points], points: Points) -> tuple[Points, Points]:
    """Both ends of every segment on the picture, the smaller one first, so that direction cannot matter even by rounding."""
    exponent = np.frexp(np.abs(points).max())[1]  # scaled by a power of two nothing is rounded, and nothing overflows
    low, high = np.ldexp(points.min(axis=0), -exponent), np.ldexp(points.max(axis=0), -exponent)
    extent = (high - low).max() or 1.0
    margin = (SIDE - BOX * (high - low) / extent) / 2
    placed = [margin + BOX * ((np.ldexp(stroke, -exponent) - low) / extent) for stroke in strokes if len(stroke)]
    starts = np.concatenate([stroke[:-1] if len(stroke) > 1 else stroke for stroke in placed])
    ends = np.concatenate([stroke[1:] if len(stroke) > 1 else stroke for stroke in placed])
    later = (starts[:, 0] > ends[:, 0]) | ((starts[:, 0] == ends[:, 0]) & (starts[:, 1] > ends[:, 1]))
    return np.where(later[:, None], ends, starts), np.where(later[:, None], starts, ends)


def _touched(starts: Points, ends: Points) -> tuple[Places, Places, Places]:
    """Every segment with every pixel that it may touch: number of the segment, row and column, (k,) each."""
    low = np.clip(np.floor(np.minimum(starts, ends) - REACH), 0, SIDE - 1).astype(np.int64)
    high = np.clip(np.ceil(np.maximum(starts, ends) + REACH), 1, SIDE).astype(np.int64)
    width, height = (high - low).T
    sizes = width * height
    segments = np.repeat(np.arange(len(starts)), sizes)
    places = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows, columns = np.divmod(places, width[segments])
    return segments, low[segments, 1] + rows, low[segments, 0] + columns


def _squared_distances(starts: Points, ends: Points, rows: Places, columns: Places) -> Points:
    """(k,): from each segment to the centre of its pixel."""
    right, down = columns + 0.5 - starts[:, 0], rows + 0.5 - starts[:, 1]
    run, fall = (ends - starts).T
    length = run**2 + fall**2
    along = np.clip((right * run + down * fall) / np.where(length > 0, length, 1), 0, 1)
    return np.asarray((right - along * run) ** 2 + (down - along * fall) ** 2, np.float64)
