"""Confidence that can be believed, a promise that is kept as often as it says, and money. Counts, not timings."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from demlopment.errors import DataError
from demlopment.evaluation.calibration import Prices, brier, money, refitted, reliability, rows_needed, selection, slope
from demlopment.scores import calibration_error


def drawn(
    seed: int, rows: int, *, honest: bool = True, ease: float = 6.0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Answers of a reader of two classes that is right as often as it says, or that overstates it."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(ease * 10, 1, rows)
    said = truth if honest else 1 - (1 - truth) / 20
    labels = (rng.random(rows) > truth).astype(np.int64)
    return np.stack([said, 1 - said], axis=1).astype(np.float32), labels


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 60), classes=st.integers(2, 6))
def test_briers_score_is_its_definition(seed: int, rows: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), rows).astype(np.float32)
    labels = rng.integers(0, classes, rows)

    slow = sum(
        (float(p) - (label == place)) ** 2
        for row, label in zip(probabilities, labels, strict=True)
        for place, p in enumerate(row)
    )

    assert brier(probabilities, labels) == pytest.approx(slow / rows, abs=1e-6)


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 80), bins=st.integers(1, 20))
def test_a_reliability_diagram_holds_every_row_once_and_sums_to_the_calibration_error(seed: int, rows: int, bins: int) -> None:
    probabilities, labels = drawn(seed, rows, ease=0.2)

    found = reliability(probabilities, labels, bins)

    assert sum(each.rows for each in found) == rows
    assert [math.isnan(each.accuracy) for each in found] == [not each.rows for each in found]
    gaps = sum(each.rows / rows * abs(each.confidence - each.accuracy) for each in found if each.rows)
    assert gaps == pytest.approx(calibration_error(probabilities, labels, bins), abs=1e-6)


@pytest.mark.parametrize("honest", [True, False])
def test_the_promise_of_accepted_answers_is_broken_no_oftener_than_it_says(honest: bool) -> None:  # noqa: FBT001  a case
    broken, promised, runs = 0, 0, 200
    whole, true = drawn(10_000, 400_000, honest=honest)
    for seed in range(runs):
        found = selection(*drawn(seed, 3000, honest=honest), accuracy=0.98, risk=0.1)
        if found.threshold is None:
            continue
        accepted = whole.max(axis=1) >= found.threshold
        promised += 1
        broken += bool((whole[accepted].argmax(axis=1) == true[accepted]).mean() < 0.98)

    assert promised > runs / 2
    assert binomtest(broken, runs, 0.1, alternative="greater").pvalue > 0.001


def test_what_is_accepted_are_the_surest_rows_and_as_many_as_the_guarantee_allows() -> None:
    probabilities, labels = drawn(1, 50_000)

    found, stricter = (selection(probabilities, labels, accuracy=accuracy) for accuracy in (0.99, 0.995))

    assert found.threshold is not None
    assert stricter.threshold is not None
    accepted = probabilities.max(axis=1) >= found.threshold
    assert found.share == pytest.approx(accepted.mean())
    assert found.wrong == (probabilities[accepted].argmax(axis=1) != labels[accepted]).sum()
    assert stricter.threshold > found.threshold
    assert found.accepted is not None
    assert found.accepted.low < found.share < found.accepted.high


def test_too_few_rows_accept_nothing_and_say_how_many_are_needed() -> None:
    sure, labels = np.tile(np.array([[1, 0]], np.float32), (2995, 1)), np.zeros(2995, np.int64)

    few, enough = selection(sure[:2994], labels[:2994]), selection(sure, labels)

    assert (few.threshold, few.share, few.needed) == (None, 0, 2995)
    assert (enough.share, enough.wrong) == (1, 0)
    assert selection(sure[:0], labels[:0]).accepted is None


@pytest.mark.parametrize(("accuracy", "risk", "named"), [(1.0, 0.05, "accuracy .* 1.0"), (0.9, 0.0, "risk .* 0.0")])
def test_a_promise_that_nobody_can_keep_is_refused(accuracy: float, risk: float, named: str) -> None:
    with pytest.raises(DataError, match=named):
        selection(*drawn(1, 10), accuracy=accuracy, risk=risk)


def test_a_thousand_fields_cost_what_their_errors_reviews_and_requests_do() -> None:
    probabilities = np.array([[0.99, 0.01]] * 8 + [[0.6, 0.4]] * 2, np.float32)
    labels = np.array([0] * 7 + [1] * 3)

    found = money(probabilities, labels, Prices(error=2.0, review=0.1, request=0.01))

    assert found.threshold == pytest.approx(0.95)
    assert found.accepted == pytest.approx(0.8)
    assert found.per_thousand == pytest.approx(1000 * (0.01 + (2.0 + 2 * 0.1) / 10))
    assert found.interval.low <= found.per_thousand <= found.interval.high
    assert found.by_hand == pytest.approx(100)


@given(seed=st.integers(0, 100), error=st.floats(0, 10), review=st.floats(0, 10))
def test_no_other_threshold_is_expected_to_be_cheaper_for_an_honest_reader(seed: int, error: float, review: float) -> None:
    probabilities, _ = drawn(seed, 200, ease=0.1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    chosen = money(probabilities, np.zeros(200, np.int64), Prices(error, review, 0)).threshold

    def expected(threshold: float) -> float:
        return float(np.where(confidence >= threshold, (1 - confidence) * error, review).mean())

    assert expected(chosen) <= min(expected(other) for other in [0, 0.5, 0.7, 0.9, 0.99, 1.1]) + 1e-6 * (error + review)


@pytest.mark.parametrize("prices", [Prices(-1, 1, 1), Prices(1, math.nan, 1), Prices(1, 1, math.inf)])
def test_a_price_that_is_none_is_refused(prices: Prices) -> None:
    with pytest.raises(DataError, match="The price of one"):
        money(*drawn(1, 10), prices)


@given(seed=st.integers(0, 1000), factor=st.sampled_from([0.25, 1.0, 3.0]))
def test_the_slope_is_what_the_likeliest_temperature_says(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.ones(4), 2000)
    labels = (truth.cumsum(axis=1) < rng.random((2000, 1))).sum(axis=1)
    said = truth**factor / (truth**factor).sum(axis=1, keepdims=True)
    powers = np.log(said.astype(np.float32).astype(np.float64).clip(1e-30))
    powers, labels_with_half = np.vstack([powers, powers[powers.max(axis=1).argmin()]]), np.append(labels, 0)
    labels_with_half[-1] = powers[-1].argsort()[-2]
    weights = np.append(np.ones(2000), 0.5)

    def loss(multiple: float) -> float:
        scaled = multiple * powers
        own = scaled[np.arange(2001), labels_with_half] - np.log(np.exp(scaled).sum(axis=1))
        return -float(weights @ own)

    found, interval = slope(said.astype(np.float32), labels)

    assert found == pytest.approx(minimize_scalar(loss, bounds=(0.01, 10), method="bounded").x, abs=1e-3)
    assert interval.low < found < interval.high


def test_the_slopes_interval_holds_the_true_one_as_often_as_it_says() -> None:
    held = []
    for seed in range(300):
        answers, labels = drawn(seed, 1000)
        interval = slope(answers, labels)[1]
        held.append(interval.low <= 1 <= interval.high)

    assert 0.91 <= np.mean(held) <= 0.985


def test_who_overstates_has_a_slope_near_nothing_however_seldom_it_errs() -> None:
    answers, labels = drawn(1, 1000, honest=False)

    assert slope(answers, labels)[1].high < 0.8
    assert calibration_error(answers, labels) < 0.1


def test_a_slope_is_known_only_as_far_as_rows_tell() -> None:
    sure = np.array([[0.9, 0.1]], np.float32)

    assert slope(np.repeat(sure, 500, axis=0), np.zeros(500, int))[1].low > 1
    assert slope(sure, np.zeros(1, int))[1].low < 0.4, "one row, read well, proves nothing"
    assert slope(np.full((9, 2), 0.5, np.float32), np.zeros(9, int))[1].low < 0.4, "all equal: nothing can be told"
    assert slope(np.repeat(sure, 9, axis=0), np.ones(9, int))[0] < 0.01, "always wrong"
    with pytest.raises(DataError, match="no rows"):
        slope(sure[:0], np.zeros(0, int))


def sharpened(probabilities: npt.NDArray[np.float32], times: float) -> npt.NDArray[np.float32]:
    """As if the temperature had been divided: the same answers, and surer."""
    powers = probabilities.astype(np.float64) ** times
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def test_a_slope_below_the_bound_is_let_pass_no_oftener_than_its_interval_says() -> None:
    passed, runs = {1.0: 0, 2.0: 0}, 200
    for seed in range(runs):
        probabilities, labels = drawn(seed, 400, ease=1.0)
        for times in passed:
            passed[times] += slope(sharpened(probabilities, times), labels)[1].low >= 0.5

    assert binomtest(passed[2.0], runs, 0.025, alternative="greater").pvalue > 0.001, "twice too sure is a slope of 0.5"
    assert passed[1.0] > 0.99 * runs


@given(seed=st.integers(0, 1000), times=st.floats(0.2, 5))
def test_what_was_fitted_to_the_rows_has_a_slope_of_one_and_what_is_surer_has_less(seed: int, times: float) -> None:
    probabilities, labels = drawn(seed, 500, ease=0.5)
    fitted = sharpened(probabilities, refitted(probabilities, labels))

    assert refitted(fitted, labels) == pytest.approx(1, abs=1e-3)
    assert refitted(sharpened(fitted, times), labels) == pytest.approx(1 / times, rel=1e-2)


def test_as_many_rows_as_are_named_tell_a_slope_that_stays() -> None:
    probabilities, labels = drawn(4, 40, ease=1.0)
    probabilities = sharpened(probabilities, 1.4)
    value, interval = slope(probabilities, labels)
    needed = rows_needed(value, interval, 0.5, 40)
    assert needed is not None

    few, enough = (
        slope(np.tile(probabilities, (times, 1)), np.tile(labels, times))[1].low for times in (needed // 80, 2 * needed // 40)
    )

    assert interval.low < few < 0.5 < enough
    assert rows_needed(0.4, interval, 0.5, 40) is None, "more rows would not help"
