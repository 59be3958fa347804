import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from demlopment import settings
from demlopment.errors import DataError
from demlopment.intervals import paired_difference
from demlopment.records import Check, Interval, Scores
from demlopment.training import held_to, judge
from demlopment.training.gate import mcnemar, rows_needed

RULES = settings.Gate()


def scores(model: str, correct: np.ndarray) -> Scores:
    """Scores on made-up rows of class 0 that are right where `correct` says so."""
    probabilities = np.where(correct[:, None], [[0.9, 0.1]], [[0.1, 0.9]]).astype(np.float32)
    keys = np.array([f"{row:064x}" for row in range(len(correct))])
    return Scores(model, keys, np.zeros(len(correct), np.int64), probabilities, log_loss=0.3, calibration_error=0.1)


def table(both: int, better: int, worse: int, neither: int) -> tuple[Scores, Scores]:
    """Candidate and champion with that many rows right for both, the candidate alone, the champion alone, neither."""
    counts = [both, better, worse, neither]
    return (
        scores("digits 2.0", np.repeat([True, True, False, False], counts)),
        scores("digits 1.0", np.repeat([True, False, True, False], counts)),
    )


@given(better=st.integers(0, 400), worse=st.integers(0, 400))
def test_the_p_value_is_the_exact_binomial_one(better: int, worse: int) -> None:
    expected = binomtest(better, better + worse, alternative="greater").pvalue if better + worse else 1.0

    assert mcnemar(better, worse) == pytest.approx(expected, rel=1e-9)


def test_the_p_value_stays_a_number_for_very_many_rows() -> None:
    assert mcnemar(30_000, 20) == pytest.approx(0.0, abs=1e-300)
    assert mcnemar(5_000, 5_000) == pytest.approx(0.504, abs=1e-3)


def test_a_candidate_that_is_right_where_the_champion_is_wrong_is_promoted() -> None:
    candidate, champion = table(both=650, better=60, worse=10, neither=10)

    verdict = judge(candidate, champion, RULES)

    assert (verdict.kind, verdict.decision, verdict.subject, verdict.against) == ("gate", "promote", "digits 2.0", "digits 1.0")
    assert verdict.reason.startswith("digits 2.0 is right on 710 of 730 test rows and digits 1.0 on 660: 60 rows only")


def test_a_better_looking_candidate_without_evidence_is_refused() -> None:
    candidate, champion = table(both=700, better=12, worse=8, neither=10)

    verdict = judge(candidate, champion, RULES)

    assert verdict.decision == "refuse"
    assert "p = 0.252 where below 0.05 would be evidence" in verdict.reason


def test_the_evidence_is_json_and_holds_every_number() -> None:
    candidate, champion = table(both=650, better=60, worse=10, neither=10)

    evidence = json.loads(json.dumps(judge(candidate, champion, RULES).evidence))

    cells = ("both_right", "only_candidate_right", "only_champion_right", "both_wrong")
    assert [evidence[cell] for cell in cells] == [650, 60, 10, 10]
    assert (evidence["n"], evidence["alpha"]) == (730, 0.05)
    assert evidence["difference"] == pytest.approx(50 / 730)
    for name in ("candidate", "champion"):
        interval = evidence[f"{name}_interval"]
        assert interval["low"] < evidence[f"{name}_accuracy"] < interval["high"]
    assert 0 < evidence["difference_interval"]["low"] < 50 / 730 < evidence["difference_interval"]["high"]
    assert evidence["p_value"] < 1e-6


@given(cells=st.tuples(*[st.integers(0, 60)] * 4).filter(any), alpha=st.floats(0.001, 0.5))
def test_swapping_candidate_and_champion_never_promotes_both(cells: tuple[int, int, int, int], alpha: float) -> None:
    candidate, champion = table(*cells)
    rules = settings.Gate(alpha=alpha)

    decisions = judge(candidate, champion, rules).decision, judge(champion, candidate, rules).decision

    assert decisions != ("promote", "promote")


@given(cells=st.tuples(*[st.integers(0, 60)] * 4).filter(any))
def test_a_model_never_replaces_itself(cells: tuple[int, int, int, int]) -> None:
    model, _ = table(*cells)

    assert judge(model, model, RULES).decision == "refuse"


def test_a_candidate_that_is_no_better_is_promoted_no_more_often_than_alpha() -> None:
    rng = np.random.default_rng(1)
    turns, rows = 1000, 730

    # Equally good, each wrong on its own 2 % of the rows and both on another 1 %.
    kinds = rng.choice(4, size=(turns, rows), p=[0.95, 0.02, 0.02, 0.01])
    promoted = [
        judge(scores("b", np.isin(kind, (0, 1))), scores("a", np.isin(kind, (0, 2))), RULES).decision == "promote"
        for kind in kinds
    ]

    assert np.mean(promoted) <= RULES.alpha + 2 * np.sqrt(RULES.alpha * (1 - RULES.alpha) / turns)
    assert any(promoted)


