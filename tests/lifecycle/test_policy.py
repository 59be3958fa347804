"""What the loop concludes: the first alarm asks to retrain, silence holds, and an experiment's reading is its verdict."""

import json

import pytest

from demlopment.lifecycle import policy
from demlopment.records import ArmReading, DriftReport, DriftTest, Interval, Reading, Snapshot, TrafficPlan, Treatment


def window(start: int, p_value: float) -> DriftReport:
    tests = (DriftTest("ink", 0.1, p_value), DriftTest("slant", 0.1, 0.5))
    return DriftReport(start, 100, tests, threshold=1e-4, false_alarm_rate=1e-3)


def test_quiet_windows_hold() -> None:
    verdict = policy.of_drift([window(0, 0.4), window(100, 0.2)], "digits 3.0")

    assert (verdict.decision, verdict.subject) == ("hold", "digits 3.0")


def test_the_first_alarm_asks_to_retrain_and_is_the_evidence() -> None:
    verdict = policy.of_drift([window(0, 0.4), window(100, 1e-9), window(200, 1e-30)], "digits 3.0")

    assert verdict.decision == "retrain"
    assert "Requests 100 to 199" in verdict.reason
    assert "ink" in verdict.reason
    assert json.loads(json.dumps(verdict.evidence))["start"] == 100


@pytest.mark.parametrize(("stop", "decision"), [(True, "refuse"), (False, "continue")])
def test_a_snapshot_that_is_not_as_expected_is_learnt_from_or_not(*, stop: bool, decision: str) -> None:
    snapshot = Snapshot("train-2", 3, "ab" * 32, 100, "salt")

    verdict = policy.of_data(snapshot, "train-1", ["the ink is 2", "the paper is 3"], stop=stop)

    assert (verdict.kind, verdict.decision, verdict.subject, verdict.against) == ("data", decision, "train-2", "train-1")
    assert verdict.reason == "The snapshot 'train-2' is not as expected: the ink is 2; the paper is 3."
    assert json.loads(json.dumps(verdict.evidence))["unexpected"] == ["the ink is 2", "the paper is 3"]


def test_an_experiment_is_decided_as_it_reads() -> None:
    arms = ArmReading("1.0", 10, 5, 4), ArmReading("2.0", 10, 5, 5)
    sequence = ((1, -1.0, 1.0), (5, 0.01, 0.4))
    reading = Reading(*arms, 0.2, Interval(0.01, 0.4), sequence, 0.7, "promote", "Treatment is better.")

    verdict = policy.of_experiment(reading, TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "salt"))

    assert (verdict.decision, verdict.subject, verdict.against) == ("promote", "digits 2.0", "digits 1.0")
    assert json.loads(json.dumps(verdict.evidence))["sequence"] == [[5, 0.01, 0.4]]
