"""What the descriptions of all three ports are made of: operations, responses, parameters. Knows OpenAPI 3.0; knows no path."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import demlopment

Port = Literal["inference", "management", "metrics"]
Json = dict[str, Any]

TEXT: Json = {"type": "string"}
NAME: Json = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_\-.]{0,127}$"}
WHOLE: Json = {"type": "integer"}
NUMBER: Json = {"type": "number"}
BOOLEAN: Json = {"type": "boolean"}
COUNT: Json = {"type": "integer", "minimum": 0}
REASONS = {
    "400": "The request is wrong, or has no valid token: the message says what",
    "404": "There is no such model, version or path",
    "405": "The path does not know this method",
    "408": "The request did not arrive in time",
    "409": "The change contradicts what is there",
    "429": "The queue of the version is full, where this status is configured",
    "431": "The headers are too long",
    "500": "The endpoint, or a worker, failed",
    "503": "Nothing can answer now: no worker, a full queue, a journal that cannot be written, a handler that raised",
    "507": "A handler ran out of memory",
}
ANYWHERE = ("400", "408", "431", "500")  # a request that is no good can come on any path


def ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def response(text: str, schema: Json | None = None, kind: str = "application/json") -> Json:
    """One response; without a schema it has no content type, or no body."""
    return {"description": text} if schema is None else {"description": text, "content": {kind: {"schema": schema}}}


def errors(*statuses: str, schema: str = "Error") -> Json:
    """The error responses of an operation: those that can come anywhere, and its own."""
    named = {status: response(REASONS[status], ref(schema)) for status in sorted({*ANYWHERE, *statuses})}
    return {**named, "413": response("The body is too long; the answer has none")}


def operation(
    name: str,
    summary: str,
    responses: Json,
    *,
    parameters: Iterable[Json] = (),
    body: Json | None = None,
    deprecated: bool = False,
) -> Json:
    described: Json = {"operationId": name, "summary": summary, "parameters": list(parameters), "responses": responses}
    if body is not None:
        described["requestBody"] = body
    return {**described, "deprecated": True} if deprecated else described


def in_path(name: str, text: str) -> Json:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": NAME}


def in_query(name: str, text: str, schema: Json, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "description": text, "schema": schema}


def record(properties: Mapping[str, Json], *, optional: Iterable[str] = (), more: bool = False) -> Json:
    """An object; every property that is not `optional` is there, and no other unless `more`."""
    required = [name for name in properties if name not in set(optional)]
    described: Json = {"type": "object", "properties": dict(properties), "additionalProperties": more}
    return {**described, "required": required} if required else described


def array(items: Json, **limits: int) -> Json:
    return {"type": "array", "items": items, **limits}


def api_description(port: Port) -> Json:
    """The two paths that give this document."""
    found = {"200": response("This document", {"type": "object"}), **errors()}
    return {
        "/": {"options": operation(f"{port}_description", "Describe the port", found)},
        "/api-description": {
            "get": operation(f"{port}_description_old", "Describe the port; OPTIONS / does the same", found, deprecated=True)
        },
    }


def port_document(port: Port, paths: Json, schemas: Json) -> Json:
    return {
        "openapi": "3.0.1",
        "info": {
            "title": f"deMLopment, {port} port",
            "description": "What TorchServe's clients ask, and more; a path answers with or without a slash at its end.",
            "version": demlopment.__version__,
        },
        "paths": paths,
        "components": {
            "schemas": _used(paths, schemas),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Where tokens are demanded"}},
        },
        "security": [{}, {"token": []}],
    }


def _used(described: Any, schemas: Json) -> Json:
    """The schemas that `described` refers to, and those that they refer to."""
    found: set[str] = set()
    waiting = [described]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            name = str(each.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                waiting.append(schemas[name])
            waiting += each.values()
    return {name: schema for name, schema in schemas.items() if name in found}
