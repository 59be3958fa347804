"""Do two samples of answers come from one distribution? A kernel two-sample test by permutation. Knows no profile.

The kernel is a Gaussian's random features, so a mean over a sample is a point, and a permutation costs one product.
Sources  A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf, A. Smola, "A kernel two-sample test", JMLR 13 (2012), 723-773;
         A. Rahimi, B. Recht, "Random features for large-scale kernel machines", NIPS 20 (2007), 1177-1184;
         J. Besag, P. Clifford, "Sequential Monte Carlo p-values", Biometrika 78 (1991), 301-304.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

FREQUENCIES = 64  # each gives a cosine and a sine
# Of the kernel, in nats: about the distance of two answers of a good model. Were it taken from the reference's own rows, as is
# usual, a permutation would change the test, which would no longer be exact.
WIDTH = 15.0
FAINTEST = 1e-6  # a probability below it counts as it: what float32 still tells from 1
EXCEEDED = 3  # permutations as far apart as the window end the search: what is not rare is not told exactly
FIRST, STEP = 100, 2000  # permutations at a time
SEED = 1  # the same window is told the same at every look

Features = npt.NDArray[np.float32]


def powers(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float16]:
    """Logits but for a constant, (n, classes), coarse as a profile keeps them.

    Where both were tried, the test found on these whatever it found on the penultimate layer, which is wider.
    """
    return np.asarray(np.log(probabilities.astype(np.float64).clip(FAINTEST)), np.float16)


def features(points: npt.NDArray[np.floating]) -> Features:
    """(n, width) -> (n, 128)."""
    angles = points.astype(np.float32) @ _waves(points.shape[1])
    return np.asarray(np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(FREQUENCIES), np.float32)


def discrepancy(old: Features, new: Features) -> float:
    """The squared distance of both means: 0 where nothing differs, 2 at most."""
    apart = old.mean(axis=0, dtype=np.float64) - new.mean(axis=0, dtype=np.float64)
    return float(apart @ apart)


def kernel_p_value(old: Features, new: Features, least: float) -> float:
    """The chance that a random division of both samples is so far apart as they are: exact, for any sizes.

    Permutations go on until three were as far apart, or a p-value of `least` would have been told.
    """
    both = np.concatenate([old, new])
    whole, seen = both.sum(axis=0, dtype=np.float64), _apart(both, old.shape[0], new.sum(axis=0, dtype=np.float64)[None])[0]
    tried, beyond, most = 0, 0, int(2 / least)
    while tried < most:
        chosen = _divisions(len(both), len(new), tried, FIRST if not tried else STEP)
        others = _apart(both, len(old), chosen.astype(np.float32) @ both, whole)
        far = np.flatnonzero(others >= seen * (1 - 1e-6))  # equal ones, whatever float32 makes of them, are as far
        if beyond + len(far) >= EXCEEDED:
            return EXCEEDED / (tried + int(far[EXCEEDED - beyond - 1]) + 1)
        beyond, tried = beyond + len(far), tried + len(others)
    return (beyond + 1) / (tried + 1)


def kernel_p_values(old: Features, windows: Features, least: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The same of many windows at once: (m, features), (windows, n, features) and (windows,) -> (windows,)."""
    m, n = len(old), windows.shape[1]
    chosen = _divisions(m + n, n, 0, FIRST).astype(np.float32)
    sums = chosen[:, :m] @ old + chosen[:, m:] @ windows  # (windows, divisions, features)
    own = windows.sum(axis=1, dtype=np.float64)
    total = (own + old.sum(axis=0, dtype=np.float64))[:, None] / m
    others = ((sums * (1 / n + 1 / m) - total) ** 2).sum(axis=2)
    seen = ((own * (1 / n + 1 / m) - total[:, 0]) ** 2).sum(axis=1)
    far = np.cumsum(others >= seen[:, None] * (1 - 1e-6), axis=1)
    chances = EXCEEDED / (np.argmax(far == EXCEEDED, axis=1) + 1)
    for number in np.flatnonzero(far[:, -1] < EXCEEDED).tolist():
        chances[number] = kernel_p_value(old, windows[number], float(least[number]))
    return np.asarray(chances, np.float64)


def _apart(
    both: Features, old: int, sums: npt.NDArray[np.floating], whole: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """The discrepancy for each sum over a new sample (k, features)."""
    new = len(both) - old
    total = both.sum(axis=0, dtype=np.float64) if whole is None else whole
    apart = sums.astype(np.float64) * (1 / new + 1 / old) - total / old
    return np.asarray((apart**2).sum(axis=1), np.float64)


@lru_cache(maxsize=4)
def _waves(width: int) -> Features:
    """(width, 64)."""
    return np.asarray(np.random.default_rng(SEED).standard_normal((width, FREQUENCIES)) / WIDTH, np.float32)


@lru_cache(maxsize=16)
def _divisions(rows: int, new: int, begin: int, number: int) -> npt.NDArray[np.bool_]:
    """(number, rows): which rows each random division calls new; the same ones at every look and in every window."""
    rng = np.random.default_rng([SEED, rows, new, begin])
    drawn = rng.random((number, rows), np.float32)
    cut = np.partition(drawn, new - 1, axis=1)[:, new - 1 : new]
    return np.asarray(drawn <= cut, np.bool_)
