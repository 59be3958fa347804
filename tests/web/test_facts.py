"""What the report derives from a story agrees with slow and obvious versions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.records import DriftReport, DriftTest, Scores
from demlopment.web import facts, words
from tests import fakes


def scores(labels: list[int], confidences: list[float], said: list[int]) -> Scores:
    probabilities = np.zeros((len(labels), 3), np.float32)
    for row, (answer, confidence) in enumerate(zip(said, confidences, strict=True)):
        probabilities[row] = (1 - confidence) / 2
        probabilities[row, answer] = confidence
    return Scores("digits 1.0", np.array([str(i) for i in range(len(labels))]), np.array(labels), probabilities, 0.1, 0.01)


rows = st.lists(st.tuples(st.integers(0, 2), st.floats(0.4, 1), st.integers(0, 2)), min_size=1, max_size=60)


@given(rows)
def test_confusion_counts_what_a_loop_would_count(answers: list[tuple[int, float, int]]) -> None:
    labels, confidences, said = (list(column) for column in zip(*answers, strict=True))

    counts = facts.confusion(scores(labels, confidences, said), 3)

    expected = [[sum((t, s) == (i, j) for t, s in zip(labels, said, strict=True)) for j in range(3)] for i in range(3)]
    assert counts.tolist() == expected


@given(rows)
def test_calibration_bins_hold_every_answer_once_and_their_mean_lies_inside(answers: list[tuple[int, float, int]]) -> None:
    labels, confidences, said = (list(column) for column in zip(*answers, strict=True))

    bins = facts.calibration_bins(scores(labels, confidences, said))

    assert sum(each.examples for each in bins) == len(answers)
    assert sum(each.correct for each in bins) == sum(t == s for t, s in zip(labels, said, strict=True))
    assert all(each.low - 1e-6 <= each.confidence <= each.high + 1e-6 for each in bins)
    assert all(each.interval.low <= each.accuracy <= each.interval.high + 1e-12 for each in bins)


@given(st.lists(st.booleans(), max_size=20), st.integers(-50, 2_100))
def test_alarms_are_told_apart_by_the_end_of_their_window(drifted: list[bool], change_at: int) -> None:
    windows = [
        DriftReport(100 * i, 100, (DriftTest("slant", 1.0, 1e-9 if alarm else 0.5),), 0.001, 0.01)
        for i, alarm in enumerate(drifted)
    ]

    told = facts.alarms(windows, change_at)

    early = [i for i, alarm in enumerate(drifted) if alarm and 100 * (i + 1) <= change_at]
    late = [i for i, alarm in enumerate(drifted) if alarm and 100 * (i + 1) > change_at]
    assert told.false == len(early)
    assert (told.first is None) == (not late)
    assert told.delay == (100 * (late[0] + 1) - change_at if late else 0)
    assert told.quiet + told.late == len(windows)


def test_the_worst_confusion_is_the_most_frequent_mistake() -> None:
    counts = np.array([[50, 2, 0], [0, 40, 7], [1, 0, 30]])

    assert facts.worst_confusion(counts, "abc") == ("b", "c", 7)
    assert facts.worst_confusion(np.diag([5, 5, 5]), "abc") is None


def test_the_verdict_that_decided_is_the_one_about_the_champion() -> None:
    story = fakes.story()

    promoted = facts.deciding(story)
    defended = facts.deciding(replace(story, champion="digits 1.0", verdicts=story.verdicts[1:2]))

    assert promoted == story.verdicts[-1]
    assert defended == story.verdicts[1]
    assert facts.deciding(replace(story, verdicts=())) is None


def test_nobody_takes_over_when_the_champion_answered_already() -> None:
    story = fakes.story()

    assert facts.successor(story) == "digits 4.0"
    assert facts.successor(replace(story, champion="digits 3.0")) == ""


def test_a_change_beyond_the_last_request_is_no_change() -> None:
    story = fakes.story()

    assert facts.change(story) == 600
    assert facts.change(replace(story, change_at=1200)) is None
    assert facts.change(replace(story, change_at=-1)) is None


@pytest.mark.parametrize("share", [1 - 1e-9, 0.9996, 1e-9, 0.0004])
def test_a_share_that_is_not_all_or_nothing_never_reads_as_if_it_were(share: float) -> None:
    said = words.percent(share)

    assert not said.startswith(("100", "0.0"))


def test_evidence_that_is_too_long_is_cut_and_says_so() -> None:
    short, long = words.evidence({"rows": [1, 2]}), words.evidence({"rows": list(range(10_000))})

    assert "cut here" not in short
    assert "cut here" in long
    assert len(long) < 2 * words.EVIDENCE_LIMIT
