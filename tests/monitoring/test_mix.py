"""The mix of classes is told where classes only come more or less often, and its interval holds as often as it says."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import binom

from demlopment.errors import DataError
from demlopment.monitoring.mix import class_mix

Values = npt.NDArray[np.float64]
USUAL = np.array([0.4, 0.3, 0.2, 0.1])


def answers(rng: np.random.Generator, mix: Values, rows: int, apart: float) -> tuple[Values, npt.NDArray[np.int64]]:
    """The exact posterior, under the usual mix, of points around four corners; the smaller `apart`, the less it says."""
    classes = rng.choice(4, rows, p=mix)
    points = rng.standard_normal((rows, 4)) + apart * np.eye(4)[classes]
    return softmax(apart * points + np.log(USUAL), axis=1), classes


@pytest.mark.parametrize("apart", [4.0, 1.5])
def test_the_interval_of_each_class_holds_as_often_as_it_says(apart: float) -> None:
    rng, runs, mix = np.random.default_rng(1), 300, np.array([0.15, 0.25, 0.1, 0.5])
    reference, _ = answers(rng, USUAL, 20_000, apart)
    held = np.zeros(4)
    for _ in range(runs):
        found = class_mix(answers(rng, mix, 200, apart)[0], reference)
        held += (found.low <= mix) & (mix <= found.high)

    assert (held >= binom.ppf(1e-4, runs, 0.94)).all()
    assert (found.high - found.low).max() < (0.2 if apart == 4 else 0.45)
    assert found.moved[3]


def test_the_mix_is_the_likeliest_that_an_optimiser_finds() -> None:
    rng = np.random.default_rng(2)
    reference, _ = answers(rng, USUAL, 5000, 1.5)
    window, _ = answers(rng, np.array([0.1, 0.2, 0.3, 0.4]), 300, 1.5)

    found = class_mix(window, reference)

    ratios = window / reference.mean(axis=0)
    oracle = minimize(lambda free: -np.log(ratios @ softmax(np.append(free, 0))).sum(), np.zeros(3), method="BFGS")
    assert found.shares == pytest.approx(softmax(np.append(oracle.x, 0)), abs=2e-3)


def test_answers_that_say_nothing_leave_everything_open() -> None:
    flat = np.tile(USUAL, (50, 1))

    found = class_mix(flat, flat)

    assert found.shares == pytest.approx(USUAL, abs=1e-6)
    assert (found.low < 0.02).all()
    assert (found.high > 0.8).all()


def test_a_window_of_one_class_and_one_of_one_answer_are_told() -> None:
    sure = np.tile(np.array([0.999, 0.0004, 0.0003, 0.0003]), (40, 1))
    reference, _ = answers(np.random.default_rng(3), USUAL, 500, 4.0)

    many, one = class_mix(sure, reference), class_mix(sure[:1], reference)

    assert many.shares[0] > 0.99
    assert many.low[0] > 0.85
    assert (many.high[1:] < 0.15).all()
    assert one.high[1] > 0.5


@given(st.integers(1, 60), st.integers(2, 12), st.integers(0, 1000))
def test_shares_sum_to_one_and_lie_within_their_intervals(rows: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    window, reference = rng.dirichlet(np.full(classes, 0.1), rows), rng.dirichlet(np.full(classes, 0.1), 50)

    found = class_mix(window, reference)

    assert found.shares.sum() == pytest.approx(1, abs=1e-6)
    assert (found.low >= 0).all()
    assert (found.low <= found.shares).all()
    assert (found.shares <= found.high).all()
    assert (found.high <= 1).all()


def test_nothing_and_other_classes_are_refused() -> None:
    with pytest.raises(DataError, match="no answers"):
        class_mix(np.zeros((0, 4)), np.ones((3, 4)) / 4)
    with pytest.raises(DataError, match="4 classes and the reference 3"):
        class_mix(np.ones((2, 4)) / 4, np.ones((3, 3)) / 3)
