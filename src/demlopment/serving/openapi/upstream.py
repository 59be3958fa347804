"""The documents of TorchServe 0.12.0: the operations that they list, also those that do not exist. Knows nothing of ours."""

from collections.abc import Iterable

from demlopment.serving.openapi.pieces import Json, Port, in_path, operation, response

MODEL, VERSION = in_path("model_name", "Name of model"), in_path("model_version", "Version of model")
API = ("OPTIONS /", "GET /api-description", "GET /metrics")
ONE = "/models/{model_name}"
OF_MODEL = (
    *(f"{verb} {path}" for path in (ONE, f"{ONE}/{{model_version}}") for verb in ("GET", "PUT", "DELETE")),
    f"PUT {ONE}/{{model_version}}/set-default",
)
KSERVE = ("POST /v1/models/{model_name}:predict", "POST /v2/models/{model_name}/infer")
OPERATIONS: dict[Port, tuple[str, ...]] = {
    "inference": (
        *API,
        "GET /ping",
        *KSERVE,
        "POST /predictions/{model_name}",
        "POST /predictions/{model_name}/{model_version}",
    ),
    "management": (*API, "GET /models", "POST /models", *OF_MODEL),
    "metrics": ("GET /metrics",),
}


def document(port: Port) -> Json:
    about = "TorchServe is a flexible and easy to use tool for serving deep learning models"
    info = {"title": "TorchServe APIs", "description": about, "version": "0.12.0"}
    return {"openapi": "3.0.1", "info": info, "paths": _paths(OPERATIONS[port])}


def model_document(name: str, port: Port) -> Json:
    if port == "management":
        info = {"title": f"RESTful Management API for: {name}", "version": "0.12.0"}
        return {"openapi": "3.0.1", "info": info, "paths": _paths(OF_MODEL)}
    info = {"title": f"RESTful API for: {name}", "version": "1.0.0"}
    # The path lacks a letter upstream too.
    return {"openapi": "3.0.1", "info": info, "paths": _paths((f"POST /prediction/{name}", *KSERVE))}


def _paths(operations: Iterable[str]) -> Json:
    paths: Json = {}
    for each in operations:
        verb, path = each.split(" ")
        parameters = [parameter for parameter in (MODEL, VERSION) if f"{{{parameter['name']}}}" in path]
        said = {"200": response("Success"), "default": response("Error")}
        paths.setdefault(path, {})[verb.lower()] = operation(each.replace(" ", "_"), each, said, parameters=parameters)
    return paths
