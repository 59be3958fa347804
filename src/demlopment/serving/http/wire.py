"""What TorchServe's clients expect on the wire, on all three ports. Knows HTTP and ASGI; knows no model and no state."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from demlopment.errors import DemlopmentError, NotReadyError, RequestError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]
T = TypeVar("T")

REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")  # visible ASCII, so it can go into any header, log or table
JSON_TYPE = (b"content-type", b"application/json")
ALWAYS: Headers = (
    (b"pragma", b"no-cache"),
    (b"cache-control", b"no-cache; no-store, must-revalidate, private"),
    (b"expires", b"Thu, 01 Jan 1970 00:00:00 UTC"),
)
BODILESS = (204, 304)  # what these say of a length would be read as that of a body, which never comes
# Of a body that is too large this much is still read, so that a client finishes sending and sees the 413 instead of a reset.
DISCARDED = 16


class ClientGoneError(Exception):
    """The client hung up before its request was whole: there is nobody to answer."""


@dataclass(slots=True, eq=False)
class Request:
    """One request whose body has been read."""

    method: str
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    id: str
    receive: Receive  # from now on it only says that the client has hung up
    client: str = ""  # its address


class Whole(Protocol):
    """A request that has arrived, for whoever answers it without running the app."""

    scope: Scope

    @property
    def body(self) -> bytes: ...
    def finish(self, answer: "Answer", answer_id: str, *, closing: bool = False, always: Headers = ()) -> None:
        """Give all of the answer, once, with the headers of `opening`."""
        ...


Direct = Callable[[Whole], bool]  # whether it is going to call `finish`; if not, nothing has happened


class Rest(Protocol):
    """The rest of a stream. Whoever takes it closes it, read or not."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class Answer(NamedTuple):
    """One response; a tuple, because every request makes one."""

    status: int
    body: bytes  # everything, or the first part of a stream
    headers: Headers = ()
    bare: bool = False  # without TorchServe's own headers, as its 413 is
    phrase: bytes | None = None  # instead of the usual one
    rest: Rest | None = None  # of a stream


def as_json(value: Any, status: int = 200) -> Answer:
    """JSON as Gson prints it: two spaces, nothing escaped that need not be, a newline at the end."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # A client's own JSON may hold half a surrogate pair, which an error would quote and UTF-8 cannot.
    return Answer(status, text.encode(errors="backslashreplace"), (JSON_TYPE,))


def compact(value: Any) -> Answer:
    """JSON in one line, for arrays: indented, each number would have a line of its own."""
    return Answer(200, json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace"), (JSON_TYPE,))


def sentence(status: str, code: int = 200) -> Answer:
    """The success body of management calls."""
    return as_json({"status": status}, code)


class NotAllowedError(RequestError):
    """A path that is there, asked with a method that it does not know; `allowed` are those it knows, if they are told."""

    def __init__(self, *allowed: str) -> None:
        words = "Requested method is not allowed, please refer to API document."
        super().__init__(words, status=405, kind="MethodNotAllowedException")
        self.allowed = allowed


def failure(error: DemlopmentError, *, strict: bool = False) -> Answer:
    """The error triple: RequestError says its own status, NotReadyError is 503, and the rest is our fault.

    Unless `strict`, a 405 says which methods are allowed, as RFC 9110 demands and TorchServe does not.
    """
    if isinstance(error, RequestError):
        if error.status == 413:
            return Answer(413, b"", bare=True)
        status, kind = error.status, error.kind
    elif isinstance(error, NotReadyError):
        status, kind = 503, "ServiceUnavailableException"
    else:
        status, kind = 500, "InternalServerException"
    answer = as_json({"code": status, "type": kind, "message": message(error)}, status)
    if strict or not isinstance(error, NotAllowedError) or not error.allowed:
        return answer
    return adding(answer, ((b"allow", ", ".join(error.allowed).encode()),))


def excuse() -> Answer:
    """What a client is told of a bug of ours; its traceback is for the log."""
    return failure(DemlopmentError("The endpoint failed to answer this request.", "Its log says why."))


def message(error: DemlopmentError) -> str:
    """What a client reads; TorchServe's words stand alone, and end in a space where the name behind them is empty."""
    return str(error) if error.remedy else error.problem


