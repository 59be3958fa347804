"""A model in the caller's own program answers as the endpoint does."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from demlopment import archive, images, serving
from demlopment.errors import ArchiveError, DataError, NotReadyError
from demlopment.lifecycle import watching
from demlopment.serving import state
from demlopment.serving.embedded import Given
from demlopment.serving.state import Version
from tests import tables
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


def test_a_row_is_answered_by_names_in_order_as_json_and_from_a_file(tmp_path: Path) -> None:
    model = serving.Model(tables.packed(tmp_path))
    (tmp_path / "one.json").write_bytes(json.dumps(tables.ONE).encode())
    numbers = list(tables.ONE.values())
    given: list[Given] = [
        tables.ONE,
        numbers,
        np.array(numbers, np.float32),
        json.dumps(tables.ONE).encode(),
        tmp_path / "one.json",
    ]

    answers = model.predict_all(given)

    (expected,) = tables.probabilities(np.array([numbers]))
    for each in answers:
        assert each.label == tables.CLASSES[int(expected.argmax())]
        np.testing.assert_allclose(list(each.probabilities.values()), expected, rtol=1e-4)
    with pytest.raises(DataError, match=r"alcohol 99, which is outside 10 to 16; .*\. Send 3 numbers"):
        model.predict({"alcohol": 99})
    with pytest.raises(DataError, match=r"is not JSON.*\. Send"):
        model.predict(digit(3))


def test_a_row_is_no_picture_and_a_version_that_others_answer_no_model_of_ours(tmp_path: Path) -> None:
    home = registered(tmp_path / "home", "1.0")
    path = state.path(home)
    known = state.load(path)
    url = "http://127.0.0.1:9/predictions/digits"
    for version in (Version("", url, 1, 1, kind="remote"), Version("code.mar", "code.mar", 1, 1, kind="handler")):
        state.save(path, known.register("digits", "2.0", version).set_default("digits", "2.0"))
        with pytest.raises(DataError, match=r"Version 2\.0 is answered by (another server|the Python code of code).*\. Ask"):
            serving.predict(digit(3), home.root)
        with pytest.raises(DataError, match=r"Version 2\.0 is answered by"):
            watching.champion(home, "digits")
    with pytest.raises(DataError, match=r"<digits 1\.0> reads pictures, and was given \{'hue': 1\}\. Give a file"):
        serving.Model(archive.named(home.models, "digits", "1.0")).predict({"hue": 1})


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
