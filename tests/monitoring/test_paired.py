"""A shadow's reading may be looked at after every label, and needs far fewer of them than two arms would."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from demlopment.betting import bounds
from demlopment.monitoring import Outcome, Pair, paired, read
from demlopment.monitoring.paired import VALUES
from demlopment.records import TrafficPlan, Treatment

RUNS, LABELS = 400, 1000


def simulated(won: float, lost: float, seed: int = 1) -> npt.NDArray[np.int64]:
    """Running counts (3, runs, labels) of what both agree on, what the shadow wins, and what it loses."""
    drawn = np.random.default_rng(seed).random((RUNS, LABELS))
    wins, losses = (np.cumsum(each, axis=1, dtype=np.int64) for each in (drawn < won, drawn >= 1 - lost))
    return np.stack([np.arange(1, LABELS + 1) - wins - losses, wins, losses])


@pytest.mark.parametrize(("won", "lost"), [(0.0, 0.0), (0.02, 0.02), (0.05, 0.01), (0.01, 0.3), (0.5, 0.5)])
def test_the_interval_holds_the_truth_after_every_label(won: float, lost: float) -> None:
    low, high = bounds(simulated(won, lost), VALUES, 0.95)

    missed = int(((low > won - lost) | (high < won - lost)).any(axis=1).sum())

    # At most 5 % in truth: more than this many of 400 would be seen once in a million such tests, and this is one run.
    assert missed <= binom.isf(1e-6, RUNS, 0.05)


def test_a_shadow_decides_on_fewer_labels_than_two_arms() -> None:
    won, lost, wrong = 0.05, 0.01, 0.08  # the others are wrong on 8 %, the shadow on 4 %
    rng = np.random.default_rng(2)
    pairs, outcomes = [], []
    for at in range(1500):
        drawn = rng.random()
        told, shadow = drawn >= wrong, not (won <= drawn < wrong or drawn >= 1 - lost)
        pairs.append(Pair(told, shadow, float(at), f"u{at}"))
        treated = bool(rng.random() < 0.5)
        arm, version = ("treatment", "2.0") if treated else ("control", "1.0")
        outcomes.append(Outcome(arm, version, shadow if treated else told, float(at), f"u{at}"))  # type: ignore[arg-type]

    alone = paired("2.0", pairs)
    arms = read(TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "s"), outcomes)

    first = next(labels for labels, low, _ in alone.sequence if low > 0)
    later = next((labels for labels, low, _ in arms.sequence if low > 0), 1501)
    assert alone.decision == "promote"
    assert first * 2 < later
    assert alone.sentence.startswith("The shadow 2.0 is better: alone right on ")
    assert alone.effect == pytest.approx(np.mean([float(bool(pair.shadow)) - float(bool(pair.told)) for pair in pairs]))


answers = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)


@given(answers)
def test_exchanging_both_turns_the_reading_around(given_answers: list[tuple[bool, bool]]) -> None:
    one = paired("2.0", [Pair(told, shadow, at) for at, (told, shadow) in enumerate(given_answers)])
    other = paired("2.0", [Pair(shadow, told, at) for at, (told, shadow) in enumerate(given_answers)])

    assert (one.won, one.lost, one.both, one.effect) == (other.lost, other.won, other.both, -other.effect)
    assert (one.interval.low, one.interval.high) == (-other.interval.high, -other.interval.low)
    assert (one.decision, other.decision) in {("continue", "continue"), ("promote", "keep"), ("keep", "promote")}


def test_the_first_label_of_each_unit_counts_and_the_order_of_the_labels_decides() -> None:
    pairs = [
        Pair(told=False, shadow=True, at=3.0, unit="ada"),
        Pair(told=True, shadow=True, at=1.0, unit="ada"),
        Pair(told=True, shadow=False, at=2.0, unit="bob"),
        Pair(told=True, shadow=True, at=4.0),
    ]

    found = paired("2.0", pairs)

    assert (found.labelled, found.both, found.won, found.lost) == (3, 2, 0, 1)
    assert len(found.sequence) == 3


def test_without_labels_there_is_no_conclusion() -> None:
    found = paired("2.0", [])

    assert (found.decision, found.interval.low, found.interval.high) == ("continue", -1.0, 1.0)
    assert found.sentence.startswith("No conclusion yet")
