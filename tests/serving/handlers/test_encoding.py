"""From a request's bytes to what a handler gets, and from what it returns to a body, as the real TorchServe does it."""

import base64
import io
import json
import struct
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.handlers import encoding, envelopes
from demlopment.serving.handlers.context import Context, RequestProcessor
from demlopment.serving.handlers.encoding import PredictionError

MANIFEST = {"model": {"modelName": "m", "modelVersion": "1.0"}}


def context(**headers: str) -> Context:
    made = Context("m", "/", MANIFEST, 1)
    made.request_processor = [RequestProcessor(headers)]
    made.request_ids = {0: "id-0"}
    return made


def through(envelope: str, rows: list[dict[str, Any]], handle: Any, **headers: str) -> Any:
    return envelopes.wrapped(envelope, lambda data, _: handle(data))(rows, context(**headers))


def remembered(seen: list[Any], rows: list[Any]) -> list[Any]:
    """Keep what a handler was given; any answers."""
    seen += rows
    return [0] * len(rows)


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("é", "é".encode()),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"ab"), b"ab"),
        (3, b"3"),
        (None, b"null"),
        (float("nan"), b"NaN"),
        ({"a": [1, "é"]}, b'{\n  "a": [\n    1,\n    "\\u00e9"\n  ]\n}'),
        ([], b"[]"),
    ],
)
def test_an_answer_is_written_as_torchserve_writes_it(value: Any, body: bytes) -> None:
    assert encoding.encoded(value) == body


def test_a_tensor_is_what_torch_saves() -> None:
    tensor = torch.arange(6).reshape(2, 3)

    body = encoding.encoded(tensor)

    assert torch.equal(torch.load(io.BytesIO(body), weights_only=True), tensor)


@pytest.mark.parametrize("value", [object(), {1, 2}, np.float32(1), {"a": b"x"}])
def test_what_is_no_json_is_torchserves_refusal(value: Any) -> None:
    with pytest.raises(PredictionError) as refusal:
        encoding.encoded(value)

    assert (refusal.value.status, refusal.value.message) == (503, "Unsupported model output data type.")


@pytest.mark.parametrize(
    ("kind", "content", "value"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/json", b"{", bytearray(b"{")),
        ("application/json; charset=utf-8", b"{}", bytearray(b"{}")),
        ("text/plain", "é".encode(), "é"),
        ("text/plain", b"\xff", bytearray(b"\xff")),
        ("image/png", b"x", bytearray(b"x")),
        ("", b"x", bytearray(b"x")),
    ],
)
def test_a_field_is_read_by_its_exact_type(kind: str, content: bytes, value: Any) -> None:
    read = encoding.decoded(kind, content)

    assert (type(read), read) == (type(value), value)


def test_rows_and_headers_are_as_torchserve_hands_them_over() -> None:
    told = Context("m", "/", MANIFEST, 2)
    requests = [
        {"id": "a", "headers": {"explain": "True"}, "fields": [["data", "text/plain"], ["data", ""]]},
        {"id": "b", "headers": {}, "fields": [["body", "application/json"]]},
    ]

    rows = encoding.taken(told, requests, [b"x", b"y", b"[1]"])

    assert rows == [{"data": bytearray(b"y")}, {"body": [1]}], "of fields with one name the last stands"
    assert (told.get_request_id(0), told.get_request_id(1)) == ("a", "b")
    assert told.get_request_header(0, "explain") == "True"
    assert told.get_request_header(0, "Explain") == "True"
    assert told.get_request_header(0, "none") is None
    assert told.get_all_request_header(1) == {"body": {"content-type": "application/json"}}


# Made by the real package, 0.12.0: create_predict_response(["ab", b"\x00"], {0: "id-0", 1: "id-1"}, "Intermediate", 200,
# context, True), whose context had set the content type of the first to text/plain.
REAL_PART = bytes.fromhex(
    "000000c80000000c496e7465726d656469617465"
    "0000000469642d300000000a746578742f706c61696e000000c8000000000000000200000"
    "00c636f6e74656e742d747970650000000a746578742f706c61696e0000000e74735f73747265616d5f6e6578740000000474727565"
    "000000026162"
    "0000000469642d3100000000000000c800000000000000010000000e74735f73747265616d5f6e6578740000000474727565"
    "0000000100"
    "ffffffff"
)


def test_parts_that_the_real_package_writes_are_understood() -> None:
    told = context()
    parts: list[Any] = []
    told.part = parts.append

    encoding.RealSocket(told).sendall(REAL_PART)

    assert parts == [[b"ab", b"\x00"]]


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4))
def test_any_bodies_in_the_real_packages_format_come_out(bodies: list[bytes]) -> None:
    def text(content: bytes) -> bytes:
        return struct.pack("!i", len(content)) + content

    message = struct.pack("!i", 200) + text(b"words")
    for body in bodies:
        message += text(b"id") + text(b"") + struct.pack("!i", 200) + text(b"") + struct.pack("!i", 1) + text(b"k") + text(b"v")
        message += text(body)
    told = context()
    parts: list[Any] = []
    told.part = parts.append

    encoding.RealSocket(told).sendall(message + struct.pack("!i", -1))

    assert parts == [bodies]


