"""A step is told when it is done, with its time; one that raises is not told as done."""

import pytest

from demlopment.lifecycle.narrator import Telling
from tests.fakes import ListNarrator


def test_a_finished_step_is_told_with_its_sentence_and_time() -> None:
    narrator = ListNarrator()
    clock = iter([10.0, 12.5])
    telling = Telling(narrator, lambda: next(clock))

    with telling.step("Fit") as step:
        step.progress(1, 2)
        step.sentence = "98 % right"

    assert telling.told == [("Fit", "98 % right", 2.5)]
    assert narrator.heard == [("begin", "Fit"), ("progress", "1/2"), ("end", "Fit: 98 % right")]


def test_a_step_that_raises_is_not_told_as_done() -> None:
    narrator = ListNarrator()
    telling = Telling(narrator, lambda: 0.0)

    with pytest.raises(ZeroDivisionError), telling.step("Fit"):
        raise ZeroDivisionError

    assert telling.told == []
    assert narrator.heard == [("begin", "Fit")]
