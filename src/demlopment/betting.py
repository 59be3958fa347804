"""Bounds on the mean of outcomes that can have a few values, which stay true however often one looks.

For each conceivable mean a gambler bets that the true one is higher; while he is wrong his wealth is a supermartingale, so by
Ville's inequality it ever reaches 2 / alpha with a chance of at most alpha / 2. The means at which it did are refused. No
normal approximation, no burn-in: it holds from the first outcome, for rare ones too.

Source   I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024), 1-27;
         with fixed bets, wealth depends on the counts of the outcomes only.
"""

from collections.abc import Sequence
from math import log

import numpy as np
import numpy.typing as npt

# Bets as shares of the largest that cannot ruin, and how the gambler divides his purse among them. The large ones are
# right for a few errors per hundred and 400 to 800 labels: half an interval is then 3 to 6 points. The small ones keep
# it shrinking after tens of thousands.
BETS = np.array([1, 1 / 2, 1 / 4, 1 / 16, 1 / 64])
PURSE = np.array([0.6, 0.25, 0.1, 0.04, 0.01])
BOLDEST = 0.98  # of the bet that one outcome could ruin
HALVINGS = 18  # of the range from -1 to 1: bounds are known to 1e-5 and rounded outwards

Count = npt.NDArray[np.int64]
Bound = npt.NDArray[np.float64]


def bounds(counts: Count, values: Sequence[float], confidence: float) -> tuple[Bound, Bound]:
    """Lower and upper bound of a mean between -1 and 1, after so many outcomes (k, ...) with the values (k,).

    Over all times together they miss it with a chance of at most 1 - confidence.
    """
    return _lower(counts, values, confidence), -_lower(counts, [-value for value in values], confidence)


def above(counts: Count, values: Sequence[float], mean: Bound, confidence: float) -> npt.NDArray[np.bool_]:
    """Whether the lower bound has passed `mean`, after so many outcomes (k, ...): much quicker than finding the bound.

    Whether the upper one has: turn the signs of the values and of the mean around.
    """
    # 1 + bet * (value - mean) must stay positive for means up to 1. Wealth falls as the mean that is bet against rises.
    bets = BOLDEST * BETS / (1 - min(values))
    return np.asarray(log_wealth(counts, values, bets, mean) >= log(2 / (1 - confidence)), np.bool_)


def log_wealth(counts: Count, values: Sequence[float], bets: Bound, mean: Bound) -> Bound:
    """What the gambler owns who started with 1 and bet that the mean is above `mean`."""
    shifted = mean[..., None]
    gains = (np.log1p(bets * (value - shifted)) for value in values)
    purses = sum(count[..., None] * gain for count, gain in zip(counts, gains, strict=True))
    return np.asarray(np.logaddexp.reduce(purses + np.log(PURSE), axis=-1), np.float64)


class Evidence:
    """Against several means being at most their limits, as outcomes come: what gamblers own who bet that they are above.

    Wealth that ever reaches 1 / alpha refuses a limit that is kept with a chance of at most alpha, however often one looks.

    >>> evidence = Evidence([0.02], lowest=[0])
    >>> for _ in range(2):
    ...     evidence.see(np.array([1.0]))  # an error
    >>> evidence.log_wealth().round(1).tolist()
    [7.4]
    """

    def __init__(self, limits: Sequence[float], lowest: Sequence[float]) -> None:
        """Limits (t,), each above the `lowest` outcome of its mean."""
        self._limits = np.asarray(limits, np.float64)
        self._bets = BOLDEST * BETS / (self._limits - np.asarray(lowest, np.float64))[:, None]  # (t, bets)
        self._purses = np.tile(np.log(PURSE), (len(limits), 1))  # (t, bets)

    def see(self, outcomes: Bound) -> None:
        """The next outcome of each mean (t,); NaN where there is none."""
        self._purses += np.nan_to_num(np.log1p(self._bets * (outcomes - self._limits)[:, None]))

    def log_wealth(self) -> Bound:
        """Logarithm of the wealth against each limit (t,)."""
        return np.asarray(np.logaddexp.reduce(self._purses, axis=1), np.float64)


def _lower(counts: Count, values: Sequence[float], confidence: float) -> Bound:
    """The largest mean below which every mean is refused."""
    low, high = np.full(counts.shape[1:], -1.0), np.full(counts.shape[1:], 1.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        refused = above(counts, values, middle, confidence)
        low, high = np.where(refused, middle, low), np.where(refused, high, middle)
    return low
