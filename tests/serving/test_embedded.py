"""A model in the caller's own program answers as the endpoint does."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from demlopment import archive, images, serving
from demlopment.errors import ArchiveError, DataError, NotReadyError
from demlopment.serving import state
from tests.serving.endpoint import CLASSES, digit, expected, registered, running


def test_function_and_class_answer_what_the_endpoint_answers(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0")
    model = serving.Model(archive.named(home.models, "digits", "1.0"))

    with running(tmp_path) as endpoint:
        asked = [
            endpoint.inference.post("/predictions/digits", content=digit(seed), headers={"accept": "application/json"}).json()
            for seed in range(20)
        ]
    for each in asked:
        del each["request_id"]

    assert [asdict(model.predict(digit(seed))) for seed in range(20)] == asked
    assert [asdict(serving.predict(digit(seed), tmp_path)) for seed in range(20)] == asked
    assert len({each["label"] for each in asked}) > 1


def test_many_pictures_are_answered_as_each_alone_is(tmp_path: Path) -> None:
    model = serving.Model(archive.named(registered(tmp_path, "2.0").models, "digits", "2.0"))
    (tmp_path / "one.png").write_bytes(digit(3))

    answers = model.predict_all([digit(3), tmp_path / "one.png", str(tmp_path / "one.png"), images.prepare(digit(3))])

    assert model.predict_all([]) == []
    assert [each.label for each in answers] == [CLASSES[int(expected(digit(3), "2.0").argmax())]] * 4
    for each in answers:
        np.testing.assert_allclose(list(each.probabilities.values()), expected(digit(3), "2.0"), rtol=1e-4)


def test_the_function_follows_the_version_that_a_home_serves(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0")
    before = serving.predict(digit(3), tmp_path)

    path = state.path(home)
    state.save(path, state.load(path).set_default("digits", "2.0"))

    assert before.version == "1.0"
    assert serving.predict(digit(3), tmp_path).version == "2.0"


def test_what_cannot_be_answered_is_said_in_two_sentences(tmp_path: Path) -> None:
    home = registered(tmp_path / "home", "1.0")
    model = serving.Model(archive.named(home.models, "digits", "1.0"))

    with pytest.raises(DataError, match=r"cannot be decoded.*\. Send the bytes"):
        model.predict(b"no picture")
    with pytest.raises(DataError, match=r"missing\.png cannot be read: No such file.*\. Give the path"):
        model.predict(tmp_path / "missing.png")
    with pytest.raises(NotReadyError, match=r"serves no model digits\. Fit one"):
        serving.predict(digit(3), tmp_path / "empty")
    archive.named(home.models, "digits", "1.0").unlink()
    with pytest.raises(ArchiveError, match=r"does not exist\. Give"):
        serving.predict(digit(3), home.root)
