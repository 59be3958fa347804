"""Are verdicts as honest as they say? Made-up experiments and shadows, each looked at after every label.

What is judged is what `demlopment traffic read` computes: betting.py with the values of an experiment or of a shadow. The
tests do the same with small counts (tests/test_verdicts.py).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.result import write
from demlopment import betting
from demlopment.betting import Count
from demlopment.monitoring import metrics, sizing
from demlopment.monitoring.experiment import values
from demlopment.monitoring.grid import places
from demlopment.monitoring.metrics import Metric
from demlopment.monitoring.paired import VALUES

RUNS, LABELS = 1000, 2000  # tests of each kind, and labels of each
PLANNED_RUNS = 4000  # of planned ones: a power of 0.8 is then measured to 0.013
AT_ONCE = 20  # tests: 10,000 looks at each of them take 200 MB
CONFIDENCE = 0.95
BURN_IN = 50  # labels before which nobody would use the ordinary test; it errs more often with fewer

Above = Callable[[Count, Sequence[float], npt.NDArray[np.float64], float], npt.NDArray[np.bool_]]
Rounded = Callable[[npt.NDArray[np.float64], Sequence[float]], npt.NDArray[np.int64]]
Flags = npt.NDArray[np.bool_]  # (tests, labels): what is so after so many labels

ARMS = [  # share of the treatment, share of errors of the control, of the treatment
    (0.5, 0.03, 0.03),
    (0.5, 0.1, 0.1),
    (0.5, 0.5, 0.5),
    (0.1, 0.03, 0.03),
    (0.1, 0.1, 0.1),
    (0.5, 0.1, 0.03),
    (0.5, 0.01, 0.02),
    (0.1, 0.05, 0.02),
    (0.1, 0.02, 0.1),
]
PAIRS = [(0.005, 0.005), (0.02, 0.02), (0.1, 0.1), (0.5, 0.5), (0.05, 0.01), (0.01, 0.3), (0.02, 0.0)]  # won, lost by a shadow

# Share of the treatment, and the Beta distributions of what the control and the treatment are sure of.
MEANS = [
    (0.5, (9.0, 1.0), (9.0, 1.0)),
    (0.1, (9.0, 1.0), (9.0, 1.0)),
    (0.5, (2.0, 2.0), (2.0, 2.0)),
    (0.5, (9.0, 1.0), (8.0, 2.0)),
]

# Accuracy of the control, effect, share, power; then won, lost, power. Tests of the size that `demlopment traffic plan` tells.
PLANNED_ARMS = [(0.9, 0.05, 0.5, 0.8), (0.95, 0.03, 0.5, 0.9), (0.9, 0.08, 0.1, 0.8)]
PLANNED_PAIRS = [(0.06, 0.02, 0.8), (0.02, 0.005, 0.9)]


def run() -> Path:
    """Simulate a thousand of each and write the result."""
    rng = np.random.default_rng(1)
    return write(
        "verdicts",
        {
            "arms": [of_arms(rng, RUNS, LABELS, *each) for each in ARMS],
            "means": [of_means(rng, RUNS, LABELS, *each) for each in MEANS],
            "shadows": [of_shadows(rng, RUNS, LABELS, *each) for each in PAIRS],
            "planned_arms": [planned_arms(rng, PLANNED_RUNS, *each) for each in PLANNED_ARMS],
            "planned_shadows": [planned_shadows(rng, PLANNED_RUNS, *each) for each in PLANNED_PAIRS],
        },
    )


def of_arms(
    rng: np.random.Generator,
    runs: int,
    labels: int,
    share: float,
    control: float,
    treatment: float,
    above: Above = betting.above,
) -> dict[str, Any]:
    """In what share of tests the interval of the effect misses it at one look at least; where it is 0, that is a false verdict.

    `above` is who says that a bound has passed a mean. Beside it, where there is no effect, the z-test of two shares.
    """
    missed = naive = 0
    for some in _parts(runs):
        counts, treated = arms(rng, some, labels, share, control, treatment)
        missed += ever(outside(counts, values(share), control - treatment, above))
        naive += ever(z_test(counts, treated))
    found = {"share": share, "control_errors": control, "treatment_errors": treatment}
    return found | _rates(missed, naive, runs, labels, equal=control == treatment)


def of_shadows(
    rng: np.random.Generator, runs: int, labels: int, won: float, lost: float, above: Above = betting.above
) -> dict[str, Any]:
    """The same of a shadow. Beside it McNemar's test."""
    missed = naive = 0
    for some in _parts(runs):
        counts = pairs(rng, some, labels, won, lost)
        missed += ever(outside(counts, VALUES, won - lost, above))
        naive += ever(mcnemar(counts))
    return {"won": won, "lost": lost} | _rates(missed, naive, runs, labels, equal=won == lost)


def of_means(
    rng: np.random.Generator,
    runs: int,
    labels: int,
    share: float,
    control: tuple[float, float],
    treatment: tuple[float, float],
    metric: Metric = metrics.CONFIDENCE,
    rounded: Rounded = places,
) -> dict[str, Any]:
    """The same of a mean of many numbers: confidences from two Beta distributions. Beside it the t-test.

    `rounded` is who makes few values of them.
    """
    of = values(share, metric)
    effect = treatment[0] / sum(treatment) - control[0] / sum(control)
    missed = naive = 0
    for _ in range(runs):
        treated = rng.random(labels) < share
        lost = 1 - np.where(treated, rng.beta(*treatment, labels), rng.beta(*control, labels))
        numbers = np.where(treated, -lost / share, lost / (1 - share))
        found = rounded(numbers, of)
        counts = np.stack([np.cumsum(found == place, dtype=np.int64)[None] for place in range(len(of))])
        missed += ever(outside(counts, of, effect))
        naive += ever(t_test(lost, treated))
    told = {"share": share, "control_beta": control, "treatment_beta": treatment}
    return told | _rates(missed, naive, runs, labels, equal=control == treatment)


