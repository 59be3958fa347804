"""Has the input changed? One window of traffic against the reference, with a stated false-alarm rate.

Reads predictions and a profile; knows nothing of endpoints, labels or what will be done about an alarm.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import kolmogorov

from demlopment.errors import DataError
from demlopment.legibility import legible
from demlopment.monitoring.kernel import discrepancy, features, kernel_p_value, powers
from demlopment.monitoring.labels import label_p_value, log_choose
from demlopment.monitoring.pictures import picture_statistics
from demlopment.monitoring.reference import (
    Taught,
    answer_statistics,
    check_format,
    known_powers,
    label_counts,
    taught,
)
from demlopment.monitoring.strangers import strange_p_value, strange_share, strangeness
from demlopment.records import DriftReport, DriftTest, Prediction

LARGEST_EXPONENT = 690.0  # e to this is about 1e299: the number of orderings must fit a float to be counted
ROUGH = 0.02  # as far as a p-value is known that decides nothing

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
               knows the classes: how many of the strangest answers are the window's, exact too. Where it holds
               the logarithms of probabilities: a kernel test of all of them together, by permutations.
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
    old = known_powers(reference)
    if answers and old is not None:
        tests.append(_compare_together(old, answers, tests, false_alarm_rate / (len(tests) + 1)))
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


def _compare_together(
    old: npt.NDArray[np.float16], answers: Sequence[Prediction], others: Sequence[DriftTest], threshold: float
) -> DriftTest:
    was, now = (features(each) for each in (old, powers(np.stack([answer.probabilities for answer in answers]))))
    # Thousands of permutations are for a window that nothing else has found.
    found = any(test.p_value < threshold for test in others)
    return DriftTest("kernel", discrepancy(was, now), kernel_p_value(was, now, ROUGH if found else threshold))


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


def _distance(old: Values, new: Values) -> int:
    """The largest gap between both cumulative counts, times both sizes; `old` and `new` are sorted and may have ties."""
    places = np.concatenate((old, new))
    gaps = np.searchsorted(old, places, "right") * len(new) - np.searchsorted(new, places, "right") * len(old)
    return int(np.abs(gaps).max())
