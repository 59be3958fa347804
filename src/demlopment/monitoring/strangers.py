"""How far an answer lies from every class that was taught, and how many of a window belong to none. Knows no picture and no
profile.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

ILLEGIBLE = 1e9  # the strangeness of what shows no character, farther than any embedding lies
# Shares of both samples together among which the window's are counted: a few that are very strange, or many that are
# somewhat. Of these, 8, 16 and 40 of 600 found a tenth of letters and blanks in a window of 100 oftenest (45 %).
TAILS = (1 / 75, 2 / 75, 1 / 15)
USUAL = 0.99  # of calm answers are less strange than what is told as strange

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def centres(embeddings: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The mean of each class that has rows: (n, width) and (n,) -> (classes, width)."""
    points = embeddings.astype(np.float64)
    means = [points[labels == label].mean(axis=0) for label in np.unique(labels)]
    return np.stack(means).astype(np.float32)


def distances(embeddings: npt.NDArray[np.floating], middles: npt.NDArray[np.float32]) -> Values:
    """Euclidean, from the nearest of the classes: (n, width) and (classes, width) -> (n,).

    Mahalanobis' distance and that of the nearest neighbours, which need far more of a profile, find no more letters.
    """
    points, means = embeddings.astype(np.float64), middles.astype(np.float64)
    squares = (points**2).sum(axis=1)[:, None] - 2 * points @ means.T + (means**2).sum(axis=1)
    return np.asarray(np.sqrt(np.clip(squares.min(axis=1), 0, None)), np.float64)


def strangeness(embeddings: npt.NDArray[np.floating], middles: npt.NDArray[np.float32], shown: Flags) -> Values:
    """The same, and farther than anything where no character is shown: (n,), rounded as a profile keeps it."""
    return np.where(shown, distances(embeddings, middles).round(4), ILLEGIBLE)


def strange_share(reference: Values, window: Values) -> float:
    """Share of the window that is stranger than 99 of 100 calm answers."""
    return float((window > np.quantile(reference, USUAL, method="higher")).mean())


def strange_p_values(reference: Values, windows: Values) -> Values:
    """For each window, the chance that so many of the strangest answers are its own if it is as the reference: exact.

    (m,) and (windows, n) -> (windows,).
    Method  of the k strangest of both, the window's are hypergeometric; the smallest of three chances, times three.
    Ties    count for the reference, so that the p-value is at most too large.

    >>> windows = np.array([np.arange(100.0), np.r_[np.arange(90.0), [ILLEGIBLE] * 10]])
    >>> (strange_p_values(np.arange(500.0), windows) < 1e-4).tolist()
    [False, True]
    """
    m, n = len(reference), windows.shape[1]
    falling = -np.sort(-windows, axis=1)
    behind = m - np.searchsorted(np.sort(reference), falling, "left")  # of the reference that are as strange or stranger
    places = np.arange(1, n + 1) + behind  # of each of the window's among both
    tails = [max(1, round(share * (m + n))) for share in TAILS]
    chances = [hypergeom.sf((places <= tail).sum(axis=1) - 1, m + n, n, tail) for tail in tails]
    return np.asarray(np.minimum(len(tails) * np.min(chances, axis=0), 1.0), np.float64)
