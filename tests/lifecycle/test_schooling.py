"""What a candidate was taught: each fault of the rows is seen by one check, and fair rows by none."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from demlopment import images
from demlopment.archive import Archive, Card
from demlopment.lifecycle.schooling import LEFT, MOVED, apart, as_left, believed, calibrated, every_check, left, prepared
from demlopment.records import Check, Examples, Split
from demlopment.settings import Evaluation
from demlopment.training import Fitted, export
from demlopment.training.network import as_tensor, outputs
from demlopment.training.temperature import likeliest
from tests.digits import digits, fitted, one_thread, train, unseen, validation

__all__ = ["digits", "fitted", "one_thread", "train", "unseen", "validation"]
CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def parts(train: Examples, validation: Examples, unseen: Examples) -> Split:
    return Split(train, validation, unseen, unseen.where(np.arange(0)))


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> Archive:
    return Archive(
        Card("digits", "1.0", CLASSES, images.VERSION, fitted.temperature, {}, left(fitted.curve)), export(fitted), {}, b""
    )


def test_fair_rows_keep_every_bound(model: Archive, parts: Split, train: Examples) -> None:
    taught = [check for check in every_check(model, train, parts, CLASSES, Evaluation(), 0.9) if check.group == "training"]

    assert [check.met for check in taught] == [True, True, True, True, True]
    assert [check.rows for check in taught] == [2300, 2300, 300, 300, 1300]


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


def test_a_network_that_was_changed_after_the_fit_by_however_little_is_seen(
    model: Archive, fitted: Fitted, parts: Split, unseen: Examples
) -> None:
    fair = as_left(model, parts.validation, CLASSES)
    network = copy.deepcopy(fitted.network)
    for layer in network.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = 0.01
    network.train()
    with torch.no_grad():
        network(as_tensor(unseen.images))
    changed = as_left(replace(model, network=export(replace(fitted, network=network.eval()))), parts.validation, CLASSES)

    assert fair.met
    assert fair.value < MOVED / 10
    assert not changed.met
    assert changed.value > 10 * MOVED


def test_a_card_that_does_not_say_what_the_fit_measured_keeps_no_bound(model: Archive, parts: Split) -> None:
    silent = replace(model, card=replace(model.card, lineage={}))
    check = as_left(silent, parts.validation, CLASSES)

    assert not check.met
    assert check.note == "its card does not say"


def test_another_device_is_allowed_its_own_products(model: Archive, parts: Split) -> None:
    elsewhere = {LEFT: model.card.lineage[LEFT] + 5e-4, "recipe": {"device": "cuda"}}
    here = elsewhere | {"recipe": {"device": "cpu"}}

    met = [
        as_left(replace(model, card=replace(model.card, lineage=each)), parts.validation, CLASSES).met
        for each in (elsewhere, here)
    ]

    assert met == [True, False]


@pytest.mark.parametrize("rows", [20, 300])
def test_a_temperature_of_other_rows_is_seen_on_any_number_of_rows(
    fitted: Fitted, parts: Split, model: Archive, rows: int
) -> None:
    few = parts.validation.where(np.arange(rows))
    fair = likeliest(outputs(fitted.network, few.images)[0], few.labels)

    def slope(temperature: float) -> Check:
        return calibrated(replace(model, card=replace(model.card, temperature=temperature)), few, CLASSES)

    assert slope(fair).met
    assert slope(fair).value > 0.999
    assert not slope(fair / 1.1).met
    assert slope(fair * 1.1).met, "who is too unsure is not refused"
