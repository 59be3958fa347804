"""Many windows at once are told what each is told alone, whatever is missing of them; long ones are sampled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from demlopment.legibility import limits
from demlopment.monitoring import drift, profile, windows
from demlopment.monitoring.strangers import centres
from demlopment.monitoring.stretch import Raw, Stretch, measured, together
from demlopment.monitoring.sweep import SAMPLE, counted, drifts, length
from demlopment.records import Prediction
from tests.monitoring.conftest import World


@pytest.fixture(scope="module")
def reference(world: World) -> dict[str, Any]:
    known, others = world.images[:500], world.images[3000:]
    answers, points = world.model.answer(others)
    middles = centres(points, answers.argmax(axis=1).astype(np.int64))
    return profile(known, *world.model.answer(known), centres=middles, limits=limits(others))


def columns(answers: Sequence[Prediction], version: str = "1.0") -> Raw:
    shown = np.array([each.image is not None for each in answers])
    blank = np.zeros((28, 28), np.uint8)
    return Raw(
        np.array([each.at for each in answers]),
        np.stack([blank if each.image is None else each.image for each in answers]),
        shown,
        np.stack([each.probabilities for each in answers]),
        np.stack([each.embedding for each in answers]),
        np.array([each.version == version for each in answers]),
        np.ones(len(answers), np.bool_),
    )


def changed(world: World) -> list[Prediction]:
    """Calm windows, one of blanks, one of ones, one without half of its pictures, one with a NaN and another version."""
    images = world.images[600:1200].copy()
    images[110:130] = 0
    images[200:300] = images[200]
    answers = world.model.predictions(images)
    answers[300:350] = [each._replace(image=None) for each in answers[300:350]]
    answers[410] = answers[410]._replace(probabilities=np.full(10, np.nan, np.float32))
    answers[420:440] = [each._replace(version="2.0") for each in answers[420:440]]
    answers[500:600] = [each._replace(version="2.0", image=None) for each in answers[500:600]]
    return answers


def test_each_window_is_told_as_drift_tells_it_alone(world: World, reference: dict[str, Any]) -> None:
    answers = changed(world)

    found = drifts(reference, measured(reference, columns(answers)), counted(600, 100), false_alarm_rate=0.001)

    alone = [
        drift(reference, part, start=start, false_alarm_rate=0.001, version="1.0") for start, part in windows(answers, 100)
    ]
    assert [each.drifted for each in found] == [each.drifted for each in alone] == [False, True, True, False, False, False]
    for ours, theirs in zip(found, alone, strict=True):
        kept = [(each.start, each.examples, each.unseen, each.damaged, each.threshold) for each in (ours, theirs)]
        assert kept[0] == kept[1]
        assert [test.name for test in ours.tests] == [test.name for test in theirs.tests]
        for one, other in zip(ours.tests, theirs.tests, strict=True):
            assert one.statistic == pytest.approx(other.statistic, abs=1e-5)
            if one.name != "label" or other.p_value < 0.01:
                assert one.p_value == pytest.approx(other.p_value, rel=1e-6)
            else:
                assert one.p_value > 0.01
    assert found[5].tests == ()


def test_parts_that_are_measured_one_by_one_are_the_whole_in_the_order_of_time(world: World, reference: dict[str, Any]) -> None:
    answers = world.model.predictions(world.images[600:900])
    parts = [measured(reference, columns(answers[begin : begin + 100])) for begin in (200, 0, 100)]

    whole = together(parts)
    sorted_ = whole.where(np.argsort(whole.at, kind="stable"))

    once = measured(reference, columns(answers))
    assert isinstance(sorted_, Stretch)
    assert len(sorted_) == 300
    assert drifts(reference, sorted_, counted(300, 100), false_alarm_rate=0.01) == drifts(
        reference, once, counted(300, 100), false_alarm_rate=0.01
    )


def test_of_a_long_window_some_are_compared_and_all_are_counted(world: World, reference: dict[str, Any]) -> None:
    answers = world.model.predictions(world.images[600:1800])
    answers[0] = answers[0]._replace(image=None)

    (found,) = drifts(reference, measured(reference, columns(answers)), counted(1200, 1200), false_alarm_rate=0.001)

    assert (found.examples, found.unseen, found.drifted) == (1200, 1, False)
    steps = [test.statistic * 500 * (SAMPLE - 1) for test in found.tests[:5]]  # one of the sample has no picture
    assert steps == pytest.approx([round(step) for step in steps], abs=1e-6)


def test_windows_are_longer_where_there_are_more_than_a_thousand() -> None:
    assert [length(answers, 100) for answers in (0, 99, 100_000, 100_200, 1_000_000)] == [100, 100, 100, 200, 1600]


def test_a_stretch_that_is_too_short_has_no_window_and_an_empty_one_neither(world: World, reference: dict[str, Any]) -> None:
    some = measured(reference, columns(world.model.predictions(world.images[600:650])))

    assert drifts(reference, some, counted(50, 100), false_alarm_rate=0.001) == ()
    assert drifts(reference, some.where(slice(0, 0)), [], false_alarm_rate=0.001) == ()
