"""Accuracy without labels: near the truth while confidence means what it meant, and wrong when a class means something else."""

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import binom

from demlopment.errors import DataError
from demlopment.monitoring import estimated, trust
from demlopment.monitoring.unlabelled import kept
from demlopment.records import Scores

Shares = npt.NDArray[np.float32]


def answers(rng: np.random.Generator, rows: int, sure: float = 8.0) -> Shares:
    """Ten classes; the larger `sure`, the surer."""
    confidence = 0.1 + 0.9 * rng.beta(sure, 0.5, rows)
    found = np.repeat((1 - confidence)[:, None] / 9, 10, axis=1)
    found[np.arange(rows), rng.integers(0, 10, rows)] = confidence
    return found.astype(np.float32)


def truth(rng: np.random.Generator, probabilities: Shares, power: float = 1.0) -> npt.NDArray[np.int64]:
    """The answer itself as often as its confidence says, with its logit times `power`; else the next class."""
    told = probabilities.argmax(axis=1)
    chances = expit(power * logit(np.clip(probabilities.max(axis=1).astype(np.float64), 1e-6, 1 - 1e-6)))
    return np.asarray(np.where(rng.random(len(told)) < chances, told, (told + 1) % 10), np.int64)


def examined(rng: np.random.Generator, rows: int, power: float = 1.0) -> Scores:
    shares = answers(rng, rows)
    return Scores("digits 1.0", np.arange(rows).astype(np.str_), truth(rng, shares, power), shares, 0.0, 0.0)


def test_trust_is_the_likeliest_one_that_an_optimiser_finds() -> None:
    scores = examined(np.random.default_rng(1), 800, power=0.6)
    depth, right = logit(np.clip(scores.probabilities.max(axis=1).astype(np.float64), 1e-6, 1 - 1e-6)), scores.correct

    found = trust(scores)

    def cost(weights: npt.NDArray[np.float64]) -> float:
        powers = weights[0] + weights[1] * depth
        return float(np.logaddexp(0, np.where(right, -powers, powers)).sum() + (weights[0] ** 2 + (weights[1] - 1) ** 2) / 2)

    oracle = minimize(cost, [0.0, 1.0], method="BFGS", options={"gtol": 1e-6})
    assert found.weights == pytest.approx(oracle.x, abs=1e-3)
    assert found.covariance == pytest.approx(oracle.hess_inv, rel=0.2, abs=0.01)


@pytest.mark.parametrize("power", [1.0, 0.5], ids=["calibrated", "too sure"])
@pytest.mark.parametrize("sure", [8.0, 2.0], ids=["as examined", "another input"])
@pytest.mark.parametrize("window", [20, 500])
def test_the_interval_holds_the_true_share_as_often_as_it_says(power: float, sure: float, window: int) -> None:
    rng, runs, held, errors = np.random.default_rng(2), 400, 0, []
    for _ in range(runs):
        learnt = trust(examined(rng, 600, power))
        shares = answers(rng, window, sure)
        true = float((truth(rng, shares, power) == shares.argmax(axis=1)).mean())

        found = estimated(shares, learnt)

        held += found.interval.low <= true <= found.interval.high
        errors.append(found.accuracy - true)

    assert held >= binom.ppf(0.001, runs, 0.95)
    assert abs(np.mean(errors)) < 0.01
    width = found.interval.high - found.interval.low
    assert width < (0.6 if window == 20 else 0.2), "an interval of everything proves nothing"


def lowered(rng: np.random.Generator, rows: int, offset: float) -> Scores:
    """Pictures of a kind whose answers have odds that are lower by a factor of exp(offset)."""
    shares = answers(rng, rows)
    told, powers = shares.argmax(axis=1), logit(np.clip(shares.max(axis=1).astype(np.float64), 1e-6, 1 - 1e-6))
    right = rng.random(rows) < expit(powers - offset)
    labels = np.where(right, told, (told + 1) % 10).astype(np.int64)
    return Scores("digits 1.0", np.arange(rows).astype(np.str_), labels, shares, 0.0, 0.0)


