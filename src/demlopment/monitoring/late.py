"""How good a model was, by the time of its answers, from labels that came late and not for every answer alike.

Knows confidences, classes and which answers were right, as columns; no record and no journal.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from demlopment.errors import DataError
from demlopment.intervals import wilson
from demlopment.monitoring.quality import UNKNOWN
from demlopment.records import Interval

LEVELS = (0.25, 0.5, 0.75)  # of the confidences, between which answers are told apart
FEWEST = 5  # labels of a stratum that stands for itself; fewer count with its level, or with all

Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Realised:
    """The accuracy of the answers of one time, from those labels that came."""

    start: float  # seconds since 1970, of the first answer
    end: float  # of the last
    answers: int
    labelled: int
    plain: float  # share of the labelled that is right; NaN without labels
    corrected: float  # of all answers, as if labels came alike; NaN without labels
    interval: Interval  # of the corrected


def realised(at: Values, confidence: Values, told: npt.NDArray[np.int64], right: Values) -> Realised:
    """Of answers (n,) each: their times, confidences, classes, and whether right (1, 0; NaN while nobody knows).

    Correction  answers are weighed by the inverse of how often labels came for their like, by class and quarter of confidence:
                what is left is that among equally sure answers of a class, labels come alike for right and wrong ones.
    Interval    a beta law of the weighted mean's variance, each stratum's accuracy drawn towards that of all.
    Raises      DataError for an empty window or columns of different lengths.
    """
    n = len(at)
    if not n or not n == len(confidence) == len(told) == len(right):
        raise DataError(f"The window has {n} times and {len(right)} answers.", "Give a time, a class and a confidence of each.")
    known = np.isfinite(right)
    start, end, labelled = float(at.min()), float(at.max()), int(known.sum())
    if not labelled:
        return Realised(start, end, n, 0, float("nan"), float("nan"), UNKNOWN)
    correct = right[known]
    plain = float(correct.mean())
    strata = _strata(confidence, told, known)
    sizes = np.bincount(strata, minlength=strata.max() + 1)
    heard = np.bincount(strata[known], minlength=len(sizes))
    held = np.bincount(strata[known], weights=correct, minlength=len(sizes))
    weights = sizes / n
    corrected = float(weights @ np.divide(held, heard, out=np.zeros(len(held)), where=heard > 0))
    drawn = (held + plain) / (heard + 1)  # one more answer, as right as all are
    spread = float((weights**2 * drawn * (1 - drawn) / np.maximum(heard, 1)).sum())
    return Realised(start, end, n, labelled, plain, corrected, _interval(corrected, spread, labelled))


def periods(at: Values, seconds: float) -> Iterator[slice]:
    """Times (n,), sorted, in whole periods since 1970: those that have ended, as far as the times tell, oldest first.

    The periods are the same at every look, so looking oftener tests nothing twice.
    """
    if not len(at):
        return
    numbers = np.floor(at / seconds).astype(np.int64)
    edges = np.flatnonzero(np.diff(numbers)) + 1
    for begin, end in zip([0, *edges[:-1].tolist()], edges.tolist(), strict=False):
        yield slice(begin, end)


def _strata(confidence: Values, told: npt.NDArray[np.int64], known: Flags) -> npt.NDArray[np.int64]:
    """(n,): a number for each class and level; a pair with few labels is its level, a level with few is all."""
    levels = np.searchsorted(np.quantile(confidence, LEVELS), confidence, side="left")
    steps = len(LEVELS) + 1
    pairs = 1 + steps + told * steps + levels
    heard = np.bincount(pairs[known], minlength=int(pairs.max()) + 1)
    strata = np.where(heard[pairs] >= FEWEST, pairs, 1 + levels)
    heard = np.bincount(strata[known], minlength=int(strata.max()) + 1)
    strata = np.where((heard[strata] >= FEWEST) | (strata > steps), strata, 0)
    if not known[strata == 0].any():  # nobody there has a label: count them with those of most labels
        strata = np.where(strata == 0, int(heard.argmax()), strata)
    return np.asarray(np.unique(strata, return_inverse=True)[1], np.int64)


def _interval(mean: float, variance: float, labelled: int) -> Interval:
    """No narrower than Wilson's of as many labels, were they all alike."""
    size = max(mean * (1 - mean) / variance - 1, 1.0) if variance > 0 and 0 < mean < 1 else float(labelled)
    size = min(size, float(labelled))
    low, high = beta.ppf([0.025, 0.975], mean * size + 0.5, (1 - mean) * size + 0.5)
    if mean in (0.0, 1.0):
        edge = wilson(round(mean * labelled), labelled)
        low, high = min(low, edge.low), max(high, edge.high)
    return Interval(float(min(low, mean)), float(max(high, mean)))
