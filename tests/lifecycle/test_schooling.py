"""What a candidate was taught: each fault of the rows is seen by one check, and fair rows by none."""

from dataclasses import replace

import numpy as np
import pytest

from demlopment import images
from demlopment.archive import Archive, Card
from demlopment.lifecycle.schooling import apart, believed, every_check, prepared
from demlopment.records import Examples, Split
from demlopment.settings import Evaluation
from demlopment.training import Fitted, export
from tests.digits import digits, fitted, one_thread, train, unseen, validation

__all__ = ["digits", "fitted", "one_thread", "train", "unseen", "validation"]
CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def parts(train: Examples, validation: Examples, unseen: Examples) -> Split:
    return Split(train, validation, unseen, unseen.where(np.arange(0)))


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> Archive:
    return Archive(Card("digits", "1.0", CLASSES, images.VERSION, fitted.temperature, {}, {}), export(fitted), {}, b"")


def test_fair_rows_keep_every_bound(model: Archive, parts: Split, train: Examples) -> None:
    taught = [check for check in every_check(model, train, parts, CLASSES, Evaluation(), 0.9) if check.group == "training"]

    assert [check.met for check in taught] == [True, True, True]
    assert [check.rows for check in taught] == [2300, 2300, 1300]


def test_what_was_learned_from_is_what_is_looked_at(model: Archive, parts: Split, unseen: Examples) -> None:
    named = {check.name: check for check in every_check(model, unseen, parts, CLASSES, Evaluation(), 0.9)}

    assert named["leaks between the parts"].value == len(unseen)


def test_one_picture_that_is_not_as_prepared_is_named(parts: Split) -> None:
    pictures = parts.test.images.copy()
    pictures[7, 0, 0] += 1
    check = prepared(replace(parts, test=replace(parts.test, images=pictures)))

    assert not check.met
    assert check.note == f"not as prepared: {parts.test.keys[7][:12]}"


def test_one_row_that_teaches_and_judges_is_named(parts: Split) -> None:
    shared = replace(parts, validation=parts.train.where(np.arange(1)))
    check = apart(shared)

    assert (check.value, check.met) == (1, False)
    assert check.note.startswith("same pixels: ")


def test_labels_in_conflict_within_one_part_leak_nothing(parts: Split) -> None:
    twice = parts.train.where(np.array([0, 0]))
    twice.labels[1] = (twice.labels[0] + 1) % 10

    assert apart(replace(parts, train=twice)).met


def test_labels_that_were_swapped_are_doubted(model: Archive, parts: Split) -> None:
    labels = parts.test.labels.copy()
    labels[:50] = (labels[:50] + 1) % 10
    check = believed(model, replace(parts, test=replace(parts.test, labels=labels)), CLASSES, 0.015)

    assert not check.met
    assert 0.03 < check.value < 0.05, "50 of 1,300"
    assert " for " in check.note
