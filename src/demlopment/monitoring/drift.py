"""Has the input changed? One window of traffic against the reference, with a stated false-alarm rate.

Reads predictions and a profile; knows nothing of endpoints, labels or what will be done about an alarm.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, kolmogorov, xlogy

from demlopment.errors import DataError
from demlopment.legibility import legible
from demlopment.monitoring.reference import (
    Taught,
    answer_statistics,
    check_format,
    label_counts,
    picture_statistics,
    taught,
)
from demlopment.monitoring.strangers import strange_p_value, strange_share, strangeness
from demlopment.records import DriftReport, DriftTest, Prediction

LARGEST_EXPONENT = 690.0  # e to this is about 1e299: the number of orderings must fit a float to be counted
LARGEST_MIX = 1000  # answers in a window: the exact distribution of chi-square then takes up to half a second
CUTS = 4  # levels for each unit of chi-square
NEGLIGIBLE = 1e-20  # a count so unlikely cannot move any p-value that is compared with a false-alarm rate

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def drift(
    reference: Mapping[str, Any],
    window: Sequence[Prediction],
    *,
    start: int,
    false_alarm_rate: float,
    version: str | None = None,
) -> DriftReport:
    """Compare `window`, whose first prediction has the index `start`, with a model's reference profile.

    Tests      two-sample Kolmogorov-Smirnov on every statistic of the profile, exact for its 500 rows and the window's;
               on ties it errs towards silence. Chi-square, also exact, on how often each class was answered. Where the profile
               knows the classes: how many of the strangest answers are the window's, exact too.
    Threshold  the false-alarm rate shared equally among the tests (Bonferroni), so it holds however they depend.
    Version    whose profile it is. Answers of other versions count for the statistics of pictures only; without
               `version` all answers must be of one.
    Damaged    answers, which hold NaN or infinity, are counted and compared no further.
    Images     not kept are passed over and counted: which ones is chance, so the tests of pictures only get weaker. Where
               nothing at all can be compared there is no test, and no alarm.
    Raises     DataError for an empty window, mixed versions, or a profile that does not belong to these answers.
    """
    check_format(reference)
    if not window:
        raise DataError("The window holds no predictions.", "Wait for traffic, or choose a smaller window.")
    pictures = [prediction.image for prediction in window if prediction.image is not None]
    answers = _answers_of(window, version)
    tests = _compare(reference["pictures"], picture_statistics(np.stack(pictures))) if pictures else []
    if answers:
        tests += _compare_answers(reference, answers)
    known = taught(reference)
    if answers and known is not None:
        tests.append(_compare_classes(known, answers))
    threshold = false_alarm_rate / max(1, len(tests))
    unseen = len(window) - len(pictures)
    return DriftReport(start, len(window), tuple(tests), threshold, false_alarm_rate, unseen, _damaged(window))


def windows(predictions: Sequence[Prediction], size: int) -> Iterator[tuple[int, Sequence[Prediction]]]:
    """Consecutive whole windows with the index of their first prediction; what is left over waits for more traffic."""
    for start in range(0, len(predictions) - size + 1, size):
        yield start, predictions[start : start + size]


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
    if _log_choose(reference + current, current) > LARGEST_EXPONENT:
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


def label_p_value(reference: Counts, current: Counts) -> float:
    """The chance that luck mixes the answered classes this differently, (classes,) counts each.

    Exact for any counts, small or zero, where the law of chi-square is not: up to 1,000 answers the distribution of the
    chi-square statistic (cut to quarters) among all ways to draw the window from both samples together; beyond that the
    most extreme class, two-sided hypergeometric, shared among the classes.
    """
    if current.sum() > LARGEST_MIX:
        return _class_p_value(reference, current)
    return _mix_p_value(reference, current)


def _compare(reference: Mapping[str, Sequence[float]], window: Mapping[str, Values]) -> list[DriftTest]:
    """One Kolmogorov-Smirnov test for each statistic; `reference` is sorted."""
    if set(reference) != set(window):
        unfit = sorted(set(reference) ^ set(window))
        raise DataError(f"The reference profile and the window disagree about {unfit}.", "Use the profile of this model.")
    samples = {name: (np.asarray(values), np.sort(window[name])) for name, values in reference.items()}
    distances = np.array([_distance(*pair) for pair in samples.values()], np.int64)
    old, new = next((len(old), len(new)) for old, new in samples.values())
    chances = ks_p_values(distances, old, new)
    return [
        DriftTest(name, distance / (old * new), float(chance))
        for name, distance, chance in zip(samples, distances.tolist(), chances, strict=True)
    ]


def _compare_answers(reference: Mapping[str, Any], answers: Sequence[Prediction]) -> list[DriftTest]:
    probabilities = np.stack([answer.probabilities for answer in answers])
    embeddings = np.stack([answer.embedding for answer in answers])
    directions, labels = np.asarray(reference["directions"]), np.asarray(reference["labels"])
    if (embeddings.shape[1], probabilities.shape[1]) != (directions.shape[1], len(labels)):
        raise DataError(
            f"The answers have {probabilities.shape[1]} classes and embeddings of width {embeddings.shape[1]}, "
            f"the reference profile {len(labels)} and {directions.shape[1]}.",
            "Compare a model's answers with the profile in its own archive.",
        )
    counts = label_counts(probabilities)
    shift = float(np.abs(counts / counts.sum() - labels / labels.sum()).max())
    return [
        *_compare(reference["answers"], answer_statistics(probabilities, embeddings, directions)),
        DriftTest("label", shift, label_p_value(labels, counts)),
    ]


def _compare_classes(known: Taught, answers: Sequence[Prediction]) -> DriftTest:
    """Whether the answers lie where those of the taught classes do."""
    shown = np.array([each.image is None or bool(legible(each.image[np.newaxis], known.legible)[0]) for each in answers])
    strange = strangeness(np.stack([answer.embedding for answer in answers]), known.centres, shown)
    return DriftTest("no class", strange_share(known.strangeness, strange), strange_p_value(known.strangeness, strange))


def _answers_of(window: Sequence[Prediction], version: str | None) -> list[Prediction]:
    versions = sorted({prediction.version for prediction in window})
    if version is None and len(versions) > 1:
        raise DataError(
            f"The window holds answers of the versions {', '.join(versions)}.",
            "Say whose reference profile it is compared with.",
        )
    # A Python handler leaves neither probabilities nor an embedding to compare.
    kept = [each for each in window if version in (None, each.version) and len(each.embedding)]
    return [each for each in kept if _whole(each)]


def _whole(answer: Prediction) -> bool:
    return bool(np.isfinite(answer.probabilities).all() and np.isfinite(answer.embedding).all())


def _damaged(window: Sequence[Prediction]) -> int:
    return sum(not _whole(each) for each in window)


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
    logs = _log_choose(both[:, None], counts) + xlogy(counts, share) + xlogy(both[:, None] - counts, 1 - share)
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
    ways = _log_choose(both[:, None], counts) + _log_choose(whole - both[:, None], drawn - counts)
    chances = np.exp(ways - _log_choose(whole, drawn))
    fewer = np.where(counts <= current[:, None], chances, 0).sum(axis=1)
    more = np.where(counts >= current[:, None], chances, 0).sum(axis=1)
    return float(min(1.0, 2 * np.minimum(fewer, more).min() * len(both)))


def _distance(old: Values, new: Values) -> int:
    """The largest gap between both cumulative counts, times both sizes; `old` and `new` are sorted and may have ties."""
    places = np.concatenate((old, new))
    gaps = np.searchsorted(old, places, "right") * len(new) - np.searchsorted(new, places, "right") * len(old)
    return int(np.abs(gaps).max())


def _log_choose(whole: npt.ArrayLike, part: npt.ArrayLike) -> Values:
    """The logarithm of the number of ways to choose `part` of `whole`; minus infinity where there is none."""
    whole, part = np.asarray(whole), np.asarray(part)
    possible = (part >= 0) & (part <= whole)
    part = np.where(possible, part, 0)
    ways = gammaln(whole + 1) - gammaln(part + 1) - gammaln(np.maximum(whole - part, 0) + 1)
    return np.where(possible, ways, -np.inf)