def test_the_envelope_body_takes_the_field_data_or_body() -> None:
    assert through("body", [{"data": 1}, {"body": 2}], lambda rows: rows) == [1, 2]


@given(st.lists(st.lists(st.integers(), max_size=4), min_size=1, max_size=4))
def test_the_envelope_json_joins_the_instances_of_a_batch_and_parts_the_answers_again(requests: list[list[int]]) -> None:
    rows = [{"body": json.dumps({"instances": instances}).encode()} for instances in requests]

    answers = through("json", rows, lambda instances: [2 * each for each in instances] or [None])

    assert [json.loads(answer) for answer in answers] == [{"predictions": [2 * each for each in one]} for one in requests]


def test_base64_in_instances_is_bytes() -> None:
    text = base64.b64encode(b"png").decode()
    row = {"body": {"instances": [{"b64": text}, {"image": {"b64": text}, "target": 0}]}}

    seen: list[Any] = []
    through("json", [row], lambda instances: remembered(seen, instances))

    assert seen == [b"png", {"image": b"png", "target": 0}]


def test_the_envelope_kserve_says_predictions_or_explanations() -> None:
    row = {"body": {"instances": [1, 2]}}

    assert through("kserve", [row], lambda instances: instances) == [{"predictions": [1, 2]}]
    assert through("kserve", [row], lambda instances: instances, explain="True") == [{"explanations": [1, 2]}]


def test_the_envelope_kservev2_shapes_the_input_and_types_the_output() -> None:
    row = {
        "body": json.dumps(
            {
                "id": "mine",
                "inputs": [
                    {"name": "a", "shape": [2, 3], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]},
                    {"name": "b", "shape": [1], "datatype": "BYTES", "data": ["text"]},
                ],
            }
        ).encode()
    }
    seen: list[Any] = []

    (answer,) = through("kservev2", [row], lambda inputs: remembered(seen, inputs) and [[1, 2], "x"])

    assert [each["data"] for each in seen] == [[[1, 2, 3], [4, 5, 6]], "text"]
    assert answer == {
        "id": "mine",
        "model_name": "m",
        "model_version": "1.0",
        "outputs": [
            {"name": "a", "datatype": "INT64", "data": [1, 2], "shape": [2]},
            {"name": "b", "datatype": "BYTES", "data": ["x"], "shape": [1]},
        ],
    }


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_a_shape_is_numpys(shape: list[int]) -> None:
    numbers = list(range(int(np.prod(shape))))
    row = {"body": {"inputs": [{"name": "a", "shape": shape, "datatype": "INT64", "data": numbers}]}}
    seen: list[Any] = []

    through("kservev2", [row], lambda inputs: remembered(seen, inputs))

    assert seen[0]["data"] == np.array(numbers).reshape(shape).tolist()


def test_without_an_id_the_requests_own_is_answered() -> None:
    row = {"body": {"inputs": [{"name": "a", "shape": [1], "datatype": "FP32", "data": [1.5]}]}}

    (answer,) = through("kservev2", [row], lambda _: [0.5])

    assert answer["id"] == "id-0"
    assert answer["outputs"][0]["datatype"] == "FP64"


@pytest.mark.parametrize("envelope", ["json", "kserve", "kservev2"])
@pytest.mark.parametrize("body", [b"", b"{", b"7", b"[]", b"{}", b'{"instances": 3}', b'{"inputs": [{}]}', b"[" * 100_000])
def test_a_body_that_is_not_in_the_envelope_is_the_clients_fault(envelope: str, body: bytes) -> None:
    with pytest.raises(PredictionError) as refusal:
        through(envelope, [{"body": bytearray(body)}], lambda rows: list(rows))

    assert refusal.value.status == 400
    assert envelope in refusal.value.message
