"""OpenAPI documents of the three ports. Knows what they answer; knows no server and no model.

By default the description is complete. Where `strict`, it lists what TorchServe's own documents list, and no more.
"""

from typing import Any

from demlopment.serving.openapi import inference, management, metrics, upstream
from demlopment.serving.openapi.pieces import Port, port_document
from demlopment.serving.openapi.schemas import SCHEMAS

PATHS = {"inference": inference.paths, "management": management.paths, "metrics": metrics.paths}


def document(port: Port, *, strict: bool = False) -> dict[str, Any]:
    """What `OPTIONS /` of a port answers."""
    return upstream.document(port) if strict else port_document(port, PATHS[port](), SCHEMAS)


def model_document(name: str, port: Port = "inference", *, strict: bool = False) -> dict[str, Any]:
    """What `OPTIONS` on a path of the model `name` answers: the paths that lead to it."""
    if strict:
        return upstream.model_document(name, port)
    chosen = {
        path.replace("{model_name}", name): {
            verb: _without_name(operation) for verb, operation in operations.items() if isinstance(operation, dict)
        }
        for path, operations in PATHS[port]().items()
        if "{model_name}" in path
    }
    whole = port_document(port, chosen, SCHEMAS)
    return {**whole, "info": {**whole["info"], "title": f"{whole['info']['title']}, for {name}"}}


def _without_name(operation: dict[str, Any]) -> dict[str, Any]:
    kept = [each for each in operation.get("parameters", ()) if each["name"] != "model_name"]
    return {**operation, "parameters": kept}


__all__ = ["document", "model_document"]
