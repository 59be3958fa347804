"""What TorchServe's clients expect on the wire, on all three ports. Knows HTTP and ASGI; knows no model and no state."""

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from demlopment.errors import DemlopmentError, NotReadyError, RequestError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")  # visible ASCII, so it can go into any header, log or table
JSON_TYPE = (b"content-type", b"application/json")
ALWAYS: Headers = (
    (b"pragma", b"no-cache"),
    (b"cache-control", b"no-cache; no-store, must-revalidate, private"),
    (b"expires", b"Thu, 01 Jan 1970 00:00:00 UTC"),
)
# Of a body that is too large this much is still read, so that a client finishes sending and sees the 413 instead of a reset.
DISCARDED = 16


class ClientGoneError(Exception):
    """The client hung up before its request was whole: there is nobody to answer."""


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    body: bytes
    headers: Headers = ()
    bare: bool = False  # without TorchServe's own headers, as its 413 is


def as_json(value: Any, status: int = 200) -> Answer:
    """JSON as Gson prints it: two spaces, nothing escaped that need not be, a newline at the end."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # A client's own JSON may hold half a surrogate pair, which an error would quote and UTF-8 cannot.
    return Answer(status, text.encode(errors="backslashreplace"), (JSON_TYPE,))


def sentence(status: str, code: int = 200) -> Answer:
    """The success body of management calls."""
    return as_json({"status": status}, code)


def failure(error: DemlopmentError) -> Answer:
    """The error triple: RequestError says its own status, NotReadyError is 503, and the rest is our fault."""
    if isinstance(error, RequestError):
        if error.status == 413:
            return Answer(413, b"", bare=True)
        status, kind = error.status, error.kind
    elif isinstance(error, NotReadyError):
        status, kind = 503, "ServiceUnavailableException"
    else:
        status, kind = 500, "InternalServerException"
    return as_json({"code": status, "type": kind, "message": str(error)}, status)


def not_found() -> RequestError:
    return RequestError(
        "Requested resource is not found, please refer to API document.", status=404, kind="ResourceNotFoundException"
    )


def not_allowed() -> RequestError:
    return RequestError(
        "Requested method is not allowed, please refer to API document.", status=405, kind="MethodNotAllowedException"
    )


def segments(path: str) -> list[str]:
    """The parts of a path as Java's `split("/")` gives them: a trailing slash is nothing, a double one is an empty part."""
    parts = path.split("/")
    while parts and not parts[-1]:
        parts.pop()
    return parts[1:]


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The caller's own if it is valid, otherwise a fresh one."""
    given = headers.get(b"x-request-id")
    return given.decode() if given and REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


async def body(receive: Receive, limit: int) -> bytes:
    """The whole body. Raises RequestError 413 when it is longer than `limit` bytes."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    chunk: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return chunk if len(chunk) <= limit else _too_large(limit)
    return await _rest(receive, chunk, limit)


async def reply(send: Send, scope: Scope, answer: Answer, answer_id: str, *, closing: bool = False) -> None:
    """Send `answer` with the headers that every response of TorchServe carries; an error ends the connection."""
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    if not answer.bare:
        headers += ((b"x-request-id", answer_id.encode()), *ALWAYS)
    if closing or answer.status >= 400:
        headers.append((b"connection", b"close"))
    elif scope["http_version"] == "1.1" and not _asks_to_close(scope["headers"]):
        headers.append((b"connection", b"keep-alive"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _rest(receive: Receive, first: bytes, limit: int) -> bytes:
    chunks, size = [first], len(first)
    more = True
    while more and size <= limit * DISCARDED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks) if size <= limit else _too_large(limit)


def _too_large(limit: int) -> bytes:
    raise RequestError(f"The body is longer than {limit} bytes.", status=413)


def _asks_to_close(headers: Headers) -> bool:
    return any(name == b"connection" and b"close" in value.lower() for name, value in headers)
