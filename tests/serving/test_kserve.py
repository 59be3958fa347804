"""KServe's two protocols: their documents by themselves, and asked of an app with two versions of a network."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment import images
from demlopment.archive import Archive, Card, write
from demlopment.serving import kserve, read, tensors
from demlopment.serving.inference import MISSPELT, Inference
from demlopment.serving.state import State, Version
from demlopment.serving.tensors import Tensor
from tests.serving.endpoint import CLASSES, digit, expected, onnx_network, packed
from tests.serving.local import Said, app, ask, coded
from tests.serving.test_tensors import BUSY, json_values

JSON = {"content-type": "application/json"}
LETTERS = tuple("abcdefghij")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    root = tmp_path_factory.mktemp("kserve")
    state = State()
    for version in ("1.0", "2.0"):
        file = packed(root, version).name
        state = state.register("digits", version, Version(file, file, 1, 1))
    card = Card("letters", "1.0", LETTERS, images.VERSION, 1.0, {}, {})
    file = write(root, Archive(card, onnx_network("1.0"), {}, digit(1))).name
    idle = Version(file, file, 0, 0)
    state = state.register("letters", "1.0", Version(file, file, 1, 1)).register("idle", "1.0", idle)
    inference = app(root, state)
    yield inference
    inference.journal.close()


def text(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def label(seed: int, version: str = "1.0") -> int:
    return int(expected(digit(seed), version).argmax())


def v1(local: Inference, document: Any, path: str = "/v1/models/digits:predict") -> Said:
    return ask(local, "POST", path, json.dumps(document).encode(), JSON)


def v2(local: Inference, document: Any, path: str = "/v2/models/digits/infer") -> Said:
    return ask(local, "POST", path, json.dumps(document).encode(), JSON)


def tensor(data: Any, shape: list[int], datatype: str = "FP32", name: str = "input-0") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def prepared(seed: int) -> np.ndarray:
    return images.prepare(digit(seed))


@pytest.mark.parametrize(
    "instance",
    [
        {"data": text(digit(3)), "target": 0},
        text(digit(3)),
        {"b64": text(digit(3))},
        {"image_bytes": {"b64": text(digit(3))}},
        {"data": prepared(3).tolist()},
        prepared(3).tolist(),
        (prepared(3) / 255).tolist(),
        prepared(3)[np.newaxis].tolist(),
        prepared(3)[:, :, np.newaxis].tolist(),
        prepared(3).ravel().tolist(),
    ],
)
def test_every_way_to_write_an_instance_is_the_same_picture(local: Inference, instance: Any) -> None:
    said = v1(local, {"instances": [instance]})

    assert said.status == 200
    assert said.header("content-type") == "application/json"
    assert json.loads(said.body) == {"predictions": [label(3)]}


def test_instances_are_answered_in_their_order_and_each_is_journalled(local: Inference) -> None:
    seeds = list(range(1, 9))
    headers = {**JSON, "x-request-id": "many"}
    body = json.dumps({"instances": [text(digit(seed)) for seed in seeds]}).encode()

    said = ask(local, "POST", "/v1/models/digits:predict", body, headers)
    kept, _ = read(local.launch.home / "journal")

    labels = [label(seed) for seed in seeds]
    assert len(set(labels)) > 1, "labels that are all alike would show no order"
    assert json.loads(said.body) == {"predictions": labels}
    mine = {each.request_id: int(each.label) for each in kept if each.request_id.startswith("many")}
    assert mine == {f"many.{row}": wanted for row, wanted in enumerate(labels)}


def test_a_class_that_is_no_number_stays_a_text(local: Inference) -> None:
    said = v1(local, {"instances": [text(digit(3))]}, "/v1/models/letters:predict")

    (letter,) = json.loads(said.body)["predictions"]
    assert letter in LETTERS


def test_one_bad_instance_refuses_the_request_and_journals_nothing(local: Inference) -> None:
    body = json.dumps({"instances": [text(digit(1)), text(b"no picture")]}).encode()

    said = ask(local, "POST", "/v1/models/digits:predict", body, {**JSON, "x-request-id": "half"})
    kept, _ = read(local.launch.home / "journal")

    assert said.status == 400
    assert json.loads(said.body)["message"].startswith("Picture 1: The image cannot be decoded")
    assert not [each for each in kept if each.request_id.startswith("half")]


def test_a_raw_picture_on_their_paths_is_answered_as_upstream_does_without_an_envelope(local: Inference) -> None:
    paths = ("/v1/models/digits:predict", "/v2/models/digits/infer")

    said = [ask(local, "POST", path, digit(3)) for path in paths]

    assert [each.body for each in said] == [str(label(3)).encode()] * 2
    assert [each.header("content-type") for each in said] == [None, None]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([1], "The body is not a JSON object."),
        ({}, "The body has no list of instances."),
        ({"instances": []}, "The request has 0 pictures."),
        ({"instances": [1] * 257}, "The request has 257 pictures."),
        ({"instances": [None]}, "Instance 0 holds no picture."),
        ({"instances": [[[1, 2], [3]]]}, "Instance 0 is no array"),
        ({"instances": [[[1, 256]]]}, "Instance 0 holds numbers from 1.0 to 256.0."),
        ({"instances": [[[float("nan"), 1]]]}, "Instance 0 holds numbers from nan to nan."),
        ({"instances": [[["a"]]]}, "Instance 0 holds something else than numbers."),
        ({"instances": [[[True, 1]]]}, "Instance 0 holds something else than numbers."),
        ({"instances": [[[[[[1]]]]]]}, "Picture 0: The image has shape"),
    ],
)
def test_what_is_wrong_with_instances_is_named(local: Inference, document: Any, message: str) -> None:
    said = v1(local, document)

    assert said.status == 400
    assert json.loads(said.body)["message"].startswith(message)


def test_the_map_of_an_explanation_is_of_the_answer_or_of_the_class_that_was_asked(local: Inference) -> None:
    picture = text(digit(3))
    other = (label(3) + 1) % 10
    instances = [{"data": picture}, {"data": picture, "target": label(3)}, {"data": picture, "target": str(other)}]

    said = v1(local, {"instances": instances}, "/v1/models/digits:explain")
    refused = v1(local, {"instances": [{"data": picture, "target": 10}]}, "/v1/models/digits:explain")

    likeliest, same, another = (np.array(each) for each in json.loads(said.body)["explanations"])
    assert likeliest.shape == another.shape == (28, 28)
    assert (likeliest == same).all()
    assert not (likeliest == another).all()
    assert refused.status == 400
    assert "target 10 is no class" in json.loads(refused.body)["message"]


@pytest.mark.parametrize(
    ("data", "shape", "datatype"),
    [
        ((prepared(3) / 255).ravel().tolist(), [1, 28, 28], "FP32"),
        ((prepared(3) / 255).tolist(), [28, 28], "FP64"),
        (prepared(3).ravel().tolist(), [1, 1, 28, 28], "UINT8"),
        (prepared(3).ravel().tolist(), [1, 784], "INT64"),
        (prepared(3).ravel().tolist(), [1, 28, 28, 1], "UINT8"),
        ([text(digit(3))], [1], "BYTES"),
        ([text(digit(3))], [1, 1], "BYTES"),
        ([digit(3).decode("latin-1")], [1], "BYTES"),
    ],
)
def test_every_way_to_write_a_tensor_is_the_same_picture(local: Inference, data: Any, shape: list[int], datatype: str) -> None:
    said = v2(local, {"id": "mine", "inputs": [tensor(data, shape, datatype)]})

    assert said.status == 200
    document = json.loads(said.body)
    assert (document["id"], document["model_name"], document["model_version"]) == ("mine", "digits", "1.0")
    labels, probabilities, accepted = document["outputs"]
    assert labels == {"name": "label", "datatype": "INT64", "data": [label(3)], "shape": [1]}
    assert (probabilities["datatype"], probabilities["shape"]) == ("FP32", [1, 10])
    np.testing.assert_allclose(probabilities["data"], expected(digit(3), "1.0"), atol=1e-5)
    assert accepted == {"name": "accepted", "datatype": "BOOL", "data": [True], "shape": [1]}


def test_a_batch_of_a_named_version_gives_one_row_a_picture(local: Inference) -> None:
    rows = np.stack([prepared(seed) for seed in range(1, 6)])

    said = v2(
        local,
        {"inputs": [tensor(rows.ravel().tolist(), [5, 28, 28], "UINT8")], "outputs": [{"name": "label"}]},
        "/v2/models/digits/versions/2.0/infer",
    )

    document = json.loads(said.body)
    assert document["model_version"] == "2.0"
    assert document["id"] == said.header("x-request-id")
    assert [each["name"] for each in document["outputs"]] == ["label"]
    assert document["outputs"][0]["data"] == [label(seed, "2.0") for seed in range(1, 6)]


def test_tensors_travel_as_bytes_both_ways(local: Inference) -> None:
    given, packed_rows = tensors.write(Tensor("image", "UINT8", np.stack([prepared(3), prepared(4)])), binary=True)
    wanted = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "probabilities"}]
    head = json.dumps({"inputs": [given], "outputs": wanted, "parameters": {"binary_data_output": True}}).encode()

    said = ask(
        local,
        "POST",
        "/v2/models/digits/infer",
        head + packed_rows,
        {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"},
    )

    length = int(said.header("inference-header-content-length") or 0)
    labels, described = json.loads(said.body[:length])["outputs"]
    probabilities, used = tensors.read(described, said.body[length:])
    assert said.header("content-type") == "application/octet-stream"
    assert labels["data"] == [label(3), label(4)]
    assert length + used == len(said.body)
    np.testing.assert_allclose(probabilities.values, [expected(digit(seed), "1.0") for seed in (3, 4)], atol=1e-5)


def test_encoded_pictures_travel_as_bytes_too(local: Inference) -> None:
    elements = np.empty(2, object)
    elements[:] = [digit(3), digit(4)]
    given, content = tensors.write(Tensor("image", "BYTES", elements), binary=True)
    head = json.dumps({"inputs": [given], "outputs": [{"name": "label"}]}).encode()

    said = ask(local, "POST", "/v2/models/digits/infer", head + content, {"inference-header-content-length": str(len(head))})

    assert json.loads(said.body)["outputs"][0]["data"] == [label(3), label(4)]


def test_an_explanation_is_a_tensor(local: Inference) -> None:
    said = v2(local, {"inputs": [tensor([text(digit(3))], [1], "BYTES")]}, "/v2/models/digits/explain")

    labels, saliency = json.loads(said.body)["outputs"]
    assert labels["data"] == [label(3)]
    assert (saliency["name"], saliency["datatype"], saliency["shape"]) == ("saliency", "FP32", [1, 28, 28])
    assert len(saliency["data"]) == 784


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"inputs": []}, "no list of one input"),
        ({"inputs": [tensor([1], [1]), tensor([1], [1])]}, "no list of one input"),
        ({"inputs": [tensor([1, 2], [3], "INT64")]}, "has the shape [3] and 2 elements"),
        ({"inputs": [tensor([0.5] * 784, [1, 28, 28])], "outputs": [{"name": "embedding"}]}, "'embedding'"),
        ({"inputs": [tensor([0.5] * 784, [1, 28, 28])], "outputs": [3]}, "An output is 3"),
        ({"inputs": [tensor([0.5] * 784, [1, 28, 28])], "outputs": [{"name": "label"}] * 2}, "name one of them twice"),
        ({"inputs": [tensor([], [10**20, 0, 0, 0])]}, "has the shape [100000000000000000000, 0, 0, 0]"),
        ({"inputs": [tensor(["x" * 3_000_000, *[""] * 500_000], [500_001])]}, "it holds a text"),
        ({"inputs": [tensor([["x" * 3_000_000], [*[""] * 500_000]], [500_001])]}, "it holds a text"),
        ({"inputs": [tensor([0.5] * 784, [1, 28, 28])], "id": 3}, "The id is 3"),
        ({"inputs": [tensor([0.5] * 784, [1, 28, 28])], "parameters": {"binary_data_output": 3}}, "binary_data_output is 3"),
        ({"inputs": [tensor([-1.0] * 784, [1, 28, 28])]}, "numbers from -1.0 to -1.0"),
        ({"inputs": [tensor([], [0, 28, 28])]}, "0 pictures"),
        ({"inputs": [tensor(["QUJD"], [1], "BYTES")]}, "Picture 0: The image cannot be decoded"),
    ],
)
def test_what_is_wrong_with_a_question_is_an_error_of_the_protocol(local: Inference, document: Any, said: str) -> None:
    answer = v2(local, document)

    assert answer.status == 400
    error = json.loads(answer.body)
    assert list(error) == ["error"]
    assert said in error["error"]


@pytest.mark.parametrize("length", ["5000", "-1", "x", "9" * 30])
def test_a_wrong_length_of_the_json_is_refused(local: Inference, length: str) -> None:
    said = ask(local, "POST", "/v2/models/digits/infer", b"{}", {"inference-header-content-length": length})

    assert said.status == 400
    assert "Inference-Header-Content-Length" in json.loads(said.body)["error"]


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        ("/v2/health/live", 200, {"live": True}),
        ("/v2/health/ready", 200, {"ready": True}),
        ("/v2/models/digits/ready", 200, {"name": "digits", "ready": True}),
        ("/v2/models/digits/versions/2.0/ready", 200, {"name": "digits", "ready": True}),
        ("/v2/models/idle/ready", 503, {"name": "idle", "ready": False}),
        ("/v2/models/none/ready", 404, {"error": "Model not found: none"}),
        ("/v2/models/none", 404, {"error": "Model not found: none"}),
        ("/v2/models/digits/versions/9", 404, {"error": "Model version: 9 does not exist for model: digits"}),
        ("/v2/nothing", 404, {"error": "Requested resource is not found, please refer to API document."}),
    ],
)
def test_health_and_readiness(local: Inference, path: str, status: int, answer: Any) -> None:
    said = ask(local, "GET", path)

    assert (said.status, json.loads(said.body)) == (status, answer)


def test_metadata_says_what_goes_in_and_out(local: Inference) -> None:
    server, model, letters = (
        json.loads(ask(local, "GET", path).body) for path in ("/v2", "/v2/models/digits", "/v2/models/letters/versions/1.0")
    )

    assert server["extensions"] == ["binary_tensor_data"]
    assert (model["name"], model["versions"], model["platform"]) == ("digits", ["1.0", "2.0"], "onnxruntime_onnx")
    assert model["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 28, 28]}]
    assert [(each["name"], each["datatype"], each["shape"]) for each in model["outputs"]] == [
        ("label", "INT64", [-1]),
        ("probabilities", "FP32", [-1, 10]),
        ("accepted", "BOOL", [-1]),
    ]
    assert letters["outputs"][0]["datatype"] == "BYTES"


def test_of_python_code_the_metadata_says_only_its_versions(tmp_path: Path) -> None:
    inference = app(tmp_path, coded("echo"))

    said = ask(inference, "GET", "/v2/models/echo")
    inference.journal.close()

    assert json.loads(said.body)["inputs"] == []
    assert json.loads(said.body)["versions"] == ["1.0"]


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        ("/v2", 200, {"name": "Torchserve", "version": "0.12.0", MISSPELT: ["kserve", "kubeflow"]}),
        ("/v2/health/live", 200, {"live": True}),
        ("/v2/health/ready", 200, {"ready": True}),
        ("/v2/models/digits/versions/1.0", 501, {"error": "Model versioning is not yet supported."}),
        ("/v2/models/digits/versions/1.0/infer", 501, {"error": "Model versioning is not yet supported."}),
    ],
)
def test_strict_answers_as_torchserve_does(tmp_path: Path, path: str, status: int, answer: Any) -> None:
    inference = app(tmp_path, State(), strict=True)

    said = ask(inference, "GET", path)
    missing = [ask(inference, "GET", path) for path in ("/v2/models/digits", "/v2/models/digits/ready", "/v2/health")]
    inference.journal.close()

    assert (said.status, json.loads(said.body)) == (status, answer)
    assert [each.status for each in missing] == [404] * 3
    assert json.loads(missing[0].body)["type"] == "ResourceNotFoundException"


@pytest.mark.parametrize("strict", [True, False])
def test_without_the_protocol_its_paths_do_not_exist_but_infer_does(tmp_path: Path, *, strict: bool) -> None:
    file = packed(tmp_path, "1.0").name
    state = State().register("digits", "1.0", Version(file, file, 1, 1))
    inference = app(tmp_path, state, strict=strict, open_inference_protocol=False)
    paths = ("/v2", "/v2/health/live", "/v2/models/digits", "/v2/models/digits/versions/1.0/infer")

    missing = [ask(inference, "GET", path) for path in paths]
    infer = ask(inference, "POST", "/v2/models/digits/infer", digit(3))
    unknown = ask(inference, "POST", "/v2/models/none/infer", digit(3))
    inference.journal.close()

    assert [each.status for each in missing] == [404] * 4
    assert infer.body.decode() == CLASSES[label(3)]
    assert json.loads(unknown.body)["type"] == "ModelNotFoundException"


questions = st.fixed_dictionaries(
    {},
    optional={
        "instances": json_values,
        "id": json_values,
        "parameters": json_values,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["label", "x"])}), max_size=2) | json_values,
        "inputs": st.lists(
            st.fixed_dictionaries(
                {"name": st.just("x"), "datatype": st.sampled_from(["FP32", "BYTES", "UINT8"]), "shape": st.just([2, 2])},
                optional={"data": st.lists(st.integers(0, 255), min_size=4, max_size=4) | json_values},
            ),
            max_size=2,
        )
        | json_values,
    },
)


@settings(BUSY, max_examples=200)
@given(
    path=st.sampled_from(
        ["/v1/models/digits:predict", "/v1/models/digits:explain", "/v2/models/digits/infer", "/v2/models/digits/explain"]
    ),
    document=questions | json_values,
    length=st.none() | st.integers(-1, 300),
)
def test_no_json_is_our_fault(local: Inference, path: str, document: Any, length: int | None) -> None:
    body = json.dumps(document).encode()
    headers = JSON if length is None else {**JSON, "inference-header-content-length": str(length)}

    said = ask(local, "POST", path, body, headers)

    assert said.status in (200, 400), said.body


def test_a_question_without_a_list_of_targets_explains_the_likeliest() -> None:
    assert kserve.class_of(None, CLASSES) is None
    assert kserve.class_of("7", CLASSES) == kserve.class_of(7, CLASSES) == 7
