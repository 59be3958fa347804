"""Late labels tell the accuracy of all answers, though they come for some rather than for others; looking is free."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from demlopment.betting import BETS, BOLDEST, PURSE
from demlopment.errors import DataError
from demlopment.monitoring.adwin import Adwin
from demlopment.monitoring.late import periods, realised
from demlopment.monitoring.promise import error_alarm

Values = npt.NDArray[np.float64]


def answered(rng: np.random.Generator, rows: int) -> tuple[Values, npt.NDArray[np.int64], Values]:
    """Confidences, classes, and what is right: an answer is as often right as it is sure."""
    confidence, told = 1 - 0.5 * rng.beta(0.4, 3, rows), rng.integers(0, 10, rows)
    return confidence, told, (rng.random(rows) < confidence).astype(np.float64)


@pytest.mark.parametrize("biased", [False, True], ids=["labels come alike", "labels of unsure answers come less often"])
def test_the_corrected_accuracy_is_that_of_all_and_its_interval_holds(biased: bool) -> None:  # noqa: FBT001
    rng, runs, held, errors, plain = np.random.default_rng(1), 400, 0, [], []
    for _ in range(runs):
        confidence, told, right = answered(rng, 1000)
        comes = np.where(confidence < 0.95, 0.15, 0.8) if biased else np.full(1000, 0.5)
        seen = np.where(rng.random(1000) < comes, right, np.nan)

        found = realised(np.arange(1000.0), confidence, told, seen)

        held += found.interval.low <= right.mean() <= found.interval.high
        errors.append(found.corrected - right.mean())
        plain.append(found.plain - right.mean())

    assert held >= binom.ppf(1e-4, runs, 0.95)
    assert abs(np.mean(errors)) < 0.004
    assert abs(np.mean(plain)) > 0.03 if biased else abs(np.mean(plain)) < 0.004


@given(st.integers(1, 80), st.floats(0, 1), st.integers(0, 1000))
def test_any_window_is_told_within_zero_and_one(rows: int, comes: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, told, right = answered(rng, rows)
    seen = np.where(rng.random(rows) < comes, right, np.nan)

    found = realised(np.arange(float(rows)), confidence, told * int(rng.integers(0, 2)), seen)

    assert found.answers == rows
    assert found.labelled == np.isfinite(seen).sum()
    if found.labelled:
        assert 0 <= found.interval.low <= found.corrected <= found.interval.high <= 1
    else:
        assert (found.interval.low, found.interval.high) == (0, 1)


def test_an_empty_window_and_columns_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(DataError, match="0 times"):
        realised(np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros(0))
    with pytest.raises(DataError, match="2 times and 3 answers"):
        realised(np.zeros(2), np.zeros(2), np.zeros(2, np.int64), np.zeros(3))


def test_periods_are_whole_and_the_same_at_every_look() -> None:
    at = np.array([5.0, 9.0, 11.0, 31.0, 32.0, 47.0])

    looks = [[(part.start, part.stop) for part in periods(at[:seen], 10.0)] for seen in (0, 1, 3, 5, 6)]

    assert looks == [[], [], [(0, 2)], [(0, 2), (2, 3)], [(0, 2), (2, 3), (3, 5)]]


def slow(wrong: list[bool], promised: float) -> list[float]:
    """By its definition: a gambler for each start and bet."""
    wealths, owned = [], [0.0] * len(BETS)
    for each in wrong:
        owned = [
            (1 + has) * (1 + BOLDEST * bet / promised * (each - promised))
            for has, bet in zip(owned, BETS.tolist(), strict=True)
        ]
        wealths.append(float(np.dot(PURSE, owned)))
    return wealths


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.floats(0.01, 0.5))
def test_what_the_gamblers_own_is_what_the_definition_says(wrong: list[bool], promised: float) -> None:
    found = error_alarm(np.array(wrong), promised, 0.01)

    expected = slow(wrong, promised)
    assert np.exp(found.wealth) == pytest.approx(expected[-1], rel=1e-6, abs=1e-9)
    assert found.first == next((place for place, wealth in enumerate(expected) if wealth >= 100 * (1 + 1e-9)), None)


def test_where_the_promise_is_kept_alarms_come_no_oftener_than_the_rate_though_it_is_looked_at_after_every_label() -> None:
    rng, rate, runs, length = np.random.default_rng(2), 1e-3, 300, 1000

    alarms = sum(error_alarm(rng.random(length) < 0.02, 0.02, rate).alarmed for _ in range(runs))

    assert alarms <= binom.isf(1e-4, runs, 1 - np.exp(-rate * length))


def test_ten_more_errors_in_a_hundred_are_found_after_few_labels() -> None:
    rng = np.random.default_rng(3)
    delays = []
    for _ in range(50):
        wrong = np.concatenate([rng.random(3000) < 0.01, rng.random(1000) < 0.11])
        found = error_alarm(wrong, 0.02, 1e-5)
        assert found.first is not None
        delays.append(found.first - 3000)

    assert min(delays) >= 0
    assert np.median(delays) < 150


def test_no_label_is_no_alarm_and_no_share_is_refused() -> None:
    assert not error_alarm(np.zeros(0, np.bool_), 0.02, 0.001).alarmed
    assert not error_alarm(np.zeros(5, np.bool_), 0.0, 0.001).alarmed
    with pytest.raises(DataError, match="is none"):
        error_alarm(np.zeros(5, np.bool_), 1.0, 0.001)


# river.drift.ADWIN() of river 0.26.1 on the same streams: where it first cuts. Afterwards river begins with an empty window,
# and ours, as the paper says, keeps the newer part.
RIVER = {1: 3935, 2: 3295, 3: 3167, 4: 3167, 5: 3103, 6: 3071, 7: 3103}


@pytest.mark.parametrize(("seed", "expected"), RIVER.items())
def test_the_window_is_first_cut_where_another_implementation_cuts_it(seed: int, expected: int) -> None:
    draws = np.random.default_rng(seed).random(6000)
    wrong = draws < np.where(np.arange(6000) < 3000, 0.02, 0.02 + 0.03 * seed)
    window = Adwin()

    cuts = [place for place, value in enumerate(wrong.tolist()) if window.see(float(value))]

    assert cuts[0] == expected
    assert window.width < 6000 - 1400
    assert window.mean == pytest.approx(wrong[-window.width :].mean(), abs=1e-9)


def test_numbers_are_cut_like_errors_and_a_calm_stream_is_not() -> None:
    rng = np.random.default_rng(9)
    values = np.concatenate([rng.normal(0, 1, 2000), rng.normal(0.7, 1, 2000), rng.normal(-3, 0.2, 1000)])
    window, calm = Adwin(), Adwin()

    cuts = [place for place, value in enumerate(values.tolist()) if window.see(value)]

    assert cuts[0] == 2079  # river's too
    assert any(4000 <= place < 4100 for place in cuts)
    assert not any(calm.see(float(value)) for value in (np.random.default_rng(0).random(6000) < 0.02))
