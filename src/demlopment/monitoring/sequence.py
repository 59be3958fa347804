"""The interval of a mean over time, for a picture and for whoever asks how it came about. Knows neither arms nor shadows."""

from collections.abc import Sequence

import numpy as np

from demlopment import betting
from demlopment.monitoring.grid import Places

LONGEST_SEQUENCE = 500  # points: more cannot be told apart in a picture

Points = tuple[tuple[int, float, float], ...]  # (outcomes seen, low, high) over time
NOTHING = (-1.0, 1.0)  # what no outcome says of a mean between -1 and 1


def sequence(places: Places, values: Sequence[float], confidence: float, scale: float = 1.0) -> Points:
    """Bounds after so many outcomes, each of which has the value that its place names; the last of all is the last point.

    `scale` is what a mean of 1 stands for.

    >>> [(seen, round(low, 2), round(high, 2)) for seen, low, high in sequence(np.array([0, 1] * 200), (0.0, 1.0), 0.95)][-1]
    (400, 0.42, 0.58)
    """
    shown = np.unique(np.linspace(1, len(places), min(LONGEST_SEQUENCE, len(places))).round().astype(np.int64))
    counts = np.stack([np.cumsum(places == place, dtype=np.int64)[shown - 1] for place in range(len(values))])
    low, high = (scale * bound for bound in betting.bounds(counts, values, confidence))
    return tuple(zip(shown.tolist(), low.tolist(), high.tolist(), strict=True))


def last(points: Points, scale: float = 1.0) -> tuple[float, float]:
    """The interval as it stands."""
    return points[-1][1:] if points else (NOTHING[0] * scale, NOTHING[1] * scale)


def at_once(places: Places, values: Sequence[float], confidence: float) -> tuple[float, float]:
    """The bounds after all of them."""
    counts = np.array([[np.count_nonzero(places == place)] for place in range(len(values))], np.int64)
    low, high = betting.bounds(counts, values, confidence)
    return float(low[0]), float(high[0])
