"""A test of the size that was told decides as often as was asked, and no size is told for what is no test."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks import verdicts
from demlopment.errors import DataError
from demlopment.monitoring import sizing
from demlopment.monitoring.experiment import values

RUNS = 300


@pytest.mark.parametrize(("accuracy", "effect", "share", "power"), [(0.9, 0.08, 0.5, 0.8), (0.8, 0.15, 0.1, 0.9)])
def test_two_arms_of_that_size_decide_as_often_as_was_asked_and_not_much_more_often(
    accuracy: float, effect: float, share: float, power: float
) -> None:
    found = verdicts.planned_arms(np.random.default_rng(3), RUNS, accuracy, effect, share, power)["power"]

    assert binom.ppf(0.01, RUNS, power) <= found * RUNS <= binom.ppf(0.99999, RUNS, power + 0.04)


def test_a_shadow_of_that_size_decides_as_often_as_was_asked_and_not_much_more_often() -> None:
    found = verdicts.planned_shadows(np.random.default_rng(3), RUNS, 0.08, 0.02, 0.8)["power"]

    assert binom.ppf(0.01, RUNS, 0.8) <= found * RUNS <= binom.ppf(0.99999, RUNS, 0.84)


def test_arms_that_are_alike_stop_as_often_as_was_asked() -> None:
    size = sizing.of_arms(0.9, 0.1, 0.5)
    assert size.alike is not None

    counts, _ = verdicts.arms(np.random.default_rng(3), RUNS, size.alike, 0.5, 0.1, 0.1)
    stopped = verdicts.outside(counts, values(0.5), -0.1)[0] & verdicts.outside(counts, values(0.5), 0.1)[1]

    assert binom.ppf(0.01, RUNS, 0.8) <= stopped.any(axis=1).sum() <= binom.ppf(0.99999, RUNS, 0.84)


def test_a_test_of_the_fixed_size_that_is_looked_at_once_has_the_power_that_was_asked_for() -> None:
    size = sizing.of_arms(0.9, 0.05, 0.5, power=0.8)
    rng, runs = np.random.default_rng(4), 4000

    treated = rng.binomial(size.fixed, 0.5, runs)
    wrong = rng.binomial(size.fixed - treated, 0.1), rng.binomial(treated, 0.05)
    shares = wrong[0] / (size.fixed - treated), wrong[1] / treated
    spread = np.sqrt(shares[0] * (1 - shares[0]) / (size.fixed - treated) + shares[1] * (1 - shares[1]) / treated)

    assert np.mean((shares[0] - shares[1]) / spread > 1.96) == pytest.approx(0.8, abs=0.02)
    assert size.fixed < size.better < 4 * size.fixed


def test_less_effect_more_power_more_confidence_and_fewer_in_an_arm_take_more_labels() -> None:
    plain = sizing.of_arms(0.9, 0.08, 0.5)

    more = [
        sizing.of_arms(0.9, 0.06, 0.5),
        sizing.of_arms(0.9, 0.08, 0.1),
        sizing.of_arms(0.9, 0.08, 0.5, power=0.95),
        sizing.of_arms(0.9, 0.08, 0.5, confidence=0.99),
    ]

    assert all(each.better > plain.better and each.fixed > plain.fixed for each in more)
    assert sizing.of_arms(0.9, 0.08, 0.5) == plain, "always the same draws"


def test_a_shadow_needs_fewer_the_more_it_has_in_common_with_the_others() -> None:
    sizes = [sizing.of_pairs((differing + 0.04) / 2, (differing - 0.04) / 2).better for differing in (0.04, 0.06, 0.1)]

    assert all(less < more for less, more in pairwise(sizes))
    assert sizing.of_pairs(*sizing.independent(0.92, 0.04)).better < sizing.of_arms(0.92, 0.04, 0.5).better


@pytest.mark.parametrize(
    ("accuracy", "effect", "share", "rest", "named"),
    [
        (0.0, 0.01, 0.5, {}, "accuracy of the control is 0"),
        (1.2, 0.01, 0.5, {}, "accuracy of the control is 1.2"),
        (float("nan"), 0.01, 0.5, {}, "accuracy of the control is nan"),
        (0.99, 0.02, 0.5, {}, "nothing can be better by 2 points"),
        (0.9, 0.0, 0.5, {}, "effect to look for is 0"),
        (0.9, -0.1, 0.5, {}, "effect to look for is -0.1"),
        (0.9, 0.05, 0.0, {}, "share of the treatment is 0"),
        (0.9, 0.05, 1.0, {}, "share of the treatment is 1"),
        (0.9, 0.05, 0.5, {"confidence": 1.0}, "confidence of the test is 1"),
        (0.9, 0.05, 0.5, {"power": 0.2}, "power of the test is 0.2"),
        (0.5, 0.0005, 0.5, {}, "takes more than 5,000,000"),
    ],
)
def test_what_is_no_test_is_refused(accuracy: float, effect: float, share: float, rest: dict[str, float], named: str) -> None:
    with pytest.raises(DataError, match=named):
        sizing.of_arms(accuracy, effect, share, **rest)


@pytest.mark.parametrize(("won", "lost"), [(0.1, -0.1), (0.9, 0.2), (0.1, 0.1), (0.05, 0.1), (float("nan"), 0.1)])
def test_a_shadow_that_cannot_be_is_refused(won: float, lost: float) -> None:
    with pytest.raises(DataError):
        sizing.of_pairs(won, lost)