@pytest.mark.parametrize(("better", "worse"), [(0.02, 0.02), (0.06, 0.01), (0.005, 0.002)])
def test_the_interval_of_the_difference_holds_the_true_one_as_often_as_it_says(better: float, worse: float) -> None:
    rng = np.random.default_rng(1)
    rows = 730
    samples = rng.multinomial(rows, [better, worse, 1 - better - worse], size=2000)

    intervals = [paired_difference(int(b), int(w), rows) for b, w, _ in samples]

    held = np.mean([interval.low <= better - worse <= interval.high for interval in intervals])
    assert 0.94 <= held <= 0.99


def test_two_models_that_never_differ_still_leave_doubt() -> None:
    interval = paired_difference(0, 0, 100)

    assert interval.low < 0 < interval.high


@pytest.mark.parametrize(("right", "decision"), [(677, "promote"), (670, "refuse")])  # of 730: Wilson's low end 0.906, 0.895
def test_the_first_champion_must_reach_the_minimum_with_the_low_end_of_its_interval(right: int, decision: str) -> None:
    candidate = scores("digits 1.0", np.arange(730) < right)

    verdict = judge(candidate, None, settings.Gate(minimum_accuracy=0.9))

    assert (verdict.decision, verdict.against) == (decision, "")
    assert f"right on {right} of 730 test rows" in verdict.reason
    assert "90.0%" in verdict.reason
    assert json.dumps(verdict.evidence)


def test_scores_on_other_rows_or_labels_are_not_compared() -> None:
    candidate, champion = table(both=10, better=5, worse=0, neither=0)
    reordered = Scores(
        "digits 1.0",
        champion.keys[::-1],
        champion.labels,
        champion.probabilities,
        champion.log_loss,
        champion.calibration_error,
    )
    relabelled = Scores(
        "digits 1.0", champion.keys, champion.labels + 1, champion.probabilities, champion.log_loss, champion.calibration_error
    )

    with pytest.raises(DataError, match="different rows"):
        judge(candidate, reordered, RULES)
    with pytest.raises(DataError, match="different labels"):
        judge(candidate, relabelled, RULES)


def test_no_rows_are_no_evidence() -> None:
    nothing = scores("digits 1.0", np.zeros(0, bool))

    with pytest.raises(DataError, match="scored on no rows"):
        judge(nothing, None, RULES)


CHECK = Check("slices", "class 7", 0.4, Interval(0.3, 0.5), 0.5, least=True, rows=40)


def test_a_better_candidate_that_misses_a_bound_is_refused_by_name() -> None:
    verdict = judge(*table(both=650, better=60, worse=10, neither=10), RULES)
    kept = Check("cost", "network", 90.0, None, 200.0, least=False, rows=1, unit="kB")

    held, refused = held_to(verdict, [kept]), held_to(verdict, [kept, CHECK, CHECK])

    assert (verdict.decision, held.decision, refused.decision) == ("promote", "promote", "refuse")
    assert held.reason == verdict.reason
    assert refused.reason == (
        f"{verdict.reason} It misses the bound of class 7 (0.4, 0.3 to 0.5 on 40 rows, and it must be at least 0.5), "
        "and 1 more bounds."
    )
    assert refused.evidence["missed"] == ["class 7", "class 7"]
    assert refused.evidence["p_value"] == verdict.evidence["p_value"]
    assert json.loads(json.dumps(refused.evidence["checks"]))[0] == {
        "group": "cost", "name": "network", "value": 90.0, "rows": 1, "met": True, "most": 200.0,
    }  # fmt: skip


def test_no_check_is_no_pass() -> None:
    with pytest.raises(DataError, match=r"digits 2\.0 was tested for nothing"):
        held_to(judge(*table(both=650, better=60, worse=10, neither=10), RULES), [])


@pytest.mark.parametrize(("better", "worse"), [(12, 8), (30, 10), (50, 20)])
def test_as_many_rows_as_are_needed_show_the_difference_as_often_as_said(better: int, worse: int) -> None:
    rng, runs = np.random.default_rng(1), 2000
    needed = rows_needed(better, worse, 730, alpha=0.05)
    assert needed is not None

    drawn = rng.multinomial(needed, [better / 730, worse / 730, 1 - (better + worse) / 730], size=runs)
    seen = np.mean([mcnemar(int(ours), int(theirs)) < 0.05 for ours, theirs, _ in drawn])

    assert 0.7 < seen < 0.9  # the exact test is a little more careful than the approximation


def test_a_refusal_for_want_of_rows_says_how_many_it_takes() -> None:
    verdict = judge(*table(both=700, better=12, worse=8, neither=10), RULES)
    worse = judge(*table(both=700, better=8, worse=12, neither=10), RULES)

    assert verdict.decision == "refuse"
    assert verdict.reason.endswith(f"about {verdict.evidence['rows_needed']} rows would show it.")
    assert (worse.decision, worse.evidence["rows_needed"]) == ("refuse", None)
    assert "would show it" not in worse.reason
