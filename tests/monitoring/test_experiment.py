"""The reading may be looked at after every label: it is wrong no more often than it says, and it does come to an end."""

from dataclasses import replace
from math import log

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from demlopment.betting import BETS, BOLDEST, HALVINGS, log_wealth
from demlopment.errors import DataError
from demlopment.monitoring.experiment import confidence_sequence, read, values
from demlopment.monitoring.metrics import CONFIDENCE, LOG_LOSS, Metric, Recorded
from demlopment.monitoring.outcomes import Outcome
from demlopment.monitoring.ratio import sample_ratio
from demlopment.monitoring.terms import Terms
from demlopment.records import Arm, Reading, TrafficPlan, Treatment

PLAN = TrafficPlan("digits", control="1.0", treatments=(Treatment("2.0", 0.5),), salt="s")
LABELS = 1000
SURE = Recorded(confidence=0.6, likelihood=0.6)
Counts = npt.NDArray[np.int64]


def simulate(runs: int, share: float, control: float, treatment: float, seed: int = 1) -> tuple[Counts, Counts, Counts]:
    """Labels and errors of both arms after each label, (runs, 1000), when these are the true error rates."""
    rng = np.random.default_rng(seed)
    treated = rng.random((runs, LABELS)) < share
    wrong = rng.random((runs, LABELS)) < np.where(treated, treatment, control)
    labels = np.broadcast_to(np.arange(1, LABELS + 1), wrong.shape)
    return labels, (wrong & ~treated).cumsum(axis=1), (wrong & treated).cumsum(axis=1)


def outcomes(labels: int, share: float, control: float, treatment: float, seed: int = 1) -> list[Outcome]:
    rng = np.random.default_rng(seed)
    made = []
    for n in range(labels):
        treated = bool(rng.random() < share)
        right = bool(rng.random() >= (treatment if treated else control))
        made.append(Outcome("treatment" if treated else "control", "2.0" if treated else "1.0", right, float(n), f"unit {n}"))
    return made


def misses(runs: int, share: float, control: float, treatment: float) -> int:
    """In how many runs the interval misses the true effect after at least one of 1,000 labels.

    A bound passes an effect exactly when the wealth bet against that effect is large enough (tested below), which
    spares finding 800,000 bounds.
    """
    labels, control_errors, treatment_errors = simulate(runs, share, control, treatment)
    counts = np.stack([labels - control_errors - treatment_errors, control_errors, treatment_errors])
    effect = np.full(labels.shape, control - treatment)
    above = log_wealth(counts, values(share), BOLDEST * BETS / (1 + 1 / share), effect)
    below = log_wealth(counts[[0, 2, 1]], values(1 - share), BOLDEST * BETS / (1 + 1 / (1 - share)), -effect)
    return int((np.maximum(above, below) >= log(2 / 0.05)).any(axis=1).sum())


@pytest.mark.parametrize(
    ("share", "control", "treatment"),
    [(0.5, 0.03, 0.03), (0.5, 0.1, 0.03), (0.2, 0.05, 0.05), (0.1, 0.01, 0.02), (0.5, 0.5, 0.5)],
)
def test_the_interval_holds_the_truth_after_every_label(share: float, control: float, treatment: float) -> None:
    runs = 400

    missed = misses(runs, share, control, treatment)

    assert missed <= binom.ppf(0.999, runs, 0.05), f"missed in {missed} of {runs} runs"


def test_looking_after_every_label_with_an_ordinary_test_would_be_wrong_several_times_as_often() -> None:
    runs, error = 400, 0.05
    labels, control_errors, treatment_errors = simulate(runs, 0.5, error, error)
    labels, control_errors, treatment_errors = labels[:, 50:], control_errors[:, 50:], treatment_errors[:, 50:]
    half = labels / 2
    pooled = np.maximum((control_errors + treatment_errors) / labels, 1e-9)
    z = (control_errors - treatment_errors) / half / np.sqrt(pooled * (1 - pooled) * 2 / half)

    naive = (np.abs(z) > 1.96).any(axis=1).mean()

    assert naive > 4 * 0.05
    assert misses(runs, 0.5, error, error) / runs <= 0.05


def test_a_clear_difference_is_decided_within_a_thousand_labels() -> None:
    labels, control_errors, treatment_errors = (counts[:, 99::100] for counts in simulate(200, 0.5, 0.10, 0.03))

    low, _ = confidence_sequence(labels, control_errors, treatment_errors, 0.5)

    decided = (low > 0).any(axis=1).mean()
    assert decided > 0.8, f"decided in {decided:.0%} of the experiments"


