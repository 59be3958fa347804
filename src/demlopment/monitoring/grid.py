"""Numbers as a few values, so that their mean can be bounded at every look (betting.py). Knows no metric."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def places(numbers: Numbers, values: Sequence[float]) -> Places:
    """(n,) which of the values (k,) each number (n,) is.

    What lies between two values is either of them, with the chances that keep its mean; so bounds of the rounded mean are
    bounds of the mean itself, and no wider by more than this luck. The draws are always the same ones, and the i-th number
    has the i-th, so whatever comes later changes no rounding. Numbers outside the values are the nearest one.

    >>> places(np.array([0.0, 1.0, -2.0]), (0.0, 2.0, -2.0)).tolist()
    [0, 1, 2]
    """
    order = np.argsort(values)
    ascending = np.asarray(values, np.float64)[order]
    above = np.clip(np.searchsorted(ascending, numbers), 1, len(values) - 1)
    below, width = ascending[above - 1], ascending[above] - ascending[above - 1]
    up = np.random.default_rng(0).random(len(numbers)) < (numbers - below) / width
    return np.asarray(order[np.where(up, above, above - 1)], np.int64)
