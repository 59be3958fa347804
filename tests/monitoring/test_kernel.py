"""The kernel test is exact, the same at every look, and finds what single statistics do not."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import binom

from demlopment.monitoring import drift, profile
from demlopment.monitoring.kernel import WIDTH, discrepancy, features, kernel_p_value, powers
from tests.monitoring.conftest import World


def test_calm_windows_alarm_as_rarely_as_the_p_value_says() -> None:
    rng, runs = np.random.default_rng(1), 1500
    points = features(10 * rng.standard_normal((6000, 3)))

    found = []
    for _ in range(runs):
        rows = rng.choice(6000, 60, replace=False)
        found.append(kernel_p_value(points[rows[:45]], points[rows[45:]], 0.01))

    for rate in (0.3, 0.05, 0.01):
        assert (np.array(found) <= rate).sum() <= binom.isf(1e-4, runs, rate)
    assert np.mean(np.array(found) <= 0.3) > 0.2, "a test that never alarms proves nothing"


def test_the_discrepancy_is_the_gaussian_kernels_but_for_random_features() -> None:
    rng = np.random.default_rng(2)
    old, new = 8 * rng.standard_normal((400, 4)), 8 * rng.standard_normal((300, 4)) + 9

    told = discrepancy(features(old), features(new))

    within, others, between = (
        np.exp(-(cdist(*pair) ** 2) / 2 / WIDTH**2).mean() for pair in ((old, old), (new, new), (old, new))
    )
    assert told == pytest.approx(within + others - 2 * between, rel=0.25)


def test_a_correlation_that_no_single_column_shows_is_found() -> None:
    rng = np.random.default_rng(3)
    old = 12 * rng.standard_normal((300, 2))
    new = 12 * np.repeat(rng.standard_normal((200, 1)), 2, axis=1)

    assert kernel_p_value(features(old), features(new), 0.001) < 0.001


def test_the_same_window_is_told_the_same_at_every_look_and_one_of_one_answer_is_told() -> None:
    points = features(np.random.default_rng(4).standard_normal((80, 5)))

    looks = {kernel_p_value(points[:60], points[60:], 1e-3) for _ in range(3)}

    assert len(looks) == 1
    assert 0 < kernel_p_value(points[:60], points[60:61], 1e-3) <= 1
    assert kernel_p_value(points[:60], np.tile(points[:1], (30, 1)), 1e-3) < 1e-3


def test_nothing_but_zero_and_one_is_no_infinity() -> None:
    assert np.isfinite(powers(np.eye(3, dtype=np.float32))).all()


def test_answers_of_one_picture_again_and_again_raise_an_alarm(world: World) -> None:
    known = world.images[:500]
    reference = profile(known, *world.model.answer(known))
    same = world.model.predictions(np.repeat(world.images[700:701], 50, axis=0))
    calm = world.model.predictions(world.images[600:700])

    alike, usual = (drift(reference, window, start=0, false_alarm_rate=0.001) for window in (same, calm))

    assert alike.drifted
    assert not usual.drifted
    assert {test.name: test.p_value for test in usual.tests}["kernel"] > 0.001
    assert {test.name: test.p_value for test in alike.tests}["kernel"] < 0.02
