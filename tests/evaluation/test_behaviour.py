"""A network that reads digits keeps every bound; one that is broken does not, in the cases that its fault concerns."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from demlopment.errors import DataError
from demlopment.evaluation import Reader, behaviour
from demlopment.evaluation.behaviour import DIRECTION, FUNCTIONALITY, INVARIANCE, LETTERS, REFUSALS
from demlopment.images import Grey
from demlopment.legibility import limits
from demlopment.records import Check, Examples
from tests.evaluation.broken import (
    CLASSES,
    of_inverted_pixels,
    of_one_answer,
    of_random_weights,
    of_swapped_classes,
)


@pytest.fixture(scope="module")
def checks(read: Reader, unseen: Examples, train: Examples) -> tuple[Check, ...]:
    return behaviour(read, unseen, CLASSES, 1, limits(train.images))


@pytest.fixture(scope="module")
def other(read: Reader, unseen: Examples, train: Examples) -> tuple[Check, ...]:
    return behaviour(read, unseen, CLASSES, 2, limits(train.images))


@pytest.fixture(scope="module")
def few(unseen: Examples) -> Examples:
    return unseen.where(np.arange(30))


def kind(check: Check) -> str:
    return check.name.partition(":")[0]


def test_every_case_of_the_tables_is_a_check_of_its_own(checks: tuple[Check, ...]) -> None:
    names = [check.name for check in checks]

    assert len(names) == len(set(names)) == sum(map(len, (FUNCTIONALITY, INVARIANCE, DIRECTION, REFUSALS))) + 1
    assert len(names) >= 40
    assert {kind(check) for check in checks} == {"functionality", "invariance", "direction", "refusal"}
    assert all(check.group == "behaviour" and check.rows > 0 for check in checks)


def test_what_is_drawn_by_chance_has_an_interval_around_its_value(checks: tuple[Check, ...]) -> None:
    drawn = [check for check in checks if check.rows > 1]

    assert len(drawn) > 60
    assert all(each.interval and each.interval.low - 1e-9 <= each.value <= each.interval.high + 1e-9 for each in drawn)


def test_a_network_that_reads_well_keeps_every_bound(checks: tuple[Check, ...], other: tuple[Check, ...]) -> None:
    assert all(check.bound is not None for check in checks)
    assert not [check for check in (*checks, *other) if not check.met]


def test_blank_paper_full_ink_and_noise_are_refused_by_the_card_and_it_is_said_how_many(checks: tuple[Check, ...]) -> None:
    told = {check.name.removeprefix("refusal: "): (check.value, check.note) for check in checks if kind(check) == "refusal"}

    assert told["blank paper"] == told["full ink"] == (0, "1 of 1 marked as not accepted")
    assert told["noise"] == (0, "100 of 100 marked as not accepted")
    assert 0.3 < told["a scribble"][0] < 0.9
    assert told["a scribble"][1] == ""


@pytest.mark.parametrize(
    ("broken", "least"),
    [
        (of_inverted_pixels, {"functionality": 17, "direction": 3}),
        (of_swapped_classes, {"functionality": 19}),  # which are as steady and as careful as they were
        (of_random_weights, {"functionality": 17, "invariance": 20, "direction": 5, "refusal": 2}),
        (of_one_answer, {"functionality": 18, "direction": 4, "refusal": 6}),
    ],
)
def test_a_broken_network_breaks_bounds(
    read: Reader, unseen: Examples, broken: Callable[[Reader], Reader], least: dict[str, int]
) -> None:
    checks = behaviour(broken(read), unseen, CLASSES, seed=1)

    unmet = [kind(check) for check in checks if not check.met]
    assert {each: unmet.count(each) for each in least if unmet.count(each) < least[each]} == {}


def test_the_seed_decides_which_pictures_are_tested(
    read: Reader, few: Examples, checks: tuple[Check, ...], other: tuple[Check, ...]
) -> None:
    assert behaviour(read, few, CLASSES, seed=1) == behaviour(read, few, CLASSES, seed=1)
    assert checks != other


def test_a_digit_that_the_model_does_not_know_is_said_not_to_be_tested(read: Reader, unseen: Examples) -> None:
    known = unseen.where(unseen.labels < 3).where(np.arange(30))

    checks = {check.name: check for check in behaviour(lambda pictures: read(pictures)[:, :3], known, CLASSES[:3], seed=1)}

    assert checks["functionality: a clean 2"].rows > 0
    assert checks["functionality: with a thin pen"].rows == 3 * 2 * 3
    assert checks["functionality: with a thin pen"].note == "not tested: 3456789, not among the classes"
    absent = checks["functionality: a clean 7"]
    assert (absent.rows, absent.bound, absent.interval) == (0, None, None)
    assert absent.note == "not tested: 7, not among the classes"


def test_the_order_of_the_classes_makes_no_difference(read: Reader, few: Examples) -> None:
    turned = replace(few, labels=9 - few.labels)

    backwards = behaviour(lambda pictures: read(pictures)[:, ::-1], turned, CLASSES[::-1], seed=1)

    assert [check.name for check in backwards if math.isnan(check.value)] == []
    assert backwards == behaviour(read, few, CLASSES, seed=1)


def test_a_letter_that_is_a_class_is_no_stranger(read: Reader, few: Examples) -> None:
    def knowing(letters: str) -> Check:
        def answers(pictures: Grey) -> npt.NDArray[np.float32]:
            return np.pad(read(pictures), ((0, 0), (0, len(letters))))

        return behaviour(answers, few, (*CLASSES, *letters), seed=1)[-1]

    some, every = knowing("Ah"), knowing(LETTERS)

    assert some.name == every.name == "refusal: letters"
    assert some.note == "not tested: 2 letters that are classes"
    assert (every.rows, every.bound) == (0, None)


def test_without_examples_nothing_is_tested(read: Reader, few: Examples) -> None:
    with pytest.raises(DataError, match="no examples to test behaviour on"):
        behaviour(read, few.where(np.arange(0)), CLASSES, seed=1)
