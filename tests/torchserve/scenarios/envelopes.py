"""KServe's protocols and TensorFlow Serving's bodies: three servers, each with the envelope of its configuration."""

import json
from collections.abc import Mapping
from typing import Any

from tests.torchserve.normal import error, success
from tests.torchserve.table import JSON, Row, Scenario, described, deviating, infer, registered


def _json(path: str, document: Any, note: str) -> Row:
    return infer("POST", path, document if isinstance(document, str) else json.dumps(document), JSON, note=note)


def _bad(envelope: str, path: str, document: Any, note: str) -> Row:
    """A row of a body that is not in its envelope."""
    words = f"The body is not in the envelope {envelope}: <any>"
    return deviating("bad-input", _json(path, document, note), error(400, "BadRequestException", words))


def _bad_v2(document: Any, note: str) -> Row:
    return deviating(
        "bad-input", _json(INFER, document, note), _v2_error(400, "The body is not in the envelope kservev2: <any>")
    )


def _open(row: Row, document: Any, status: int = 200) -> Row:
    """A row that the Open Inference Protocol answers otherwise than TorchServe does."""
    return deviating("open-inference-protocol", row, success(json.dumps(document, indent=2) + "\n") | {"status": status})


def _v2_error(status: int, message: str) -> Mapping[str, Any]:
    return error(status, "", "") | {"body": json.dumps({"error": message}, indent=2) + "\n"}


def _open_error(row: Row, status: int, message: str) -> Row:
    return deviating("open-inference-protocol", row, _v2_error(status, message))


def _input(name: str, data: list[Any], datatype: str = "FP32", shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)] if shape is None else shape, "datatype": datatype, "data": data}


TENSORFLOW = Scenario(
    "json envelope",
    "json",
    (
        registered("wrapped"),
        _json("/predictions/wrapped", {"instances": [[1, 2], [3, 4]]}, "numbers"),
        _json("/predictions/wrapped", {"instances": [{"b64": "aGVsbG8="}]}, "bytes"),
        _json("/predictions/wrapped", {"instances": [{"a": {"b64": "aGVsbG8="}, "c": 1}]}, "bytes in a column"),
        _json("/predictions/wrapped", {"instances": []}, "none"),
        _bad("json", "/predictions/wrapped", {"inputs": []}, "another key"),
        _bad("json", "/predictions/wrapped", "{", "broken"),
        _json("/v1/models/wrapped:predict", {"instances": ["a", "b"]}, "words"),
    ),
)

KSERVE = Scenario(
    "KServe v1",
    "kserve",
    (
        registered("wrapped"),
        _json("/v1/models/wrapped:predict", {"instances": [{"data": "YQ==", "target": 0}]}, "one"),
        _json("/v1/models/wrapped:predict", {"instances": [1, 2, 3]}, "three"),
        _json("/v1/models/wrapped:explain", {"instances": [{"data": "YQ==", "target": 0}]}, "one"),
        _json("/predictions/wrapped", {"instances": ["a"]}, "one"),
        _json("/explanations/wrapped", {"instances": ["a"]}, "one"),
        infer("POST", "/v1/models/wrapped:predict", '{"instances": ["a"]}', note="without its type"),
        _json("/v1/models/wrapped:predict", {"instances": []}, "none"),
        _bad("kserve", "/v1/models/wrapped:predict", {"inputs": ["a"]}, "another key"),
        _bad("kserve", "/v1/models/wrapped:predict", [1], "a list"),
        _bad("kserve", "/v1/models/wrapped:predict", "{", "broken"),
        _json("/v1/models/nobody:predict", {"instances": ["a"]}, "one"),
        infer("GET", "/v1/models/wrapped"),
    ),
)

INFER = "/v2/models/wrapped/infer"
METADATA = {"name": "wrapped", "versions": ["1.0"], "platform": "torchserve_python", "inputs": [], "outputs": []}
READY = {"name": "wrapped", "ready": True}
NO_PATH = "Requested resource is not found, please refer to API document."
NOBODY = "Model not found: nobody"

KSERVE_V2 = Scenario(
    "KServe v2",
    "kservev2",
    (
        registered("wrapped"),
        _open(infer("GET", "/v2"), {"name": "demlopment", "version": "<any>", "extensions": ["binary_tensor_data"]}),
        infer("GET", "/v2/health/live"),
        infer("GET", "/v2/health/ready"),
        infer("POST", "/v2/health/ready"),
        _open_error(infer("GET", "/v2/health"), 404, NO_PATH),
        _open(infer("GET", "/v2/models/wrapped"), METADATA),
        _open(infer("GET", "/v2/models/wrapped/ready"), READY),
        _open(infer("GET", "/v2/models/wrapped/versions/1.0"), METADATA),
        _open(infer("GET", "/v2/models/wrapped/versions/1.0/ready"), READY),
        _open_error(infer("POST", "/v2/models/wrapped/versions/1.0/infer", "{}", JSON), 400, "<any>"),
        _open_error(infer("GET", "/v2/models/nobody"), 404, NOBODY),
        _json(INFER, {"id": "mine", "inputs": [_input("input-0", [1.5, 2.0])]}, "with an id"),
        _json(INFER, {"inputs": [_input("input-0", [1, 2, 3, 4], "INT64", [2, 2])]}, "without an id"),
        _json(INFER, {"id": " ", "inputs": [_input("a", [1]), _input("b", [2])]}, "two inputs"),
        _json(INFER, {"id": "mine", "inputs": [_input("word", ["YQ=="], "BYTES")]}, "bytes"),
        _json("/v2/models/wrapped/explain", {"id": "mine", "inputs": [_input("input-0", [1.5])]}, "with an id"),
        _json("/predictions/wrapped", {"id": "mine", "inputs": [_input("input-0", [1.5])]}, "with an id"),
        _open_error(_json(INFER, {"id": "mine", "inputs": []}, "no input"), 503, "number of batch response mismatched"),
        _bad_v2({"id": "mine"}, "no inputs"),
        _bad_v2({"inputs": [_input("a", [1, 2], "INT64", [3])]}, "a shape that does not fit"),
        _bad_v2("{", "broken"),
        _open_error(_json("/v2/models/nobody/infer", {"inputs": [_input("a", [1])]}, "one"), 404, NOBODY),
        described(infer("OPTIONS", "/")),
    ),
)

SCENARIOS = (TENSORFLOW, KSERVE, KSERVE_V2)
