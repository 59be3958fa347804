"""Every window of a stretch against the reference: one, or thousands at once. Knows no prediction and no table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.monitoring.kernel import discrepancy, features, kernel_p_values
from demlopment.monitoring.kolmogorov import ks_distances, ks_p_values
from demlopment.monitoring.labels import label_p_values
from demlopment.monitoring.pictures import DECIMALS
from demlopment.monitoring.reference import check_format, known_powers, taught
from demlopment.monitoring.strangers import strange_p_values, strange_share
from demlopment.monitoring.stretch import Stretch
from demlopment.records import DriftReport, DriftTest

MOST = 1000  # windows at a look; where there would be more, they are longer
SAMPLE = 512  # answers of a window that are compared: the reference has fewer, so further ones would tell little
ROUGH = 0.02  # as far as a p-value is known that decides nothing
BLOCK = 200  # windows at once: what the kernel test makes of them is 50 MB

Values = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Tested:
    """One test of several windows, (windows,) each."""

    name: str
    statistic: Values
    p_value: Values


def length(answers: int, size: int) -> int:
    """Of the windows of a look at so many answers: `size`, doubled until there are at most 1,000."""
    while answers // size > MOST:
        size *= 2
    return size


def counted(answers: int, size: int) -> list[slice]:
    """Whole windows of `size` answers, in order; what is left over waits for more."""
    return [slice(begin, begin + size) for begin in range(0, answers - size + 1, size)]


def drifts(
    reference: Mapping[str, Any], stretch: Stretch, windows: Sequence[slice], *, false_alarm_rate: float, start: int = 0
) -> tuple[DriftReport, ...]:
    """A report of each window of a stretch whose first answer has the index `start`, in order.

    Of longer windows than 512 evenly spaced answers are compared. Windows of which equally many answers and pictures can be
    compared are tested together. P-values above 0.02 may be approximate; none below it is.
    """
    check_format(reference)
    rows = [np.arange(window.start, window.stop) for window in windows]
    chosen = [_sample(each[stretch.compared[each]]) for each in rows]
    groups: dict[tuple[int, int], list[int]] = {}
    for number, places in enumerate(chosen):
        groups.setdefault((int(stretch.shown[places].sum()), int(stretch.ours[places].sum())), []).append(number)
    reports: dict[int, DriftReport] = {}
    for numbers in (part for whole in groups.values() for part in _blocks(whole)):
        seen = np.stack([chosen[number][stretch.shown[chosen[number]]] for number in numbers])
        told = np.stack([chosen[number][stretch.ours[chosen[number]]] for number in numbers])
        tests, threshold = _tests(reference, stretch, seen, told, false_alarm_rate)
        for place, number in enumerate(numbers):
            found = tuple(DriftTest(each.name, float(each.statistic[place]), float(each.p_value[place])) for each in tests)
            unseen, damaged = (int(flags[rows[number]].sum()) for flags in (~stretch.shown, stretch.damaged))
            first, size = start + windows[number].start, len(rows[number])
            reports[number] = DriftReport(first, size, found, threshold, false_alarm_rate, unseen, damaged)
    return tuple(reports[number] for number in range(len(rows)))


def every(answers: int, size: int) -> int:
    """Of so many answers each one of how many is to be compared, for windows of `size` and more."""
    return max(1, length(answers, size) // SAMPLE)


def _sample(places: Places) -> Places:
    """At most 512 of them, evenly spaced."""
    if len(places) <= SAMPLE:
        return places
    return places[np.unique(np.linspace(0, len(places) - 1, SAMPLE).astype(np.int64))]


def _tests(
    reference: Mapping[str, Any], stretch: Stretch, seen: Places, told: Places, false_alarm_rate: float
) -> tuple[list[_Tested], float]:
    """Of windows of pictures (windows, n) and of answers (windows, m), and below which p-value an alarm stands."""
    known, old = taught(reference), known_powers(reference)
    tests: list[_Tested] = []
    if seen.shape[1]:
        tests += _compared(reference["pictures"], stretch.pictures, seen)
    if told.shape[1]:
        tests += _compared(reference["answers"], stretch.answers, told)
        tests.append(_labels(np.asarray(reference["labels"]), stretch.told[told]))
        if known is not None:
            strange = stretch.strange[told].astype(np.float64).round(DECIMALS)
            shares = np.array([strange_share(known.strangeness, each) for each in strange])
            tests.append(_Tested("no class", shares, strange_p_values(known.strangeness, strange)))
    extra = bool(told.shape[1]) and old is not None
    threshold = false_alarm_rate / max(1, len(tests) + extra)
    if extra:
        assert old is not None
        settled = np.any([each.p_value < threshold for each in tests], axis=0)
        was, now = features(old), features(stretch.powers[told].reshape(-1, stretch.powers.shape[1])).reshape(*told.shape, -1)
        chances = kernel_p_values(was, now, np.where(settled, ROUGH, threshold))
        tests.append(_Tested("kernel", np.array([discrepancy(was, each) for each in now]), chances))
    return tests, threshold


def _blocks(numbers: list[int]) -> Iterator[list[int]]:
    for begin in range(0, len(numbers), BLOCK):
        yield numbers[begin : begin + BLOCK]


def _compared(reference: Mapping[str, list[float]], columns: npt.NDArray[np.float32], rows: Places) -> list[_Tested]:
    return [_apart(name, values, columns[:, at][rows]) for at, (name, values) in enumerate(reference.items())]


def _apart(name: str, reference: list[float], windows: npt.NDArray[np.float32]) -> _Tested:
    """Kolmogorov and Smirnov's, on values of as many decimals as the profile's."""
    m, n = len(reference), windows.shape[1]
    distances = ks_distances(reference, windows.astype(np.float64).round(DECIMALS))
    possible, which = np.unique(distances, return_inverse=True)
    return _Tested(name, distances / (m * n), ks_p_values(possible, m, n)[which])


def _labels(reference: npt.NDArray[np.int64], told: npt.NDArray[np.int16]) -> _Tested:
    counts = np.stack([np.bincount(each, minlength=len(reference)) for each in told])
    shift = np.abs(counts / told.shape[1] - reference / reference.sum()).max(axis=1)
    return _Tested("label", shift, label_p_values(reference, counts))