@given(st.integers(1, 500), st.integers(0, 60), st.integers(0, 60), st.floats(0.02, 0.98))
def test_a_bound_stands_exactly_where_the_wealth_bet_against_it_becomes_large_enough(
    right: int, control: int, treatment: int, share: float
) -> None:
    labels, counts = np.array([right + control + treatment]), np.array([[right], [control], [treatment]])

    low, high = confidence_sequence(labels, np.array([control]), np.array([treatment]), share)

    width = 2.0 / 2**HALVINGS
    for bound, arms, part in ((low, [0, 1, 2], share), (-high, [0, 2, 1], 1 - share)):
        bets = BOLDEST * BETS / (1 + 1 / part)
        if bound[0] > -1:
            assert log_wealth(counts[arms], values(part), bets, bound)[0] >= log(2 / 0.05)
        if bound[0] + 1.001 * width < 1:
            assert log_wealth(counts[arms], values(part), bets, bound + 1.001 * width)[0] < log(2 / 0.05)


@given(st.integers(1, 400), st.integers(0, 40), st.integers(0, 40), st.floats(0.05, 0.95))
def test_exchanging_the_arms_turns_the_interval_around(right: int, control: int, treatment: int, share: float) -> None:
    labels = np.array([right + control + treatment])

    low, high = confidence_sequence(labels, np.array([control]), np.array([treatment]), share)
    other_low, other_high = confidence_sequence(labels, np.array([treatment]), np.array([control]), 1 - share)

    assert low == pytest.approx(-other_high, abs=2e-5)
    assert high == pytest.approx(-other_low, abs=2e-5)
    assert -1 <= low < high <= 1


