"""Accuracy from labels of which some are missing, and some are for requests that nobody knows."""

from demlopment.intervals import wilson
from demlopment.monitoring.quality import UNKNOWN, WindowAccuracy, accuracy
from tests.monitoring.conftest import World


def test_each_window_counts_the_labels_that_came_back(world: World) -> None:
    predictions = [answer._replace(label="1") for answer in world.model.predictions(world.images[:5])]

    readings = accuracy(predictions, {"request-0": "1", "request-1": "7", "request-4": "1"}, 2)

    assert readings == (
        WindowAccuracy(0, 2, 1, wilson(1, 2)),
        WindowAccuracy(2, 0, 0, UNKNOWN),
        WindowAccuracy(4, 1, 1, wilson(1, 1)),
    )


def test_the_truth_about_a_request_that_nobody_knows_changes_nothing(world: World) -> None:
    predictions = world.model.predictions(world.images[:3])

    assert accuracy(predictions, {"stranger": "3"}, 3) == accuracy(predictions, {}, 3)
    assert accuracy([], {}, 3) == ()
