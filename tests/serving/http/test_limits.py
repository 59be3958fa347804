import asyncio
import json
import math
from pathlib import Path

import pytest

from demlopment.home import Home
from demlopment.serving.addresses import listen
from demlopment.serving.http import wire
from demlopment.serving.http.limits import Limits
from demlopment.serving.http.protocol import MAX_WAITING
from demlopment.serving.http.server import Server
from demlopment.serving.http.wire import Answer, Receive, Scope, Send
from demlopment.serving.launch import Launch
from demlopment.settings import Endpoint

SECONDS = 20  # a deadline for what must happen at once
SOON = 0.05  # seconds; the limit of a test that waits for it to pass
GET = b"GET / HTTP/1.1\r\n\r\n"


async def yes(scope: Scope, receive: Receive, send: Send) -> None:
    await wire.body(receive, 1000, {})
    await wire.reply(send, Answer(200, b"yes"), "id")


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
    settings = Endpoint(
        max_header_bytes=2000, header_seconds=3, body_seconds=4, max_connections=5, unregister_timeout=6, max_held_mb=7
    )

    limits = Limits.of(Launch.of(Home(Path("anywhere")), settings))

    assert limits == Limits(
        header_bytes=2000, header_seconds=3, body_seconds=4, connections=5, finish_seconds=6, held_bytes=7e6
    )


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
        server = Server(yes, listener, limits=Limits(connections=2, evict_seconds=math.inf))
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


def test_idle_connections_make_room_for_a_new_one_the_longest_idle_first() -> None:
    async def scenario() -> tuple[bytes, bytes, bytes]:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(yes, listener, limits=Limits(connections=2, evict_seconds=0))
        await server.start()
        address = listener.getsockname()[:2]
        (oldest, old_writer), (other, other_writer) = [await asyncio.open_connection(*address) for _ in range(2)]
        for reader, writer in ((other, other_writer), (oldest, old_writer), (other, other_writer)):
            writer.write(GET)
            await asyncio.wait_for(reader.readuntil(b"yes"), SECONDS)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        answer = await asyncio.wait_for(reader.readuntil(b"yes"), SECONDS)
        evicted = await asyncio.wait_for(oldest.read(), SECONDS)
        other_writer.write(GET)
        kept = await asyncio.wait_for(other.readuntil(b"yes"), SECONDS)
        for each in (old_writer, other_writer, writer):
            each.close()
        await server.drain()
        return answer, evicted, kept

    answer, evicted, kept = asyncio.run(scenario())

    assert answer.startswith(b"HTTP/1.1 200")
    assert evicted == b""
    assert kept.startswith(b"HTTP/1.1 200")


def test_a_body_that_comes_in_parts_is_refused_while_the_others_hold_as_much_as_they_may() -> None:
    async def scenario() -> tuple[bytes, bytes]:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(yes, listener, limits=Limits(held_bytes=100))
        await server.start()
        address = listener.getsockname()[:2]
        answers = []
        holding, held = await asyncio.open_connection(*address)
        held.write(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n" + bytes(99))
        await held.drain()
        for turn in range(2):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"POST / HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n")
            await asyncio.wait_for(reader.readuntil(b"100 Continue\r\n\r\n"), SECONDS)
            writer.write(b"a" * 10)
            await asyncio.sleep(SOON)  # so that they are two reads
            writer.write(b"b" * 10)
            answers.append(await asyncio.wait_for(reader.read(), SECONDS))
            writer.close()
            if turn == 0:  # what was held is let go with its answer
                held.write(b"!")
                await asyncio.wait_for(holding.readuntil(b"yes"), SECONDS)
        held.close()
        await server.drain()
        return answers[0], answers[1]

    refused, answered = asyncio.run(scenario())

    assert refused.startswith(b"HTTP/1.1 503 Service Unavailable")
    assert b"holds as many bytes" in refused
    assert answered.startswith(b"HTTP/1.1 200 OK")


def test_more_pipelined_requests_than_may_wait_are_refused_behind_the_answers_to_the_others() -> None:
    received = received_after(GET * (MAX_WAITING + 50), Limits())

    assert received.count(b"HTTP/1.1 200 OK") == MAX_WAITING + 1, "one is answered while the others wait"
    assert received.count(b"HTTP/1.1 503 Service Unavailable") == 1
    assert b"Send the next when the first is answered." in received


def test_answers_that_nobody_reads_stop_the_next_request() -> None:
    begun = 0

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal begun
        begun += 1
        await wire.body(receive, 1000, {})
        await wire.reply(send, Answer(200, bytes(10_000_000)), "id")

    async def scenario() -> None:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(large, listener, limits=Limits(body_seconds=SOON))
        await server.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2], limit=1)
        writer.write(GET * 100)
        await reader.readexactly(15)
        await asyncio.wait_for(server.drain(), SECONDS)  # it is cut off
        writer.close()

    asyncio.run(scenario())

    assert begun == 1
