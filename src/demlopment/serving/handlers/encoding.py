"""Between a request's bytes and a handler's objects, both ways, as TorchServe does it. Knows no process and no line."""

import io
import json
import logging
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from demlopment.serving.calls import Bytes
from demlopment.serving.handlers.context import Context, RequestProcessor

logger = logging.getLogger(__name__)

NEXT = "ts_stream_next"  # TorchServe's header of a response that comes in parts


class PredictionError(Exception):
    """No response of a whole batch: status, words and TorchServe's name of the exception."""

    def __init__(self, status: int, message: str, kind: str = "InternalServerException") -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind


def taken(context: Context, requests: Sequence[Mapping[str, Any]], blobs: Sequence[Bytes]) -> list[dict[str, Any]]:
    """The rows for a handler, one a request: its fields by name. Tells `context` of the requests."""
    contents = iter(blobs)
    rows, processors = [], []
    for request in requests:
        row: dict[str, Any] = {}
        headers: dict[str, Any] = {}
        for name, kind in request["fields"]:
            row[name] = decoded(kind, next(contents))
            headers[name] = {"content-type": kind}
        rows.append(row)
        processors.append(RequestProcessor(headers | request["headers"]))
    context.request_processor = processors
    context.request_ids = {index: request["id"] for index, request in enumerate(requests)}
    context.metrics.set_request_ids(context.request_ids)
    return rows


def decoded(kind: str, content: Bytes) -> Any:
    """JSON is parsed and text is a string, by the exact content type as upstream; what cannot be read stays bytes."""
    try:
        if kind == "application/json":
            return json.loads(str(content, "utf-8"))
        if kind.startswith("text"):
            return str(content, "utf-8")
    except (ValueError, RecursionError):
        logger.warning("A field of type %s cannot be read as that; the handler gets its bytes.", kind)
    return bytearray(content)


def encoded(value: Any) -> bytes:
    """One response's body. Raises PredictionError for what is neither text, bytes, a tensor nor JSON."""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    torch = sys.modules.get("torch")  # nobody has made a tensor without it
    if torch is not None and isinstance(value, torch.Tensor):
        saved = io.BytesIO()
        torch.save(value, saved)
        return saved.getvalue()
    try:
        return json.dumps(value, indent=2).encode()
    except (TypeError, ValueError, RecursionError) as error:
        logger.warning("A response of type %s cannot be written as JSON: %s", type(value), error)
        raise PredictionError(503, "Unsupported model output data type.") from error


def said(context: Context, *, more: bool = False) -> list[dict[str, Any]]:
    """Status, phrase and headers of every response, as the handler set them; `more` parts may be to come."""
    for processor in context.request_processor:
        headers = processor.get_response_headers()
        if more:
            headers[NEXT] = "true"
        elif headers.get(NEXT) == "true":
            headers[NEXT] = "false"
    return [
        {
            "status": int(processor.get_response_status_code() or 200),
            "phrase": str(processor.get_response_status_phrase() or ""),
            "headers": [[str(name), str(value)] for name, value in processor.get_response_headers().items()],
        }
        for processor in context.request_processor
    ]


class RealSocket:
    """What the installed TorchServe package takes for its server's socket: parts of streams, in its binary format."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def sendall(self, message: bytes) -> None:
        """Hand on the parts in one response message of TorchServe: a part for every request of the batch."""
        if self._context.part is not None:
            self._context.part(list(_parts(bytes(message))))


def _parts(message: bytes) -> Iterator[bytes]:
    """The bodies in: status, text; then for each request its id, type, status, phrase, headers and body; then -1."""
    at = 0

    def number() -> int:
        nonlocal at
        (value,) = struct.unpack_from("!i", message, at)
        at += 4
        return int(value)

    def text() -> bytes:
        nonlocal at
        size = number()
        at += size
        return message[at - size : at]

    number()
    text()
    while at < len(message) - 4:
        text()
        text()
        number()
        text()
        for _ in range(number()):
            text()
            text()
        yield text()
