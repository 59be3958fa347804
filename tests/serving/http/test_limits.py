import asyncio
import json
from pathlib import Path

import pytest

from demlopment.home import Home
from demlopment.serving.addresses import listen
from demlopment.serving.http import wire
from demlopment.serving.http.limits import Limits
from demlopment.serving.http.server import Server
from demlopment.serving.http.wire import Answer, Receive, Scope, Send
from demlopment.serving.launch import Launch
from demlopment.settings import Endpoint

SECONDS = 20  # a deadline for what must happen at once
SOON = 0.05  # seconds; the limit of a test that waits for it to pass
GET = b"GET / HTTP/1.1\r\n\r\n"


async def yes(scope: Scope, receive: Receive, send: Send) -> None:
    await wire.body(receive, 1000, {})
    await wire.reply(send, scope, Answer(200, b"yes"), "id")


async def much(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})


def received_after(sent: bytes, limits: Limits) -> bytes:
    """Everything that comes back to a client that sends that much and then waits."""

    async def run() -> bytes:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(yes, listener, limits=limits)
        await server.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), SECONDS)
        finally:
            writer.close()
            await server.drain()

    return asyncio.run(run())


def test_the_limits_are_those_of_the_settings() -> None:
    settings = Endpoint(max_header_bytes=2000, header_seconds=3, body_seconds=4, max_connections=5)

    limits = Limits.of(Launch.of(Home(Path("anywhere")), settings))

    assert limits == Limits(header_bytes=2000, header_seconds=3, body_seconds=4, connections=5)


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        (b"GET / HT", Limits(header_seconds=SOON)),
        (GET + b"GET / HT", Limits(header_seconds=SOON)),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", Limits(body_seconds=SOON)),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", Limits(body_seconds=SOON)),
    ],
)
def test_a_client_that_is_too_slow_is_told_so(sent: bytes, limits: Limits) -> None:
    received = received_after(sent, limits)

    head, _, body = received.rpartition(b"\r\n\r\n")
    assert b"HTTP/1.1 408 Request Timeout\r\n" in head
    assert received.count(b"HTTP/1.1 200") == sent.count(GET)
    assert json.loads(body) | {"message": ""} == {"code": 408, "type": "RequestTimeoutException", "message": ""}


def test_headers_that_are_too_long_are_refused() -> None:
    received = received_after(b"GET / HTTP/1.1\r\nA: " + bytes(2000).replace(b"\0", b"a"), Limits(header_bytes=1024))

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large")
    assert json.loads(body)["code"] == 431


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n", GET])
def test_an_idle_connection_is_closed_without_a_word(sent: bytes) -> None:
    received = received_after(sent, Limits(idle_seconds=SOON))

    assert received.count(b"HTTP/1.1") == sent.count(GET)


def test_connections_beyond_the_limit_wait_and_are_answered_in_the_end() -> None:
    async def scenario() -> tuple[list[int], int]:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(yes, listener, limits=Limits(connections=2))
        await server.start()
        address = listener.getsockname()[:2]
        clients = [await asyncio.open_connection(*address) for _ in range(7)]
        for _, writer in clients:
            writer.write(GET)
        asking = [asyncio.ensure_future(reader.readuntil(b"yes")) for reader, _ in clients]
        seen = []
        for turn in range(0, 6, 2):
            await asyncio.wait_for(asyncio.gather(*asking[turn : turn + 2]), SECONDS)
            await asyncio.wait(asking, timeout=SOON)  # for one that should not be answered yet
            seen.append(sum(each.done() for each in asking))
            for _, writer in clients[turn : turn + 2]:
                writer.close()
        last = await asyncio.wait_for(asking[6], SECONDS)
        clients[6][1].close()
        await server.drain()
        return seen, len(last)

    seen, last = asyncio.run(scenario())

    assert seen == [2, 4, 6]
    assert last > 0


def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async def scenario() -> bytes:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(much, listener, limits=Limits(body_seconds=SOON))
        await server.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2], limit=1)
        writer.write(GET)
        start = await reader.readexactly(15)  # the reader stops reading when it holds more than twice its limit
        await asyncio.wait_for(server.drain(), SECONDS)
        writer.close()
        return start

    assert asyncio.run(scenario()) == b"HTTP/1.1 200 OK"
