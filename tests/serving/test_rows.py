"""A model that reads rows of a table answers at our endpoint as its numbers say, in every dialect, and is journalled."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from demlopment import monitoring, row, serving
from demlopment.home import Home
from demlopment.lifecycle import skew
from demlopment.lifecycle.compact import journal
from demlopment.serving import openapi, state
from demlopment.serving.state import State, Version
from tests import tables
from tests.serving.endpoint import Running, free_ports, running
from tests.serving.local import app, ask
from tests.serving.test_openapi import faults
from tests.tables import CLASSES, COLUMNS, ONE

JSON = {"accept": "application/json"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = Home(tmp_path_factory.mktemp("rows"))
    current = state.load(state.path(home))
    for version in ("1.0", "2.0"):
        file = tables.packed(home.models, version).name
        current = current.register("wine", version, Version(file, file, 1, 1))
    state.save(state.path(home), current)
    with running(home.root, free_ports(processes=1)) as found:
        yield found


def answered(endpoint: Running, body: object, path: str = "/predictions/wine") -> httpx2.Response:
    return endpoint.inference.post(path, content=json.dumps(body), headers=JSON)


def test_a_row_is_answered_as_its_numbers_say(endpoint: Running) -> None:
    values, _ = tables.rows(20, seed=5)
    expected = tables.probabilities(values)

    said = [answered(endpoint, json.loads(row.encode_json(each, COLUMNS))).json() for each in values]

    assert np.allclose([[each["probabilities"][name] for name in CLASSES] for each in said], expected, atol=1e-5)
    assert [each["label"] for each in said] == [CLASSES[best] for best in expected.argmax(axis=1)]
    assert len({each["label"] for each in said}) == 2


def test_names_in_any_order_a_list_and_a_form_are_the_same_row(endpoint: Running) -> None:
    named = {name: ONE[name] for name in reversed(ONE)} | {"proline": 700}
    form = endpoint.inference.post("/predictions/wine", files={"data": json.dumps(ONE).encode()}, headers=JSON)

    said = [each.json()["probabilities"] for each in (answered(endpoint, named), answered(endpoint, [*ONE.values()]), form)]

    assert said[0] == said[1] == said[2]


def test_kserves_first_protocol_takes_rows(endpoint: Running) -> None:
    said = answered(endpoint, {"instances": [ONE, [*ONE.values()], {"data": ONE}]}, "/v1/models/wine:predict")

    assert said.json() == {"predictions": ["barolo"] * 3}


def test_the_open_inference_protocol_takes_a_batch_of_rows(endpoint: Running) -> None:
    values, _ = tables.rows(7, seed=6)
    tensor = {"name": "row", "shape": [7, 3], "datatype": "FP32", "data": values.ravel().astype(float).tolist()}

    said = answered(endpoint, {"inputs": [tensor]}, "/v2/models/wine/infer").json()

    outputs = {each["name"]: each for each in said["outputs"]}
    assert np.allclose(np.reshape(outputs["probabilities"]["data"], (7, 2)), tables.probabilities(values), atol=1e-5)
    about = endpoint.inference.get("/v2/models/wine").json()
    assert about["inputs"][0]["shape"] == [-1, 3]
    assert about["inputs"][0]["parameters"]["columns"][0] == {"name": "alcohol", "low": 10, "high": 16}


def test_what_is_said_of_a_model_of_rows_is_as_the_endpoint_describes_it(endpoint: Running) -> None:
    about = endpoint.inference.get("/v2/models/wine").json()

    schemas = openapi.document("inference")["components"]["schemas"]

    assert faults(about, schemas["ModelMetadata"], schemas) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/wine:predict", {"instances": [ONE] * 3}),
        (
            "/v2/models/wine/infer",
            {"inputs": [{"name": "row", "shape": [3, 3], "datatype": "FP32", "data": [*ONE.values()] * 3}]},
        ),
    ],
)
def test_several_rows_are_prepared_beside_the_batches(
    path: str, body: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, prepare, where = tables.packed(tmp_path).name, row.prepare, list[bool]()
    inference = app(tmp_path, State().register("wine", "1.0", Version(file, file, 1, 1)))

    def watched(*given: Any) -> row.Row:
        where.append(threading.current_thread() is threading.main_thread())
        return prepare(*given)

    monkeypatch.setattr(row, "prepare", watched)
    answer = ask(inference, "POST", path, json.dumps(body).encode(), {"content-type": "application/json"})

    assert (answer.status, where) == (200, [False] * 3)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/predictions/wine", {**ONE, "hue": 9}, "The row has hue 9, which is outside 0 to 2. Send 3 numbers"),
        ("/predictions/wine", "x" * 20_000, "The row is 'xxx"),
        ("/v1/models/wine:predict", {"instances": [ONE, {"alcohol": 12}]}, "Row 1: The row has ash missing; hue missing"),
        ("/v1/models/wine:predict", {"instances": []}, "The request has 0 rows"),
        ("/v1/models/wine:explain", {"instances": [ONE]}, "wine 1.0 reads rows, and only pictures are explained"),
        ("/explanations/wine", ONE, "wine 1.0 reads rows, and only pictures are explained"),
        (
            "/v2/models/wine/infer",
            {"inputs": [{"name": "row", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]},
            "The input has the shape [1, 2]. Send [n, 3]",
        ),
        (
            "/v2/models/wine/infer",
            {"inputs": [{"name": "row", "shape": [1, 3], "datatype": "BOOL", "data": [True, True, True]}]},
            "The input has the datatype BOOL",
        ),
    ],
)
def test_what_is_no_row_is_refused_and_said(endpoint: Running, path: str, body: object, said: str) -> None:
    answer = answered(endpoint, body, path)

    assert answer.status_code == 400
    assert said in answer.text


def test_a_picture_is_no_row(endpoint: Running) -> None:
    answer = endpoint.inference.post("/predictions/wine", content=b"\x89PNG\r\n\x1a\n")

    assert (answer.status_code, "The row is not JSON" in answer.text) == (400, True)


def test_it_answers_as_the_model_that_was_judged(endpoint: Running) -> None:
    model = tables.model()

    said = [endpoint.inference.post("/predictions/wine/1.0", content=each, headers=JSON).content for each in skew.asked(model)]

    assert skew.skew(model, said).met


def test_rows_are_journalled_and_monitored_by_column(tmp_path: Path) -> None:
    home = Home(tmp_path)
    file = tables.packed(home.models).name
    state.save(state.path(home), state.load(state.path(home)).register("wine", "1.0", Version(file, file, 1, 1)))
    usual, (shifted, _) = tables.rows(100, seed=8)[0], tables.rows(100, seed=9, shift=0.3)

    with running(tmp_path, free_ports(processes=1)) as endpoint:
        for number, each in enumerate((*usual, *shifted)):
            body = row.encode_json(each, COLUMNS)
            endpoint.inference.post("/predictions/wine", content=body, headers={"x-request-id": f"{number}"})
    kept, _ = serving.read(journal(home))

    assert [int(each.request_id) for each in kept] == list(range(200))
    assert np.array_equal(np.stack([each.image for each in kept if each.image is not None]), np.concatenate([usual, shifted]))
    reference = tables.model().reference
    first, second = (monitoring.drift(reference, part, start=0, false_alarm_rate=0.001) for part in (kept[:100], kept[100:]))
    assert not first.drifted
    assert second.drifted
    assert next(test for test in second.tests if test.name == "hue").p_value < second.threshold
    assert next(test for test in second.tests if test.name == "ash").p_value > second.threshold