def test_the_interval_keeps_shrinking_with_many_labels() -> None:
    labels = np.array([1_000, 10_000, 100_000])

    low, high = confidence_sequence(labels, labels // 40, labels // 40, 0.5)

    width = high - low
    assert width[1] < width[0] / 2
    assert width[2] < width[1] / 2


def test_a_better_treatment_is_promoted_with_its_numbers_in_the_sentence() -> None:
    reading = read(PLAN, outcomes(1200, 0.5, control=0.12, treatment=0.02))

    assert reading.decision == "promote"
    assert reading.interval.low > 0
    assert reading.sentence.startswith("The treatment is better: ")
    assert f"of {reading.treatment.labelled} for version 2.0" in reading.sentence
    assert reading.interval.low < reading.effect < reading.interval.high


def test_a_worse_treatment_is_not_kept() -> None:
    reading = read(PLAN, outcomes(1200, 0.5, control=0.02, treatment=0.12))

    assert reading.decision == "keep"
    assert reading.interval.high < 0
    assert reading.sentence.startswith("The control is better: ")


def test_equal_arms_are_left_undecided() -> None:
    reading = read(PLAN, outcomes(600, 0.5, control=0.03, treatment=0.03))

    assert reading.decision == "continue"
    assert reading.sentence.startswith("No conclusion yet: ")


def test_the_sequence_has_a_point_for_every_label_and_ends_with_the_reading() -> None:
    reading = read(PLAN, outcomes(300, 0.5, control=0.1, treatment=0.05))

    assert [labels for labels, _, _ in reading.sequence] == list(range(1, 301))
    assert reading.sequence[-1][1:] == (reading.interval.low, reading.interval.high)


@pytest.mark.parametrize(
    ("metric", "silent", "said"),
    [
        (CONFIDENCE, "treatment", "none of the treatment's 150 answers tells the confidence of version 2.0."),
        (CONFIDENCE, "control", "none of the control's 150 answers tells the confidence of version 1.0."),
        (LOG_LOSS, "treatment", "none of the treatment's 150 labels tells the log loss of version 2.0."),
    ],
)
def test_what_is_not_known_of_an_arm_at_all_is_no_verdict_on_it(metric: Metric, silent: str, said: str) -> None:
    both: tuple[tuple[Arm, str], ...] = (("control", "1.0"), ("treatment", "2.0"))
    made = [
        Outcome(arm, version, correct=True, at=float(n), recorded=Recorded() if arm == silent else SURE)
        for n in range(150)
        for arm, version in both
    ]

    reading = read(PLAN, made, terms=Terms(metric, limits=((metric, 0.1),)))

    assert reading.decision == "continue"
    assert (reading.interval.low, reading.interval.high) == (-metric.scale, metric.scale)
    assert (reading.sequence, reading.novelty, reading.effect) == ((), None, 0.0)
    assert reading.sentence == f"No conclusion: {said}"


def test_labels_that_take_longer_in_one_arm_are_no_fault_of_the_split() -> None:
    alike = outcomes(300, 0.5, control=0.1, treatment=0.1)
    late = [replace(row, asked=row.at, at=row.at + 1000 * (row.arm == "control")) for row in alike]

    assert read(PLAN, late).sample_ratio_p == read(PLAN, alike).sample_ratio_p > 0.001
    assert not read(PLAN, late).sentence.startswith("The reading is void: 1")


def test_a_long_sequence_is_thinned_but_keeps_its_last_label() -> None:
    reading = read(PLAN, outcomes(2000, 0.5, control=0.1, treatment=0.05))

    assert len(reading.sequence) == 500
    assert reading.sequence[-1][0] == 2000


@given(st.permutations(range(60)))
def test_the_order_in_which_outcomes_arrive_does_not_matter_only_their_time(order: list[int]) -> None:
    made = outcomes(60, 0.5, control=0.2, treatment=0.1)

    assert read(PLAN, [made[place] for place in order]) == read(PLAN, made)


def test_requests_without_a_label_count_as_requests_only() -> None:
    labelled = outcomes(50, 0.5, control=0.2, treatment=0.1)
    silent = [Outcome("control", "1.0", None, float(n) + 0.5, f"silent {n}") for n in range(5)]

    with_them, without = read(PLAN, labelled + silent), read(PLAN, labelled)

    assert with_them.control.requests == without.control.requests + 5
    assert with_them.control.labelled == without.control.labelled
    assert with_them.sequence == without.sequence


def test_versions_outside_the_plan_are_passed_over() -> None:
    made = outcomes(50, 0.5, control=0.2, treatment=0.1)
    strangers = [Outcome("control", "0.9", correct=False, at=1.0), Outcome("treatment", "1.0", correct=False, at=2.0)]

    assert read(PLAN, made + strangers) == read(PLAN, made)


@pytest.mark.parametrize(
    "made", [[], [Outcome("control", "1.0", None, 0.0)], [Outcome("control", "1.0", correct=True, at=0.0)]]
)
def test_too_little_to_say_anything_is_said_so(made: list[Outcome]) -> None:
    reading = read(PLAN, made)

    assert reading.decision == "continue"
    assert reading.effect == 0
    assert (reading.interval.low, reading.interval.high) == pytest.approx((-1, 1), abs=1e-4)
    assert reading.sentence.startswith("No conclusion yet: ")


@pytest.mark.parametrize("share", [0.0, 1.0, 5e-324])
def test_a_plan_with_one_arm_is_no_experiment(share: float) -> None:
    with pytest.raises(DataError, match="both arms"):
        read(TrafficPlan("digits", "1.0", (Treatment("2.0", share),), "s"), [])


def lopsided() -> Reading:
    return read(PLAN, outcomes(1200, 0.25, control=0.15, treatment=0.01))


def test_a_split_that_is_not_the_planned_one_voids_the_reading() -> None:
    reading = lopsided()

    assert reading.sample_ratio_p < 0.001
    assert reading.decision == "continue"
    assert reading.sentence.startswith("The reading is void: ")
    assert "50%" in reading.sentence


def test_one_busy_user_does_not_void_a_reading() -> None:
    users = outcomes(100, 0.5, control=0.1, treatment=0.1)
    busy = [Outcome("control", "1.0", correct=True, at=1000.0 + n, unit="busy") for n in range(300)]

    assert read(PLAN, users + busy).sample_ratio_p > 0.001


def test_the_split_is_suspected_no_more_often_than_stated_however_often_one_looks() -> None:
    rng = np.random.default_rng(9)
    runs = 2000

    suspected = sum(sample_ratio(rng.random(1000) < 0.3, 0.3) < 0.05 for _ in range(runs))

    assert suspected <= binom.ppf(0.999, runs, 0.05)
    assert suspected > 0


def test_a_split_ten_points_off_is_found_within_a_thousand_units() -> None:
    rng = np.random.default_rng(9)

    found = [sample_ratio(rng.random(1000) < 0.6, 0.5) < 0.001 for _ in range(100)]

    assert np.mean(found) > 0.95


def test_no_units_give_no_suspicion() -> None:
    assert sample_ratio(np.array([], np.bool_), 0.5) == 1.0


def test_a_few_busy_users_who_keep_their_arm_do_not_make_it_miss_more_often() -> None:
    rng = np.random.default_rng(7)
    plan, runs, users, labels = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "salt"), 60, 10, 600

    missed = 0
    for _ in range(runs):
        treated, right = rng.random(users) < 0.5, rng.random(labels) > 0.1
        outcomes = [
            Outcome(
                "treatment" if treated[user] else "control", "2.0" if treated[user] else "1.0", bool(right[at]), at, f"{user}"
            )
            for at, user in enumerate(rng.integers(users, size=labels))
        ]
        missed += any(low > 0 or high < 0 for _, low, high in read(plan, outcomes).sequence)

    # Counting every label instead misses in about 4 of 10 such experiments.
    assert missed <= 6


def test_each_of_several_treatments_is_read_against_the_control_by_itself() -> None:
    several = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.25), Treatment("3.0", 0.5)), "s")
    rows = outcomes(400, share=0.5, control=0.2, treatment=0.01)
    others = [replace(row, version="3.0", unit=f"other {row.unit}") for row in rows if row.arm == "treatment"]

    reading = read(several, [*rows, *others], version="2.0")

    assert reading == read(PLAN, rows)  # of the units that met either, half were planned to meet the treatment
    assert read(several, [*rows, *others]) == reading
    assert read(several, [*rows, *others], version="3.0").treatment.version == "3.0"
    with pytest.raises(DataError, match=r"no treatment 4\.0"):
        read(several, rows, version="4.0")
