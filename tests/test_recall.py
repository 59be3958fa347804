"""Whoever loads an archive answers its two pictures as was written down when it was judged, or serves nothing."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demlopment import archive, evaluation, images, recall
from demlopment.archive import Archive
from demlopment.errors import ArchiveError
from demlopment.lifecycle.skew import asked
from demlopment.serving import engine
from demlopment.serving.state import Version
from tests.serving.endpoint import packed

KEY = ("digits", "1.0")


@pytest.fixture
def model(tmp_path: Path) -> Archive:
    whole = archive.read(packed(tmp_path / "packed", "1.0"))
    read = evaluation.reader(whole)(recall.pictures(whole.sample))
    return replace(whole, answers=recall.answers(read, whole.card.classes))


def loaded(store: Path, model: Archive) -> engine.Network:
    """What a serving process does when it starts, and when a version is registered."""
    path = archive.write(store, model)
    return engine.load(store, KEY, Version(file=path.name, url=path.name))


def test_the_pictures_are_those_that_a_client_sends(model: Archive) -> None:
    sent = np.stack([images.prepare(picture) for picture in asked(model)])

    assert np.array_equal(recall.pictures(model.sample), sent)
    assert not np.array_equal(sent[0], sent[1])


def test_what_was_answered_is_kept_in_the_archive(model: Archive, tmp_path: Path) -> None:
    kept = archive.read(archive.write(tmp_path, model)).answers

    assert kept == model.answers
    assert [sum(each.values()) for each in kept] == pytest.approx([1, 1])


def test_a_process_that_answers_alike_serves_it(model: Archive, tmp_path: Path) -> None:
    assert loaded(tmp_path, model).classes == model.card.classes


def test_one_with_another_preparation_serves_nothing(model: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fair = images.as_input
    monkeypatch.setattr(images, "as_input", lambda pictures: 1 - fair(pictures))

    with pytest.raises(
        ArchiveError, match=r"does not answer here as it did when it was judged: .* and 0.001 is allowed. Serve"
    ):
        loaded(tmp_path, model)


@pytest.mark.parametrize(
    "changes", [{"temperature": 1.51}, {"classes": tuple("1023456789")}], ids=["a little warmer", "two classes swapped"]
)
def test_one_with_another_card_serves_nothing(model: Archive, tmp_path: Path, changes: Mapping[str, Any]) -> None:
    with pytest.raises(ArchiveError, match=r"does not answer here as it did when it was judged"):
        loaded(tmp_path, replace(model, card=replace(model.card, **changes)))


def test_an_archive_of_an_earlier_release_has_nothing_to_compare(model: Archive, tmp_path: Path) -> None:
    silent = replace(model, answers=(), card=replace(model.card, temperature=9.0))

    assert loaded(tmp_path, silent).temperature == 9.0
    assert archive.read(tmp_path / "digits-1.0.mar").answers == ()


@pytest.mark.parametrize("answers", [({"0": 1.0},), (dict.fromkeys("0123456789", 2.0),), ("words",)])
def test_answers_that_are_none_are_named(model: Archive, tmp_path: Path, answers: Any) -> None:
    path = archive.write(tmp_path, replace(model, answers=answers))

    with pytest.raises(ArchiveError, match=r"answers.json is no list of a probability for each class. Write"):
        archive.read(path)
