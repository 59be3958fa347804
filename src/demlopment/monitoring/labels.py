"""Are the answered classes mixed as in the reference? Exact tests of counts. Knows no answer and no profile."""

from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, xlogy
from scipy.stats import chi2

LARGEST_MIX = 1000  # answers in a window: the exact distribution of chi-square then takes up to half a second
CUTS = 4  # levels for each unit of chi-square
SCREEN = 0.02  # two hundred times what an alarm takes
NEGLIGIBLE = 1e-20  # a count so unlikely cannot move any p-value that is compared with a false-alarm rate

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def label_p_value(reference: Counts, current: Counts) -> float:
    """The chance that luck mixes the answered classes this differently, (classes,) counts each.

    Exact for any counts, small or zero, where the law of chi-square is not: up to 1,000 answers the distribution of the
    chi-square statistic (cut to quarters) among all ways to draw the window from both samples together; beyond that the
    most extreme class, two-sided hypergeometric, shared among the classes.
    """
    if current.sum() > LARGEST_MIX:
        return _class_p_value(reference, current)
    return _mix_p_value(reference, current)


def label_p_values(reference: Counts, windows: Counts) -> Values:
    """The same of many windows, (windows, classes): exact where chi-square's law says less than 0.02, else as that law says."""
    both = reference + windows
    drawn, whole = windows.sum(axis=1, keepdims=True), both.sum(axis=1, keepdims=True)
    expected = both * drawn / whole
    other = np.where(both > 0, both - expected, 1)
    apart = ((windows - expected) ** 2 * (1 / np.where(both > 0, expected, 1) + 1 / other) * (both > 0)).sum(axis=1)
    chances = chi2.sf(apart, np.maximum((both > 0).sum(axis=1) - 1, 1))
    for number in np.flatnonzero(chances < SCREEN).tolist():
        chances[number] = label_p_value(reference, windows[number])
    return np.asarray(chances, np.float64)


def log_choose(whole: npt.ArrayLike, part: npt.ArrayLike) -> Values:
    """The logarithm of the number of ways to choose `part` of `whole`; minus infinity where there is none."""
    whole, part = np.asarray(whole), np.asarray(part)
    possible = (part >= 0) & (part <= whole)
    part = np.where(possible, part, 0)
    ways = gammaln(whole + 1) - gammaln(part + 1) - gammaln(np.maximum(whole - part, 0) + 1)
    return np.where(possible, ways, -np.inf)


def _mix_p_value(reference: Counts, current: Counts) -> float:
    """Add the classes one by one: how likely so many of the window are drawn by then with so much chi-square."""
    both, drawn = reference + current, int(current.sum())
    both, current = both[both > 0], current[both > 0]
    expected = both * drawn / both.sum()
    counts = np.arange(drawn + 1)
    levels = np.floor(CUTS * (counts - expected[:, None]) ** 2 / expected[:, None]).astype(np.int64)
    # Beyond eight standard deviations the p-value stays the one of that place: tiny enough, and the table small.
    free = len(both) - 1
    most = int(CUTS * (free + 8 * sqrt(2 * free) + 20))
    seen = min(most, int(np.take_along_axis(levels, current[:, None], axis=1).sum()))
    # A hypergeometric draw is independent binomials, given that they add up to the window. Their share cancels out; near
    # the window's own the numbers stay far from under- and overflow.
    share = drawn / (both.sum() + 1)
    logs = log_choose(both[:, None], counts) + xlogy(counts, share) + xlogy(both[:, None] - counts, 1 - share)
    chances = np.where(counts <= both[:, None], np.exp(logs), 0.0)
    table = np.zeros((drawn + 1, seen + 1))  # by answers drawn and by level; the last level is "as far as seen, or farther"
    table[0, 0] = 1
    for chance, level in zip(chances, np.minimum(levels, seen), strict=True):
        grown = np.zeros_like(table)
        for count in np.flatnonzero(chance > NEGLIGIBLE).tolist():
            rows, up = table[: drawn + 1 - count] * chance[count], int(level[count])
            grown[count:, up:] += rows[:, : seen + 1 - up]
            grown[count:, seen] += rows[:, seen + 1 - up :].sum(axis=1)
        table = grown
    return float(min(1.0, table[drawn, seen] / table[drawn].sum()))


def _class_p_value(reference: Counts, current: Counts) -> float:
    both, drawn = reference + current, int(current.sum())
    whole = int(both.sum())
    counts = np.arange(drawn + 1)
    ways = log_choose(both[:, None], counts) + log_choose(whole - both[:, None], drawn - counts)
    chances = np.exp(ways - log_choose(whole, drawn))
    fewer = np.where(counts <= current[:, None], chances, 0).sum(axis=1)
    more = np.where(counts >= current[:, None], chances, 0).sum(axis=1)
    return float(min(1.0, 2 * np.minimum(fewer, more).min() * len(both)))
