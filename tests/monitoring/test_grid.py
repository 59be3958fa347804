"""Numbers of any size are rounded to few values in a way that keeps their mean, so an interval of the mean stays honest."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks import verdicts
from demlopment.monitoring import Outcome, Pair, Terms, paired, read
from demlopment.monitoring.experiment import values
from demlopment.monitoring.grid import Numbers, Places, places
from demlopment.monitoring.metrics import ANY, CONFIDENCE, LOG_LOSS, Recorded, milliseconds
from demlopment.monitoring.paired import values as differences
from demlopment.records import TrafficPlan, Treatment

PLAN = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "s")
SAME = 5000


@given(st.floats(-1, 1))
def test_a_number_becomes_a_neighbour_so_that_its_mean_stays(number: float) -> None:
    values_of = differences(CONFIDENCE)
    of = np.array(values_of)

    became = of[places(np.full(SAME, number), values_of)]

    below, above = of[of <= number].max(), of[of >= number].min()
    assert set(became.tolist()) <= {below, above}
    assert became.mean() == pytest.approx(number, abs=5 * (above - below) / SAME**0.5 + 1e-12)


@given(st.lists(st.sampled_from(values(0.3)), max_size=30))
def test_what_is_one_of_the_values_stays_what_it_is(numbers: list[float]) -> None:
    of = values(0.3)

    assert [of[place] for place in places(np.array(numbers), of)] == numbers


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=60), st.integers(0, 60))
def test_what_comes_later_changes_no_rounding(numbers: list[float], first: int) -> None:
    of = values(0.5, CONFIDENCE)

    whole = places(np.array(numbers), of)

    assert places(np.array(numbers[:first]), of).tolist() == whole[:first].tolist()


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("control", [(9.0, 1.0), (20.0, 20.0)])
def test_the_interval_of_a_mean_holds_the_truth_at_every_look(share: float, control: tuple[float, float]) -> None:
    runs = 200

    found = verdicts.of_means(np.random.default_rng(4), runs, 600, share, control, control)

    assert found["false_verdicts"] * runs <= binom.isf(1e-6, runs, 0.05)
    assert found["naive_false_verdicts"] > 2 * 0.05, "the ordinary test, looked at as often, errs far more often"


def test_rounding_that_favours_an_arm_would_be_found_out() -> None:
    runs = 100

    def up(numbers: Numbers, of: Sequence[float]) -> Places:
        ascending = np.sort(of)
        nearest = ascending[np.clip(np.searchsorted(ascending, numbers), 0, len(of) - 1)]
        return np.array([of.index(each) for each in nearest], np.int64)

    # Coarser than ours, so that the mistake is not lost in the width of 600 answers.
    coarse = replace(CONFIDENCE, losses=(0.0, 0.2, 1.0))
    found = verdicts.of_means(np.random.default_rng(4), runs, 600, 0.5, (9.0, 1.0), (9.0, 1.0), metric=coarse, rounded=up)

    assert found["false_verdicts"] > 0.5


def outcomes(confidences: tuple[tuple[float, float], tuple[float, float]], labels: int = 2000) -> list[Outcome]:
    """Half of each arm: confidences of the control and of the treatment from Beta distributions, times that follow them."""
    rng = np.random.default_rng(5)
    made = []
    for at in range(labels):
        treated = int(rng.random() < 0.5)
        sure = float(rng.beta(*confidences[treated]))
        recorded = Recorded(confidence=sure, likelihood=sure, milliseconds=100 * (1 - sure))
        arm, version = (("control", "1.0"), ("treatment", "2.0"))[treated]
        made.append(Outcome(arm, version, None if at % 2 else True, float(at), f"u{at}", recorded=recorded))  # type: ignore[arg-type]
    return made


def test_confidence_nats_and_milliseconds_are_read_like_any_metric() -> None:
    rows = outcomes(((8.0, 2.0), (9.0, 1.0)))
    expected = {
        arm: np.array([each.recorded.confidence for each in rows if each.arm == arm]) for arm in ("control", "treatment")
    }

    sure, took, nats = (read(PLAN, rows, terms=Terms(metric)) for metric in (CONFIDENCE, milliseconds(100.0), LOG_LOSS))

    assert sure.effect == pytest.approx(expected["treatment"].mean() - expected["control"].mean())
    assert sure.interval.low < 0.1 < sure.interval.high, "the truth"
    assert sure.interval.low > 0
    assert sure.decision == "promote"
    assert "a confidence of 89.9%" in sure.sentence
    assert took.effect == pytest.approx(100 * sure.effect)
    assert took.interval.low == pytest.approx(100 * sure.interval.low, abs=0.01)
    assert "milliseconds" in took.sentence
    assert sum(seen for seen, *_ in took.sequence[-1:]) == 2000, "they need no label"
    assert nats.sequence[-1][0] == 1000, "this one does"
    assert "nats" in nats.sentence
    assert nats.interval.low < nats.effect < nats.interval.high


def test_of_a_shadow_the_difference_itself_is_rounded_so_few_pairs_say_much() -> None:
    rng = np.random.default_rng(6)
    told = rng.beta(8, 2, 600)
    shadow = np.minimum(1, told + rng.uniform(0, 0.06, 600))
    pairs = [
        Pair(None, None, float(at), f"u{at}", told_recorded=Recorded(confidence=a), shadow_recorded=Recorded(confidence=b))
        for at, (a, b) in enumerate(zip(told.tolist(), shadow.tolist(), strict=True))
    ]

    found = paired("2.0", pairs, terms=Terms(CONFIDENCE))

    assert found.effect == pytest.approx(float((shadow - told).mean()))
    assert 0 < found.interval.low < found.effect < found.interval.high < 0.05
    assert found.decision == "promote"
    assert found.sentence.startswith("The shadow 2.0 is better: a confidence of 8")
    assert " on 600 requests, a difference between +" in found.sentence


def test_the_grid_is_fine_where_losses_are_small() -> None:
    steps = np.diff(ANY[1:]) / np.array(ANY[1:-1])

    assert ANY[0] == 0
    assert ANY[-1] == 1
    assert steps.max() < 0.4
