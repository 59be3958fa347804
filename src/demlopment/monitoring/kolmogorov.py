"""Kolmogorov and Smirnov's test of two samples: how far apart they are, and how likely that is by luck. Knows no profile."""

from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import kolmogorov

from demlopment.monitoring.labels import log_choose

LARGEST_EXPONENT = 690.0  # e to this is about 1e299: the number of orderings must fit a float to be counted

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def ks_distances(reference: npt.ArrayLike, windows: Values) -> Counts:
    """The largest gap between cumulative counts of a sample (m,), sorted, and of each window (windows, n), times m times n.

    >>> ks_distances([1.0, 2.0], np.array([[1.5, 3.0, 4.0], [2.0, 2.0, 1.0]])).tolist()
    [4, 1]
    """
    old, new = np.asarray(reference), np.sort(windows, axis=1)
    m, n = len(old), new.shape[1]
    places = np.arange(n)
    # The new sample runs ahead farthest where it has just risen, and falls behind farthest just before. Among ties the last
    # is farthest ahead and the first farthest behind, as they are in truth.
    ahead = (places + 1) * m - np.searchsorted(old, new, "right") * n
    behind = np.searchsorted(old, new, "left") * n - places * m
    return np.asarray(np.maximum(ahead, behind).max(axis=1), np.int64)


def ks_p_values(distances: Counts, reference: int, current: int) -> Values:
    """The chance of a Kolmogorov-Smirnov distance at least this large between two samples of one distribution.

    Distances  D times `reference` times `current`, whole numbers: the largest |i * current - j * reference|.
    Method     counts the orderings of both samples that stray that far, exactly, as positive terms only; where their
               number does not fit a float (both samples in the many hundreds), the asymptotic law, which is larger.
    Ties       only make the distance smaller, so the p-value stays valid: at most too large.
    Source     P. J. Kim and R. I. Jennrich, "Tables of the exact sampling distribution of the two-sample
               Kolmogorov-Smirnov criterion", Selected Tables in Mathematical Statistics 1 (1973), 79-170.

    >>> ks_p_values(np.array([4 * 4]), 4, 4).round(4).tolist()  # 2 of the 70 orderings are wholly apart
    [0.0286]
    """
    if log_choose(reference + current, current) > LARGEST_EXPONENT:
        size = reference * current / (reference + current)
        return np.asarray(kolmogorov(sqrt(size) * distances / (reference * current)), np.float64)
    many, few = max(reference, current), min(reference, current)
    column = np.arange(many + 1)
    reach = distances[:, None]
    total = np.ones(many + 1)  # orderings of i from the smaller sample and j from the larger, by j
    astray = np.where(column * few >= reach, 1.0, 0.0)  # those among them that have strayed by then
    for row in range(1, few + 1):
        apart = column * few - row * many
        before = np.where(apart <= -reach, total, astray)
        total = np.cumsum(total)
        astray = np.where(apart >= reach, total, np.cumsum(before, axis=1))
        astray = np.where(apart <= -reach, total, astray)
    return np.asarray(np.minimum(astray[:, -1] / total[-1], 1.0), np.float64)
