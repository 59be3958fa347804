"""The line between the supervisor and one serving process: JSON lines over a socket pair. Knows no command.

The end of the line is a message too: a serving process whose supervisor is gone finishes its requests and leaves.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

Heard = Callable[[dict[str, Any]], None]
Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
MAX_LINE = 64_000_000  # bytes; a state with a thousand versions has 400 kB


class LineClosedError(ConnectionError):
    """The other end is gone, or went before it replied."""


class Line:
    """One end. The supervisor calls `listen` and `ask`; the serving process calls `obey`, and may `tell` what nobody asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._closed = False

    @classmethod
    async def open(cls, end: socket.socket) -> "Line":
        end.settimeout(0)
        return cls(*await asyncio.open_unix_connection(sock=end, limit=MAX_LINE))

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The other end's reply. Raises LineClosedError if none will come."""
        if self._closed:
            raise LineClosedError(command)
        number = next(self._numbers)
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = reply
        try:
            await self._send({"id": number, "command": command, "arguments": arguments})
            return await reply
        finally:
            del self._asked[number]

    def tell(self, event: dict[str, Any]) -> None:
        """Say what the other end did not ask; to one that is gone nothing is said."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._writer.write(json.dumps({"event": event}).encode() + b"\n")

    async def listen(self, heard: Heard) -> None:
        """Hand each reply to whoever asked and every event to `heard`, until the other end closes."""
        while message := await self._receive():
            if "event" in message:
                heard(message["event"])
                continue
            reply = self._asked.get(message["id"])
            if reply is not None and not reply.done():  # nobody waits any more after a time-out
                reply.set_result(message["reply"])
        self._closed = True
        for reply in self._asked.values():
            if not reply.done():
                reply.set_exception(LineClosedError("no reply"))
        self._writer.close()

    async def obey(self, commands: Mapping[str, Command]) -> None:
        """Carry out one command after another, until the other end closes or a command returns with `last` set."""
        while message := await self._receive():
            reply = await commands[message["command"]](message["arguments"])
            try:
                await self._send({"id": message["id"], "reply": reply})
            except LineClosedError:
                return
            if reply.get("last"):
                return

    def close(self) -> None:
        """Hang up: the other end leaves."""
        self._writer.close()

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as gone:  # uvloop says RuntimeError of a transport that is closed
            raise LineClosedError(str(gone)) from gone

    async def _receive(self) -> dict[str, Any] | None:
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        # A line without its end is what a killed process was about to say.
        return json.loads(line) if line.endswith(b"\n") else None
