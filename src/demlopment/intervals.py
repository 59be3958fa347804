"""Confidence intervals that training, monitoring and the report all state. Pure arithmetic; knows nothing of models."""

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
