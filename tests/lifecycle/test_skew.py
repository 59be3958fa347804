"""What an endpoint says is compared with what its archive says, class by class."""

import json
from dataclasses import replace

import pytest

from demlopment import archive, evaluation, images
from demlopment.archive import Answering, Archive
from demlopment.lifecycle.skew import asked, skew
from tests.serving.endpoint import packed


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return archive.read(packed(tmp_path_factory.mktemp("skew"), "1.0"))


def said(model: Archive, **changes: float) -> list[bytes]:
    """What an endpoint with that model answers, with some probabilities changed."""
    answers = []
    for picture in asked(model):
        (row,) = evaluation.reader(model)(images.prepare(picture)[None])
        probabilities = dict(zip(model.card.classes, row.tolist(), strict=True))
        answers.append(json.dumps({"probabilities": probabilities | changes}).encode())
    return answers


def test_an_endpoint_that_answers_as_the_archive_is_met(model: Archive) -> None:
    assert skew(model, said(model)).met


def test_another_temperature_or_class_is_seen(model: Archive) -> None:
    warmer = replace(model, card=replace(model.card, temperature=model.card.temperature * 1.2))
    renamed = replace(model, card=replace(model.card, classes=tuple("abcdefghij")))

    assert not skew(model, said(warmer)).met
    assert not skew(model, said(renamed)).met
    assert "classes that the model has not: a, b" in skew(model, said(renamed)).note
    assert not skew(model, [b'{"probabilities": {}}'] * 2).met, "nothing was said"
    assert not skew(model, said(model, **{"3": float("nan")})).met


def test_a_card_that_asks_for_other_answers_is_understood(model: Archive) -> None:
    uncalibrated = replace(model, card=replace(model.card, answer=Answering(calibrated=False)))
    bare = replace(model, card=replace(model.card, temperature=1.0))
    two = [json.loads(each)["probabilities"] for each in said(model)]
    best = [dict(sorted(each.items(), key=lambda item: -item[1])[:2]) for each in two]

    assert skew(uncalibrated, said(bare)).met
    assert not skew(uncalibrated, said(model)).met
    assert skew(model, [json.dumps({"probabilities": each}).encode() for each in best]).met


def test_a_strict_endpoint_is_held_to_its_labels(model: Archive) -> None:
    labels = [max(answer, key=answer.__getitem__) for answer in (json.loads(each)["probabilities"] for each in said(model))]

    assert skew(model, [label.encode() for label in labels]).met
    assert not skew(model, [b"x", labels[1].encode()]).met