def planned_arms(
    rng: np.random.Generator, runs: int, accuracy: float, effect: float, share: float, power: float
) -> dict[str, Any]:
    """In what share of tests that have the planned effect and size it is found, when the plan says `power`."""
    size, errors = sizing.of_arms(accuracy, effect, share, power=power), 1 - accuracy
    found = 0
    for some in _parts(runs):
        counts, _ = arms(rng, some, size.better, share, errors, errors - effect)
        found += int(outside(counts, values(share), 0.0)[0].any(axis=1).sum())
    told = {"accuracy": accuracy, "effect": effect, "share": share}
    return told | {"tests": runs, "labels": size.better, "planned_power": power, "power": found / runs}


def planned_shadows(rng: np.random.Generator, runs: int, won: float, lost: float, power: float) -> dict[str, Any]:
    """The same of a shadow."""
    size = sizing.of_pairs(won, lost, power=power)
    found = 0
    for some in _parts(runs):
        counts = pairs(rng, some, size.better, won, lost)
        found += int(outside(counts, VALUES, 0.0)[0].any(axis=1).sum())
    return {"won": won, "lost": lost, "tests": runs, "labels": size.better, "planned_power": power, "power": found / runs}


def arms(
    rng: np.random.Generator, runs: int, labels: int, share: float, control: float, treatment: float
) -> tuple[Count, Count]:
    """After each label how many answers were right, wrong in the control, wrong in the treatment: (3, runs, labels).

    And how many labels were of the treatment: (runs, labels).
    """
    treated = rng.random((runs, labels)) < share
    wrong = rng.random((runs, labels)) < np.where(treated, treatment, control)
    return _running(wrong & ~treated, wrong & treated), treated.cumsum(axis=1, dtype=np.int64)


def pairs(rng: np.random.Generator, runs: int, labels: int, won: float, lost: float) -> Count:
    """After each label how often a shadow and the others were alike, it won, it lost: (3, runs, labels)."""
    drawn = rng.random((runs, labels))
    return _running(drawn < won, drawn >= 1 - lost)


def outside(counts: Count, of: Sequence[float], mean: float, above: Above = betting.above) -> tuple[Flags, Flags]:
    """Whether the interval lies wholly above a mean, and whether wholly below, after each label."""
    turned = [-value for value in of]
    return above(counts, of, np.array(mean), CONFIDENCE), above(counts, turned, np.array(-mean), CONFIDENCE)


def ever(flags: tuple[Flags, Flags]) -> int:
    """In how many tests it was so, above or below, after one label at least."""
    return int((flags[0] | flags[1]).any(axis=1).sum())


def z_test(counts: Count, treated: Count) -> tuple[Flags, Flags]:
    """What the ordinary test of two shares says at 5 %, if it is done again after each label."""
    labels = counts.sum(axis=0)
    untreated, treated = np.maximum(labels - treated, 1), np.maximum(treated, 1)
    pooled = (counts[1] + counts[2]) / labels
    spread = np.sqrt(pooled * (1 - pooled) * (1 / untreated + 1 / treated))
    return _significant(counts[1] / untreated - counts[2] / treated, spread)


def t_test(lost: npt.NDArray[np.float64], treated: npt.NDArray[np.bool_]) -> tuple[Flags, Flags]:
    """What the ordinary test of two means says at 5 %, if it is done again after each answer."""
    means, spreads = [], []
    for arm in (~treated, treated):
        seen = np.maximum(arm.cumsum(), 1)
        mean = (lost * arm).cumsum() / seen
        means.append(mean)
        spreads.append(((lost**2 * arm).cumsum() / seen - mean**2) / seen)
    return _significant((means[0] - means[1])[None], np.sqrt(np.maximum(spreads[0] + spreads[1], 1e-12))[None])


def mcnemar(counts: Count) -> tuple[Flags, Flags]:
    """What the ordinary test of pairs says at 5 %, if it is done again after each label."""
    return _significant((counts[1] - counts[2]).astype(np.float64), np.sqrt(counts[1] + counts[2]))


def _significant(difference: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]) -> tuple[Flags, Flags]:
    late = np.arange(1, difference.shape[1] + 1) > BURN_IN
    return late & (difference > 1.96 * spread), late & (difference < -1.96 * spread)


def _running(one: Flags, other: Flags) -> Count:
    ones, others = (each.cumsum(axis=1, dtype=np.int64) for each in (one, other))
    return np.stack([np.arange(1, one.shape[1] + 1) - ones - others, ones, others])


def _parts(runs: int) -> Iterator[int]:
    for start in range(0, runs, AT_ONCE):
        yield min(AT_ONCE, runs - start)


def _rates(missed: int, naive: int, runs: int, labels: int, *, equal: bool) -> dict[str, Any]:
    beside = {"false_verdicts": missed / runs, "naive_false_verdicts": naive / runs} if equal else {}
    return {"tests": runs, "labels": labels, "coverage_at_every_look": 1 - missed / runs} | beside
