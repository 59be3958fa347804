import asyncio
import socket

from demlopment.serving.addresses import listen
from demlopment.serving.http import wire
from demlopment.serving.http.limits import Limits
from demlopment.serving.http.server import Server
from demlopment.serving.http.wire import Answer, Receive, Scope, Send

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Door:
    """An app that answers once it is let through, and says with each answer whether it is closing."""

    def __init__(self) -> None:
        self.closing = False
        self.open = asyncio.Event()
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await wire.body(receive, 100, {})
        self.asked += 1
        await self.open.wait()
        await wire.reply(send, Answer(200, b"yes"), "id", closing=self.closing)


async def answer_on(connection: socket.socket) -> bytes:
    """Everything that arrives until the answer is whole; b"" when the other end has closed."""
    loop, received = asyncio.get_running_loop(), b""
    while not received.endswith(b"yes"):
        chunk = await asyncio.wait_for(loop.sock_recv(connection, 4096), 10)
        if not chunk:
            break
        received += chunk
    return received


def connected(listener: socket.socket) -> socket.socket:
    connection = socket.create_connection(listener.getsockname()[:2])
    connection.setblocking(False)  # noqa: FBT003  (the standard library's own signature)
    return connection


def test_connections_that_nobody_has_accepted_yet_are_answered_by_a_server_that_stops() -> None:
    async def scenario() -> list[bytes]:
        door, listener = Door(), listen("127.0.0.1", 0, "inference_port")
        server = Server(door, listener)
        await server.start()
        # The loop does not run between these lines, so the kernel alone has seen the connections.
        connections = [connected(listener) for _ in range(20)]
        for connection in connections:
            connection.send(REQUEST)
        door.closing = True
        door.open.set()
        draining = asyncio.create_task(server.drain())
        answers = [await answer_on(connection) for connection in connections]
        await draining
        for connection in connections:
            connection.close()
        return answers

    answers = asyncio.run(scenario())

    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 20
    assert all(b"connection: close" in answer for answer in answers)


def test_a_request_that_follows_an_answer_is_still_answered_by_a_server_that_stops() -> None:
    async def scenario() -> tuple[bytes, bytes, bytes]:
        door, listener = Door(), listen("127.0.0.1", 0, "inference_port")
        server = Server(door, listener)
        await server.start()
        door.open.set()
        connection = connected(listener)
        connection.send(REQUEST)
        first = await answer_on(connection)
        door.closing = True
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        connection.send(REQUEST)
        second, after = await answer_on(connection), await answer_on(connection)
        await draining
        connection.close()
        return first, second, after

    first, second, after = asyncio.run(scenario())

    assert b"connection: keep-alive" in first
    assert b"connection: close" in second
    assert after == b""


def test_a_slow_answer_is_finished_before_the_server_has_stopped() -> None:
    async def scenario() -> tuple[bool, bytes]:
        door, listener = Door(), listen("127.0.0.1", 0, "inference_port")
        server = Server(door, listener)
        await server.start()
        connection = connected(listener)
        connection.send(REQUEST)
        while not door.asked:
            await asyncio.sleep(0)
        draining = asyncio.create_task(server.drain())
        await asyncio.wait({draining}, timeout=0.5)  # longer than it lingers for idle connections
        early = draining.done()
        door.open.set()
        answer = await answer_on(connection)
        await draining
        connection.close()
        return early, answer

    early, answer = asyncio.run(scenario())

    assert not early
    assert answer.endswith(b"yes")


def test_a_server_that_stops_waits_for_what_is_in_hand_as_long_as_it_may_and_no_longer() -> None:
    async def scenario() -> bool:
        door, listener = Door(), listen("127.0.0.1", 0, "inference_port")
        server = Server(door, listener, limits=Limits(finish_seconds=0.05))
        await server.start()
        connection = connected(listener)
        connection.send(REQUEST)
        while not door.asked:
            await asyncio.sleep(0)
        await asyncio.wait_for(server.drain(), 20)
        connection.close()
        door.open.set()
        return True

    assert asyncio.run(scenario())
