"""The documents describe what the ports do: whole in themselves, and true of a running endpoint."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from demlopment import images
from demlopment.serving import openapi, paths
from demlopment.serving.http import wire
from demlopment.serving.openapi.pieces import Port
from tests.serving.endpoint import Running, digit

PORTS: tuple[Port, ...] = ("inference", "management", "metrics")
VERBS = {"get", "put", "post", "delete", "options"}
KIND = {"string": str, "array": list, "object": dict, "boolean": bool, "integer": int, "number": int | float}
API = {"OPTIONS /", "GET /api-description", "GET /metrics"}
KSERVE = {"POST /v1/models/{model_name}:predict", "POST /v2/models/{model_name}/infer"}
PICTURE = base64.b64encode(digit(3)).decode()
INSTANCES = {"instances": [{"data": PICTURE}, images.prepare(digit(4)).tolist()]}
TENSOR = {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [PICTURE]}]}
JSON = {"content-type": "application/json"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            yield path, verb, operation


def named(document: dict[str, Any]) -> set[str]:
    return {f"{verb.upper()} {path}" for path, verb, _ in operations(document)}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def faults(value: Any, schema: dict[str, Any], schemas: dict[str, Any], where: str = "$") -> list[str]:
    """What `value` has against `schema`; as much of JSON Schema as our documents use."""
    if "$ref" in schema:
        return faults(value, schemas[schema["$ref"].rpartition("/")[2]], schemas, where)
    if "oneOf" in schema:
        fitting = [each for each in schema["oneOf"] if not faults(value, each, schemas, where)]
        return [] if len(fitting) == 1 else [f"{where} fits {len(fitting)} of its alternatives"]
    kind = schema.get("type")
    if kind and (not isinstance(value, KIND[kind]) or (isinstance(value, bool) and kind in ("integer", "number"))):
        return [f"{where} is {value!r:.40}, no {kind}"]
    if isinstance(value, list):
        return [fault for n, each in enumerate(value) for fault in faults(each, schema["items"], schemas, f"{where}[{n}]")]
    if not isinstance(value, dict):
        return []
    known = schema.get("properties", {})
    found = [f"{where} lacks {name}" for name in schema.get("required", ()) if name not in value]
    more = schema.get("additionalProperties", True)
    for name, each in value.items():
        if name in known:
            found += faults(each, known[name], schemas, f"{where}.{name}")
        elif isinstance(more, dict):
            found += faults(each, more, schemas, f"{where}.{name}")
        elif not more:
            found.append(f"{where} has {name}")
    return found


def test_the_checker_of_these_tests_finds_faults() -> None:
    schema = openapi.document("inference")["components"]["schemas"]["Error"]
    right = {"code": 404, "type": "x", "message": "y"}

    assert faults(right, schema, {}) == []
    wrong: list[Any] = [{**right, "code": "404"}, {**right, "more": 1}, {"code": 404}, [], {**right, "code": True}]
    assert all(faults(each, schema, {}) for each in wrong)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("port", PORTS)
def test_a_document_is_whole_in_itself(port: Port, *, strict: bool) -> None:
    document = openapi.document(port, strict=strict)
    found = list(operations(document))

    assert json.loads(json.dumps(document)) == document
    assert document["openapi"] == "3.0.1"
    assert found
    names = [operation["operationId"] for _, _, operation in found]
    assert len(names) == len(set(names))
    for reference in references(document):
        assert reference.rpartition("/")[2] in document["components"]["schemas"], reference
    for path, verb, operation in found:
        in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert verb in VERBS
        assert operation["responses"]
        assert in_path == {part.split("}")[0] for part in path.split("{")[1:]}, path


@pytest.mark.parametrize(
    ("port", "listed"),
    [
        (
            "inference",
            API | KSERVE | {"GET /ping", "POST /predictions/{model_name}", "POST /predictions/{model_name}/{model_version}"},
        ),
        (
            "management",
            API
            | {"GET /models", "POST /models", "PUT /models/{model_name}/{model_version}/set-default"}
            | {f"{verb} /models/{{model_name}}" for verb in ("GET", "PUT", "DELETE")}
            | {f"{verb} /models/{{model_name}}/{{model_version}}" for verb in ("GET", "PUT", "DELETE")},
        ),
        ("metrics", {"GET /metrics"}),
    ],
)
def test_strict_lists_what_torchserve_was_seen_to_list_and_ours_lists_more(port: Port, listed: set[str]) -> None:
    strict, ours = openapi.document(port, strict=True), openapi.document(port)

    assert named(strict) == listed
    assert strict["info"]["title"] == "TorchServe APIs"
    # TorchServe's two busy ports name a path that only its third one has.
    assert named(ours) >= listed - ({"GET /metrics"} if port != "metrics" else set())
    assert len(named(ours)) > len(listed)


def test_the_document_of_a_model_has_its_paths_and_strict_torchserves() -> None:
    ours, strict = openapi.model_document("digits"), openapi.model_document("digits", strict=True)
    managed = openapi.model_document("digits", "management", strict=True)

    assert "POST /predictions/digits" in named(ours)
    assert "POST /predictions/digits/{model_version}" in named(ours)
    assert not [name for name in named(ours) if "{model_name}" in name]
    assert named(strict) == KSERVE | {"POST /prediction/digits"}
    assert strict["info"] == {"title": "RESTful API for: digits", "version": "1.0.0"}
    assert managed["info"] == {"title": "RESTful Management API for: digits", "version": "0.12.0"}


def test_every_described_path_of_a_model_leads_to_it() -> None:
    described = [path for path, verb, _ in operations(openapi.document("inference")) if verb == "post" and path != "/feedback"]

    targets = [paths.target(wire.segments(path.format(model_name="m", model_version="1"))) for path in described]

    assert len(described) > 10
    assert all(target is not None and target.model in ("m", None) for target in targets), dict(
        zip(described, targets, strict=True)
    )


SAMPLES: list[tuple[str, str, str, dict[str, Any]]] = [  # method, described path, path, what is sent
    ("OPTIONS", "/", "/", {}),
    ("GET", "/api-description", "/api-description", {}),
    ("GET", "/ping", "/ping", {}),
    ("GET", "/ready", "/ready", {}),
    ("POST", "/predictions/{model_name}", "/predictions/digits", {"content": digit(3)}),
    ("POST", "/predictions/{model_name}", "/predictions/none", {"content": digit(3)}),
    ("POST", "/predictions/{model_name}", "/predictions/digits", {"content": b"no picture"}),
    ("POST", "/predictions/{model_name}", "/predictions/digits", {"content": bytes(6_553_501)}),
    ("OPTIONS", "/predictions/{model_name}", "/predictions/digits", {}),
    ("PUT", "/explanations/{model_name}/{model_version}", "/explanations/digits/2.0", {"content": digit(3)}),
    ("POST", "/invocations", "/invocations", {"content": digit(3)}),
    ("POST", "/v1/models/{model_name}:predict", "/v1/models/digits:predict", {"json": INSTANCES}),
    ("POST", "/v1/models/{model_name}:explain", "/v1/models/digits:explain", {"json": INSTANCES}),
    ("POST", "/v1/models/{model_name}:predict", "/v1/models/digits:predict", {"json": {"instances": []}}),
    ("GET", "/v2", "/v2", {}),
    ("GET", "/v2/health/live", "/v2/health/live", {}),
    ("GET", "/v2/health/ready", "/v2/health/ready", {}),
    ("GET", "/v2/models/{model_name}", "/v2/models/digits", {}),
    ("GET", "/v2/models/{model_name}", "/v2/models/none", {}),
    ("GET", "/v2/models/{model_name}/ready", "/v2/models/digits/ready", {}),
    ("POST", "/v2/models/{model_name}/infer", "/v2/models/digits/infer", {"json": TENSOR}),
    ("POST", "/v2/models/{model_name}/explain", "/v2/models/digits/explain", {"json": TENSOR}),
    ("POST", "/v2/models/{model_name}/infer", "/v2/models/digits/infer", {"json": {"inputs": []}}),
    ("POST", "/feedback", "/feedback", {"json": {"request_id": "described", "label": "3"}}),
    ("POST", "/feedback", "/feedback", {"json": {"label": "3"}}),
]


@pytest.mark.parametrize(("method", "described", "path", "sent"), SAMPLES)
def test_what_the_inference_port_answers_is_described(
    endpoint: Running, method: str, described: str, path: str, sent: dict[str, Any]
) -> None:
    document = openapi.document("inference")

    answer = endpoint.inference.request(method, path, **sent)

    check(document, described, method, answer)


def check(document: dict[str, Any], path: str, method: str, answer: httpx2.Response) -> None:
    """The status is listed by itself, and the body is as the document says."""
    responses = document["paths"][path][method.lower()]["responses"]
    assert str(answer.status_code) in responses
    content = responses[str(answer.status_code)].get("content")
    if content is None:
        return
    assert answer.headers["content-type"] in content
    schema = content["application/json"]["schema"]
    assert faults(answer.json(), schema, document["components"]["schemas"]) == []


def test_an_answer_in_full_is_described_too(endpoint: Running) -> None:
    operation = openapi.document("inference")["paths"]["/predictions/{model_name}"]["post"]

    answer = endpoint.inference.post("/predictions/digits", content=digit(3), headers={"accept": "application/json"})

    assert faults(answer.json(), operation["responses"]["200"]["x-json"], {}) == []


@pytest.mark.parametrize(
    ("path", "described"),
    [
        ("/models", "/models"),
        ("/models?limit=1", "/models"),
        ("/models/digits", "/models/{model_name}"),
        ("/models/digits/all", "/models/{model_name}/{model_version}"),
        ("/models/none", "/models/{model_name}"),
        ("/models/digits/traffic", "/models/{model_name}/traffic"),
    ],
)
def test_what_the_management_port_shows_is_described(endpoint: Running, path: str, described: str) -> None:
    check(openapi.document("management"), described, "GET", endpoint.management.get(path))


def test_the_metrics_port_describes_itself(endpoint: Running) -> None:
    asked = endpoint.metrics.request("OPTIONS", "/")

    assert asked.json() == openapi.document("metrics")
    assert asked.headers["content-type"] == "application/json"
    assert (
        endpoint.metrics.get("/metrics").headers["content-type"]
        in (asked.json()["paths"]["/metrics"]["get"]["responses"]["200"]["content"])
    )