def test_with_pictures_of_other_kinds_the_interval_holds_on_one_more_kind_and_without_them_it_does_not() -> None:
    rng, runs, held, narrow, errors = np.random.default_rng(8), 200, 0, 0, []
    for _ in range(runs):
        clean = examined(rng, 800)
        others = [lowered(rng, 400, offset) for offset in rng.normal(0.6, 0.4, 10)]
        window = lowered(rng, 500, float(rng.normal(0.6, 0.4)))

        wide, alone = (estimated(window.probabilities, trust(clean, kinds)) for kinds in (others, ()))

        held += wide.interval.low <= window.accuracy <= wide.interval.high
        narrow += alone.interval.low <= window.accuracy <= alone.interval.high
        errors.append(wide.accuracy - window.accuracy)

    assert held >= binom.ppf(1e-4, runs, 0.95)
    assert narrow < 0.85 * runs
    assert abs(np.mean(errors)) < 0.01


def test_what_a_profile_keeps_of_it_is_the_same_and_an_old_profile_keeps_nothing() -> None:
    rng = np.random.default_rng(9)
    learnt, window = trust(examined(rng, 300), [lowered(rng, 300, 0.5)]), answers(rng, 60)

    again = kept(json.loads(json.dumps({"trust": learnt.to_json()})))

    assert again is not None
    assert estimated(window, again) == estimated(window, learnt)
    assert kept({}) is None


def test_what_it_says_falls_as_the_truth_does_when_the_input_gets_harder() -> None:
    rng = np.random.default_rng(3)
    learnt = trust(examined(rng, 1000))

    for sure in (8.0, 4.0, 2.0, 1.0):
        shares = answers(rng, 20_000, sure)
        true = float((truth(rng, shares) == shares.argmax(axis=1)).mean())

        assert estimated(shares, learnt).accuracy == pytest.approx(true, abs=0.02)


def test_it_does_not_see_that_a_class_means_something_else() -> None:
    rng = np.random.default_rng(4)
    learnt = trust(examined(rng, 1000))
    shares = answers(rng, 2000)
    meant = truth(rng, shares)
    meant[meant == 4] = 9

    found = estimated(shares, learnt)

    true = float((meant == shares.argmax(axis=1)).mean())
    assert found.interval.low > true + 0.05, "known to fail: confidence knows nothing of what is meant"


def test_a_model_that_made_no_error_is_not_believed_to_make_none() -> None:
    shares = answers(np.random.default_rng(5), 200)
    perfect = Scores("digits 1.0", np.arange(200).astype(np.str_), shares.argmax(axis=1).astype(np.int64), shares, 0.0, 0.0)

    found = estimated(shares, trust(perfect))

    assert 0.9 < found.accuracy < 1
    assert found.interval.low < found.accuracy < found.interval.high == 1


@given(st.integers(1, 300), st.floats(0.2, 50), st.integers(0, 1000))
def test_the_estimate_lies_within_its_interval_within_zero_and_one(rows: int, sure: float, seed: int) -> None:
    rng = np.random.default_rng(seed)

    found = estimated(answers(rng, rows, sure), trust(examined(rng, 50)))

    assert 0 <= found.interval.low <= found.accuracy <= found.interval.high <= 1
    assert found.answers == rows


def test_one_who_is_wholly_sure_of_one_class_is_answered() -> None:
    sure = np.tile(np.eye(10, dtype=np.float32)[3], (30, 1))

    found = estimated(sure, trust(examined(np.random.default_rng(6), 300)))

    assert 0.99 < found.accuracy <= 1


def test_an_empty_window_and_an_empty_examination_are_refused() -> None:
    nothing = np.zeros((0, 10), np.float32)
    with pytest.raises(DataError, match="window holds no answers"):
        estimated(nothing, trust(examined(np.random.default_rng(7), 30)))
    with pytest.raises(DataError, match="no labelled rows"):
        trust(Scores("digits 1.0", np.zeros(0, np.str_), np.zeros(0, np.int64), nothing, 0.0, 0.0))
