"""Confidence intervals that several rooms and the report state. Pure arithmetic; knows nothing of models."""

from math import sqrt
from statistics import NormalDist

from demlopment.records import Interval


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The Wilson score interval of a proportion: honest for small samples and near 0 or 1, where +-1.96 s.e. is not.

    Source   E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.
    Raises   ValueError unless 0 <= successes <= trials and trials > 0.

    >>> interval = wilson(742, 750)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.9791, 0.9946)
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials is not a proportion.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(max(0.0, middle - half), min(1.0, middle + half), confidence)


def paired_difference(better: int, worse: int, rows: int, confidence: float = 0.95) -> Interval:
    """An interval for the accuracy of the candidate minus the champion's on the same rows: Wald's, half a row added per cell.

    Without that half row the interval would have no width when the two models never differ.
    Source   A. Agresti, Y. Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in
             Medicine 24 (2005), 729-740.

    >>> interval = paired_difference(30, 10, 750)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.01, 0.0432)
    """
    n, only_candidate, only_champion = rows + 2, better + 0.5, worse + 0.5
    difference = (only_candidate - only_champion) / n
    error = sqrt(only_candidate + only_champion - (only_candidate - only_champion) ** 2 / n) / n
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Interval(max(-1.0, difference - half), min(1.0, difference + half), confidence)
