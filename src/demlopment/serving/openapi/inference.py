"""The inference port, described. Knows its paths and what each answers.

Most paths here take any method, as TorchServe's do; those that its clients use are listed.
"""

from typing import Any

from demlopment.serving.openapi.pieces import (
    TEXT,
    Json,
    api_description,
    errors,
    in_path,
    in_query,
    operation,
    ref,
    response,
)
from demlopment.serving.openapi.schemas import SCHEMAS

MODEL = in_path("model_name", "A registered model")
VERSION = in_path("model_version", "One of its versions")
BINARY: Json = {"type": "string", "format": "binary"}
FORM: Json = {"schema": {"type": "object", "properties": {"data": BINARY}, "required": ["data"]}}
PICTURE = {
    "description": "One picture, or whatever the Python handler of the model takes",
    "required": True,
    "content": {
        **{kind: {"schema": BINARY} for kind in ("image/png", "image/jpeg", "image/webp", "application/octet-stream")},
        "multipart/form-data": FORM,
        "application/x-www-form-urlencoded": FORM,
    },
}
HEADERS: Json = {
    "x-request-id": {"description": "The caller's, or a fresh one; feedback refers to it", "schema": TEXT},
    "x-model-version": {"description": "Who answered", "schema": TEXT},
    "x-arm": {"description": "Of the traffic plan: control, treatment or direct", "schema": TEXT},
}


def paths() -> Json:
    return {**api_description("inference"), **_health(), **_torchserve(), **_kserve_v1(), **_kserve_v2(), **_feedback()}


def _health() -> Json:
    status = {"200": response("It does", ref("Status"))}
    return {
        "/ping": {"get": operation("ping", "Whether the process lives", {**status, **errors()})},
        "/ready": {"get": operation("ready", "Whether it wants traffic", {**status, **errors("503")})},
    }


def _torchserve() -> Json:
    """Everything that takes a raw body: TorchServe's own paths, SageMaker's and the oldest ones."""
    name = in_query("model_name", "May be left out where only one model is registered, or be a field of a form", TEXT)
    ways: tuple[tuple[str, str, tuple[Json, ...]], ...] = (
        ("/predictions/{model_name}", "predict", (MODEL,)),
        ("/predictions/{model_name}/{model_version}", "predict_version", (MODEL, VERSION)),
        ("/explanations/{model_name}", "explain", (MODEL,)),
        ("/explanations/{model_name}/{model_version}", "explain_version", (MODEL, VERSION)),
        ("/invocations", "invoke", (name,)),
        ("/models/{model_name}/invoke", "invoke_model", (MODEL,)),
        ("/{model_name}/predict", "predict_old", (MODEL,)),
        ("/{model_name}/{model_version}/predict", "predict_version_old", (MODEL, VERSION)),
    )
    return {path: _asked(name, parameters) for path, name, parameters in ways}


def _asked(name: str, parameters: tuple[Json, ...]) -> Json:
    explains = name.startswith("explain")
    said = (
        "28 rows of 28 numbers: how much of the answer's probability is lost where a square hides the picture"
        if explains
        else "The label, without a content type; with `Accept: application/json` an object, see x-json"
    )
    found = {
        "200": {**response(said), "headers": HEADERS, **({} if explains else {"x-json": SCHEMAS["Prediction"]})},
        **errors("404", "429", "503", "507"),
        "default": response("Whatever a Python handler says"),
    }
    described = {"200": response("The paths of this model", {"type": "object"}), **errors("404")}
    summary = "Explain the answer for a picture" if explains else "Read a picture"
    return {
        "post": operation(name, summary, found, parameters=parameters, body=PICTURE),
        "put": operation(f"{name}_put", f"{summary}, as `curl -T` asks", found, parameters=parameters, body=PICTURE),
        "options": operation(f"{name}_options", "Describe the model", described, parameters=parameters),
    }


def _kserve_v1() -> Json:
    body = _json_body("Instances", "A raw picture is answered as on /predictions")
    failures = errors("404", "429", "503", "507")

    def asked(name: str, schema: str) -> dict[str, Any]:
        found = {"200": {**response("One for each instance", ref(schema)), "headers": HEADERS}, **failures}
        return {"post": operation(name, "KServe's first protocol", found, parameters=(MODEL,), body=body)}

    return {
        "/v1/models/{model_name}:predict": asked("kserve_predict", "Labels"),
        "/v1/models/{model_name}:explain": asked("kserve_explain", "Explanations"),
    }


def _kserve_v2() -> Json:
    """The Open Inference Protocol."""
    failures = errors("404", "503", schema="ProtocolError")
    asking = errors("404", "429", "503", "507", schema="ProtocolError")

    def told(name: str, summary: str, schema: str, *parameters: Json, responses: Json = failures) -> Json:
        found = {"200": response("Yes, or what was asked", ref(schema)), **responses}
        return {"get": operation(name, summary, found, parameters=parameters)}

    def asked(name: str, summary: str, *parameters: Json) -> Json:
        found = {"200": {**response("The outputs", ref("InferenceResponse")), "headers": HEADERS}, **asking}
        body = _json_body("InferenceRequest", "With Inference-Header-Content-Length, tensors may follow as bytes")
        return {"post": operation(name, summary, found, parameters=parameters, body=body)}

    unready = {**failures, "503": response("Not now", {"oneOf": [ref("Ready"), ref("ModelReady"), ref("ProtocolError")]})}
    described = {
        "/v2": told("v2_server", "What this server is", "ServerMetadata"),
        "/v2/health/live": told("v2_live", "Whether it lives", "Live"),
        "/v2/health/ready": told("v2_ready", "Whether it wants traffic", "Ready", responses=unready),
    }
    ways: tuple[tuple[str, str, tuple[Json, ...]], ...] = (
        ("/v2/models/{model_name}", "v2", (MODEL,)),
        ("/v2/models/{model_name}/versions/{model_version}", "v2_version", (MODEL, VERSION)),
    )
    for path, name, parameters in ways:
        described |= {
            path: told(f"{name}_metadata", "Inputs and outputs", "ModelMetadata", *parameters),
            f"{path}/ready": told(f"{name}_ready_model", "Whether it answers", "ModelReady", *parameters, responses=unready),
            f"{path}/infer": asked(f"{name}_infer", "Read a batch of pictures or rows", *parameters),
            f"{path}/explain": asked(f"{name}_explain", "Explain the answers for a batch of pictures", *parameters),
        }
    return described


def _feedback() -> Json:
    found = {"200": response("It is recorded", ref("Status")), **errors("405", "503")}
    body = _json_body("Feedback", "Late, repeated or out of order: the last one counts")
    return {"/feedback": {"post": operation("feedback", "Say what the picture really was", found, body=body)}}


def _json_body(schema: str, text: str) -> Json:
    return {"description": text, "required": True, "content": {"application/json": {"schema": ref(schema)}}}