def cors(origin: str, methods: str, headers: str) -> Headers:
    """The CORS headers that every response carries when they are configured; nothing for an empty one."""
    names = (b"access-control-allow-origin", b"access-control-allow-methods", b"access-control-allow-headers")
    return tuple(
        (name, value.encode("latin-1")) for name, value in zip(names, (origin, methods, headers), strict=True) if value
    )


def adding(answer: Answer, headers: Headers) -> Answer:
    """The answer with more headers."""
    return answer._replace(headers=(*answer.headers, *headers))


def json_object(body: bytes) -> dict[str, Any]:
    """The object in a body. Raises RequestError if there is none."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as broken:
        raise RequestError(f"The body is not JSON ({broken}).", "Send a JSON object.") from broken
    if not isinstance(values, dict):
        raise RequestError("The body is not a JSON object.", "Send {...}.")
    return values


def not_found() -> RequestError:
    return RequestError(
        "Requested resource is not found, please refer to API document.", status=404, kind="ResourceNotFoundException"
    )


def not_allowed(*allowed: str) -> RequestError:
    return NotAllowedError(*allowed)


def segments(path: str) -> list[str]:
    """The parts of a path as Java's `split("/")` gives them: a trailing slash is nothing, a double one is an empty part."""
    parts = path.split("/")
    while parts and not parts[-1]:
        parts.pop()
    return parts[1:]


def request_id(headers: Mapping[bytes, bytes], *, strict: bool = False) -> str:
    """The caller's own if it is valid, otherwise a fresh one, as always when `strict`."""
    given = None if strict else headers.get(b"x-request-id")
    return given.decode() if given and REQUEST_ID.fullmatch(given) else _fresh_id()


async def body(receive: Receive, limit: int, headers: Mapping[bytes, bytes]) -> bytes:
    """The whole body. Raises RequestError 413 when it is longer than `limit` bytes, at once if its headers say so."""
    announced = headers.get(b"content-length")
    if announced is not None and int(announced) > limit:
        _too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    chunk: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return chunk if len(chunk) <= limit else _too_large(limit)
    return await _rest(receive, chunk, limit)


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. Once a body has been read, the client can only hang up: then `work` is cancelled.

    Raises ClientGoneError in that case, and whatever `work` raises.
    """
    task, leaving = asyncio.current_task(), asyncio.ensure_future(_until_gone(receive))
    assert task is not None, "a coroutine of asyncio runs in a task"
    gone = over = False

    def cancel(_: "asyncio.Task[None]") -> None:
        nonlocal gone
        if not over:
            gone = True
            task.cancel()

    leaving.add_done_callback(cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if gone and not task.uncancel():  # otherwise somebody else cancels us too
            raise ClientGoneError from None
        raise
    finally:
        over = True
        leaving.cancel()


async def reply(send: Send, answer: Answer, answer_id: str, *, closing: bool = False, always: Headers = ()) -> None:
    """Send `answer` as `opening` begins it. Raises what the rest of a stream raises, when half of the answer has left."""
    start = opening(answer, answer_id, closing=closing, always=always)
    if answer.rest is not None:
        await _stream(send, start, answer.body, answer.rest)
        return
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})


def opening(answer: Answer, answer_id: str, *, closing: bool = False, always: Headers = ()) -> Message:
    """The message that starts `answer`, with the headers that every response of TorchServe carries, and with `always`.

    An error ends the connection. Of one that goes on the connection itself tells.
    """
    headers = list(answer.headers)
    if always and not answer.bare:  # a handler or another server may say the same
        said = {name for name, _ in always}
        headers = [each for each in headers if each[0] not in said]
    if answer.rest is None and answer.status not in BODILESS:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    if not answer.bare:
        headers += ((b"x-request-id", answer_id.encode()), *ALWAYS, *always)
    if closing or answer.status >= 400:
        headers.append((b"connection", b"close"))
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": headers}
    if answer.phrase is not None:
        start["phrase"] = answer.phrase
    return start


async def _stream(send: Send, start: Message, first: bytes, rest: Rest) -> None:
    try:
        await send(start)
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for chunk in rest:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await rest.aclose()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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


def _fresh_id() -> str:
    """A version 4 UUID (RFC 9562), made in a third of the time that uuid.uuid4 takes for the object around it."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"


def _too_large(limit: int) -> bytes:
    raise RequestError(f"The body is longer than {limit} bytes.", status=413)
