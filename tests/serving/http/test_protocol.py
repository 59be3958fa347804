import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from demlopment.serving.addresses import listen
from demlopment.serving.http import wire
from demlopment.serving.http.server import Server
from demlopment.serving.http.wire import Answer, App, Receive, Scope, Send

GET = b"GET / HTTP/1.1\r\n\r\n"
Outcome = TypeVar("Outcome")
SECONDS = 20  # a deadline for what must happen at once


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await wire.body(receive, 10_000_000, {})
    await wire.reply(send, Answer(200, f"<{scope['method']} {scope['path']} {len(body)}>".encode()), "id")


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "phrase": b"Here it comes", "headers": [(b"a", b"b")]})
    for part in (b"one ", b"two ", b""):
        await send({"type": "http.response.body", "body": part, "more_body": bool(part)})


def served(app: App, scenario: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Outcome]]) -> Outcome:
    """What `scenario` returns of a connection to a server of `app`, which is stopped afterwards."""

    async def run() -> Outcome:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(app, listener)
        await server.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        try:
            return await asyncio.wait_for(scenario(reader, writer), SECONDS)
        finally:
            writer.close()
            await server.drain()

    return asyncio.run(run())


def said(app: App, *pieces: bytes) -> bytes:
    """Everything that comes back to a client that sends `pieces` and then shuts its half of the connection."""

    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
        return await reader.read()

    return served(app, scenario)


def answers(received: bytes) -> list[bytes]:
    """The bodies of echoed answers, which alone hold angle brackets."""
    return [part.split(b">")[0] for part in received.split(b"<")[1:]]


def test_pipelined_requests_are_answered_in_their_order() -> None:
    first_may_go = asyncio.Event()

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/first":
            await first_may_go.wait()
        else:
            first_may_go.set()  # never, if the second one waits for the first to be answered
        await echo(scope, receive, send)

    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST /first HTTP/1.1\r\nContent-Length: 2\r\n\r\nabGET /second HTTP/1.1\r\n\r\nGET /third HTTP/1.1\r\n")
        await asyncio.sleep(0)
        first_may_go.set()
        writer.write(b"Connection: close\r\n\r\nGET /ignored HTTP/1.1\r\n\r\n")
        return await reader.read()

    received = served(door, scenario)

    assert answers(received) == [b"POST /first 2", b"GET /second 0", b"GET /third 0"]
    assert received.count(b"connection: close") == 1


def test_an_answer_to_head_is_that_to_get_without_its_body() -> None:
    received = said(echo, b"HEAD /ping HTTP/1.1\r\n\r\n", GET)

    head, _, rest = received.partition(b"\r\n\r\n")
    assert b"content-length: 14" in head
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_waits_for_permission_to_send_gets_it() -> None:
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, bytes]:
        writer.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        permission = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"abc")
        return permission, await reader.readuntil(b">")

    permission, answer = served(echo, scenario)

    assert permission == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answers(answer) == [b"POST / 3"]


def test_permission_is_not_given_when_the_body_is_there_already() -> None:
    received = said(echo, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")

    assert received.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("framing", [b"Content-Length: 5000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_large_body_arrives_whole(framing: bytes) -> None:
    body = bytes(5_000_000) if b"Length" in framing else b"4c4b40\r\n" + bytes(5_000_000) + b"\r\n0\r\n\r\n"

    received = said(echo, b"POST / HTTP/1.1\r\n" + framing, body)

    assert answers(received) == [b"POST / 5000000"]


def test_an_answer_of_unknown_length_is_sent_in_chunks() -> None:
    received = said(stream, GET)

    head, _, body = received.partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 Here it comes\r\na: b\r\ntransfer-encoding: chunked\r\nconnection: keep-alive"
    assert body == b"4\r\none \r\n4\r\ntwo \r\n0\r\n\r\n"


def test_a_client_of_http_1_0_gets_no_chunks_and_the_end_of_the_connection() -> None:
    received = said(stream, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

    assert received == b"HTTP/1.1 200 Here it comes\r\na: b\r\nconnection: close\r\n\r\none two "


def test_a_client_that_hangs_up_is_not_waited_for() -> None:
    heard: list[str] = []

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            heard.append(f"{message['body']!r}")
        heard.append("gone")
        await send({"type": "http.response.start", "status": 200, "headers": []})  # to nobody

    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nhalf")
        while not heard:
            await asyncio.sleep(0)
        writer.transport.abort()
        while len(heard) < 2:
            await asyncio.sleep(0)

    served(listening, scenario)

    assert heard == ["b'half'", "gone"]


def test_an_app_that_waits_for_a_body_is_not_woken_for_each_packet() -> None:
    parts: list[int] = []

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            parts.append(len(message["body"]))
            more = message["more_body"]
        await wire.reply(send, Answer(200, b"<ok>"), "id")

    received = said(counting, b"POST / HTTP/1.1\r\nContent-Length: 900000\r\n\r\n", *([b"x" * 30_000] * 30))

    assert answers(received) == [b"ok"]
    assert sum(parts) == 900_000
    assert len(parts) <= 3  # what came before it waited, and the rest


@pytest.mark.parametrize("nonsense", [b"\x00\xff" * 50, b"GET / HTTP/1.1\r\nA : b\r\n\r\n", b"BREW / HTCPCP/1.0\r\n\r\n"])
def test_nonsense_is_answered_like_every_other_error_behind_what_was_asked_before(nonsense: bytes) -> None:
    received = said(echo, GET + nonsense)

    first, _, second = received.partition(b">")
    head, _, body = second.partition(b"\r\n\r\n")
    assert answers(first + b">") == [b"GET / 0"]
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"connection: close" in head
    assert list(json.loads(body)) == ["code", "type", "message"]


def test_a_body_that_breaks_off_into_nonsense_is_refused_instead_of_its_request() -> None:
    received = said(echo, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"zz\r\n")

    assert received.startswith(b"HTTP/1.1 400 Bad Request")
    assert received.count(b"x-request-id") == 1


def test_a_refused_client_that_is_still_sending_reads_its_refusal() -> None:
    async def scenario(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/9.9\r\n")
        for _ in range(100):
            writer.write(bytes(100_000))
            await writer.drain()
        return await reader.read()

    assert served(echo, scenario).startswith(b"HTTP/1.1 400 Bad Request")


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError


async def forgets(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


async def splits(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\n\r\nHTTP/1.1 200 OK")]})


async def exaggerates(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"12"})


@pytest.mark.parametrize("app", [fails, forgets, splits, exaggerates])
def test_an_app_that_does_not_answer_properly_is_our_fault(app: App) -> None:
    received = said(app, GET)

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 Internal Server Error")
    assert json.loads(body)["type"] == "InternalServerException"


def test_half_an_answer_does_not_look_whole() -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    received = said(breaks, GET)

    assert received.endswith(b"4\r\nhalf\r\n"), "the last chunk is missing, so a client knows"


def test_an_early_answer_ends_the_connection_only_if_it_says_so() -> None:
    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        await wire.reply(send, Answer(200 if scope["path"] == "/" else 404, b"<early>"), "id")

    request = b" HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    kept = said(hasty, b"POST /" + request, GET)
    ended = said(hasty, b"POST /other" + request, GET)

    assert answers(kept) == [b"early"] * 2
    assert answers(ended) == [b"early"]
