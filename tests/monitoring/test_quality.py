"""Accuracy from labels that come late, twice, or for requests that nobody knows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import DataError
from demlopment.intervals import wilson
from demlopment.monitoring.quality import UNKNOWN, Bin, WindowAccuracy, accuracy, reliability, truths
from demlopment.records import Feedback
from tests.monitoring.conftest import World


def test_each_window_counts_the_labels_that_came_back(world: World) -> None:
    predictions = [replace(answer, label="1") for answer in world.model.predictions(world.images[:5])]
    said = [Feedback("request-0", 1.0, "1"), Feedback("request-1", 2.0, "7"), Feedback("request-4", 9.0, "1")]

    readings = accuracy(predictions, said, 2)

    assert readings == (
        WindowAccuracy(0, 2, 1, wilson(1, 2)),
        WindowAccuracy(2, 0, 0, UNKNOWN),
        WindowAccuracy(4, 1, 1, wilson(1, 1)),
    )


def test_of_two_labels_for_a_request_the_later_one_counts_whatever_their_order() -> None:
    early, late = Feedback("a", 1.0, "3"), Feedback("a", 2.0, "5")

    assert truths([early, late]) == truths([late, early]) == {"a": "5"}


def test_feedback_for_a_request_that_nobody_knows_changes_nothing(world: World) -> None:
    predictions = world.model.predictions(world.images[:3])

    assert accuracy(predictions, [Feedback("stranger", 1.0, "3")], 3) == accuracy(predictions, [], 3)
    assert accuracy([], [], 3) == ()


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), max_size=60), st.integers(1, 20))
def test_every_answer_is_in_exactly_the_bin_of_its_confidence(answers: list[tuple[float, bool]], bins: int) -> None:
    confidences = np.array([confidence for confidence, _ in answers], np.float64)
    correct = np.array([right for _, right in answers], np.bool_)

    found = reliability(confidences, correct, bins)

    assert sum(each.answers for each in found) == len(answers)
    assert round(sum(each.accuracy * each.answers for each in found)) == correct.sum()
    assert all(each.low - 1e-9 <= each.confidence <= each.high + 1e-9 for each in found)
    assert [each.low for each in found] == sorted(each.low for each in found)


def test_certainty_belongs_to_the_last_bin() -> None:
    found = reliability(np.array([1.0, 0.91, 0.2]), np.array([True, False, True]))

    assert len(found) == 2
    assert found[-1].confidence == pytest.approx(0.955)
    assert replace(found[-1], confidence=0.0) == Bin(0.9, 1.0, 2, 0.0, 0.5, wilson(1, 2))


def test_confidences_that_are_none_are_refused() -> None:
    with pytest.raises(DataError, match="outside 0 to 1"):
        reliability(np.array([1.5]), np.array([True]))
    with pytest.raises(DataError, match="outside 0 to 1"):
        reliability(np.array([np.nan]), np.array([True]))
    with pytest.raises(DataError, match="do not fit"):
        reliability(np.array([0.5]), np.array([True, False]))
