"""Verdicts are false no more often than they say, however often one looks; and a test that is not honest is found out.

With small counts; `python -m benchmarks verdicts assignment` does the same a thousand times and with a million units.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom

from benchmarks import assignment, verdicts
from demlopment import betting
from demlopment.betting import Count
from demlopment.monitoring import Outcome, Pair, paired, read
from demlopment.records import Arm, TrafficPlan, Treatment

RUNS, LABELS = 200, 1000
# At most 5 % in truth: more of 200 would be seen once in a million such simulations, and this is always the same one.
MOST = binom.isf(1e-6, RUNS, 0.05) / RUNS


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("errors", [0.02, 0.2])
def test_arms_that_are_alike_are_seldom_told_apart_where_the_ordinary_test_tells_them_apart_often(
    share: float, errors: float
) -> None:
    found = verdicts.of_arms(rng(), RUNS, LABELS, share, errors, errors)

    assert found["false_verdicts"] <= MOST
    assert found["naive_false_verdicts"] > 0.15


@pytest.mark.parametrize("differing", [0.01, 0.1, 0.5])
def test_a_shadow_that_is_alike_is_seldom_told_apart_where_the_ordinary_test_tells_it_apart_often(differing: float) -> None:
    found = verdicts.of_shadows(rng(), RUNS, LABELS, differing, differing)

    assert found["false_verdicts"] <= MOST
    assert found["naive_false_verdicts"] > 0.15


@pytest.mark.parametrize(("share", "control", "treatment"), [(0.5, 0.1, 0.03), (0.1, 0.02, 0.1), (0.1, 0.05, 0.02)])
def test_the_interval_of_two_arms_holds_the_truth_at_every_look(share: float, control: float, treatment: float) -> None:
    found = verdicts.of_arms(rng(), RUNS, LABELS, share, control, treatment)

    assert 1 - found["coverage_at_every_look"] <= MOST
    assert "false_verdicts" not in found


@pytest.mark.parametrize(("won", "lost"), [(0.05, 0.01), (0.01, 0.3)])
def test_the_interval_of_a_shadow_holds_the_truth_at_every_look(won: float, lost: float) -> None:
    assert 1 - verdicts.of_shadows(rng(), RUNS, LABELS, won, lost)["coverage_at_every_look"] <= MOST


def too_eager(
    counts: Count, values: Sequence[float], mean: npt.NDArray[np.float64], confidence: float
) -> npt.NDArray[np.bool_]:
    """As if the interval's whole error were allowed at each look: the wealth of 1 / 0.5 is enough."""
    return betting.above(counts, values, mean, 1 - 10 * (1 - confidence))


def forgetful(
    counts: Count, values: Sequence[float], mean: npt.NDArray[np.float64], confidence: float
) -> npt.NDArray[np.bool_]:
    """The bound of a fixed number of labels, by the law of large numbers, at every look."""
    labels = counts.sum(axis=0)
    sums, squares = (sum(count * value**power for count, value in zip(counts, values, strict=True)) for power in (1, 2))
    found = sums / labels
    spread = np.sqrt(np.maximum(squares / labels - found**2, 1e-9) / labels)
    return np.asarray((found - mean > 1.96 * spread) & (labels > verdicts.BURN_IN), np.bool_)


@pytest.mark.parametrize("above", [too_eager, forgetful])
def test_a_bound_that_is_not_honest_is_found_out(above: verdicts.Above) -> None:
    arms = verdicts.of_arms(rng(), RUNS, LABELS, 0.5, 0.1, 0.1, above)
    shadow = verdicts.of_shadows(rng(), RUNS, LABELS, 0.1, 0.1, above)

    assert arms["false_verdicts"] > MOST
    assert shadow["false_verdicts"] > MOST


def test_what_is_simulated_is_what_is_read_label_by_label() -> None:
    labels, share = 400, 0.5
    counts, treated = verdicts.arms(rng(), 3, labels, share, 0.2, 0.04)
    better, worse = verdicts.outside(counts, (0.0, 1 / (1 - share), -1 / share), 0.0)

    for run in range(3):
        outcomes = []
        for at in range(labels):
            step = counts[:, run, at] - (counts[:, run, at - 1] if at else 0)
            arm: Arm = "treatment" if treated[run, at] - (treated[run, at - 1] if at else 0) else "control"
            outcomes.append(Outcome(arm, "2.0" if arm == "treatment" else "1.0", bool(step[0]), float(at)))
        sequence = read(TrafficPlan("digits", "1.0", (Treatment("2.0", share),), "s"), outcomes).sequence

        assert better[run].any()
        # Bounds are known to 1e-5 and rounded outwards.
        assert np.mean([low > 0 for _, low, _ in sequence] == better[run]) > 0.99
        assert np.mean([high < 0 for _, _, high in sequence] == worse[run]) > 0.99


def test_what_is_simulated_of_a_shadow_is_what_is_read_label_by_label() -> None:
    labels = 400
    counts = verdicts.pairs(rng(), 3, labels, 0.15, 0.02)
    better, _ = verdicts.outside(counts, (0.0, 1.0, -1.0), 0.0)

    for run in range(3):
        steps = np.diff(counts[:, run], prepend=0).T
        pairs = [Pair(told=not won, shadow=not lost, at=float(at)) for at, (_, won, lost) in enumerate(steps)]
        sequence = paired("2.0", pairs).sequence

        assert better[run].any()
        assert np.mean([low > 0 for _, low, _ in sequence] == better[run]) > 0.99


def test_units_meet_the_planned_shares_under_every_salt() -> None:
    found = assignment.shares(5_000, 20)

    assert found["p_of_all"] > 1e-3
    assert found["smallest_p_times_salts"] > 1e-3


def test_a_unit_keeps_its_arm_in_every_process() -> None:
    assert assignment.stickiness(2_000) == {"units": 2_000, "moved": 0, "alike_in_another_process": True}


def test_a_ramp_sends_no_unit_back() -> None:
    found = assignment.ramp(2_000, assignment.RAMP)

    assert (found["sent_back"], found["taken_from_another"]) == (0, 0)


def test_two_experiments_on_the_same_units_are_independent() -> None:
    assert assignment.independence(5_000, 10)["smallest_p_times_pairs"] > 1e-3


def test_shares_and_salts_that_are_not_as_promised_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    salted = assignment.plan
    monkeypatch.setattr(assignment, "plan", lambda of, _=0: salted([share * 1.1 for share in of]))  # one salt for all

    assert assignment.shares(5_000, 20)["p_of_all"] < 1e-6
    assert assignment.independence(2_000, 3)["smallest_p_times_pairs"] < 1e-6
