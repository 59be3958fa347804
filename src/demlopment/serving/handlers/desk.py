"""Where a serving process reaches the handlers: its end of the socket pair. Knows no worker and no model."""

import asyncio
import itertools
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from demlopment.errors import NotReadyError, RequestError
from demlopment.serving.calls import Bytes, Call, RecalledError, Reply
from demlopment.serving.handlers.frames import BrokenFrameError, Frame, Line
from demlopment.serving.handlers.jobs import Stream

WAITING_BYTES = 16 << 20  # of one stream, for a client that reads slower than its handler writes


@dataclass(eq=False)
class Asked:
    """One request on its way: its reply, and the rest of that if it comes in parts."""

    reply: "asyncio.Future[Reply]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    stream: Stream | None = None


class Desk:
    """Implements calls.Handlers. Run `listen` beside it, for as long as requests are asked."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._numbers = itertools.count()
        self._asked: dict[int, Asked] = {}
        self._closed = False

    @classmethod
    async def open(cls, end: socket.socket) -> "Desk":
        return cls(await Line.open(end))

    async def ask(self, model: str, version: str, call: Call) -> Reply:
        """As calls.Handlers, and NotReadyError when the supervisor is gone. A cancelled call cancels its request."""
        if self._closed:
            raise _gone()
        number = next(self._numbers)
        asked = self._asked[number] = Asked()
        header = {
            "number": number,
            "model": model,
            "version": version,
            "id": call.request_id,
            "asked": call.asked,
            "spare": call.spare,
            "headers": dict(call.headers),
            "fields": [(each.name, each.content_type) for each in call.fields],
        }
        try:
            await self._send(header, [each.content for each in call.fields])
            reply = await (asked.reply if call.over is None else self._recallable(number, asked.reply, call.over))
        except asyncio.CancelledError:
            self._forget(number)
            raise
        except BaseException:
            self._asked.pop(number, None)
            raise
        if asked.stream is None:
            self._asked.pop(number, None)
            return reply
        return Reply(reply.status, reply.phrase, reply.headers, reply.body, self._rest(number, asked.stream))

    async def listen(self) -> None:
        """Hand each reply to whoever asked, until the supervisor closes the line."""
        try:
            while (frame := await self._line.receive()) is not None:
                asked = self._asked.get(frame.header["number"])
                if asked is not None:  # nobody waits any more for one that was cancelled
                    self._hand(asked, frame)
        except BrokenFrameError:
            pass  # the same to us: nothing more will come
        finally:
            self.close()

    def close(self) -> None:
        """Hang up: whoever still waits gets NotReadyError."""
        self._closed = True
        self._line.close()
        for asked in self._asked.values():
            if asked.stream is not None:
                asked.stream.cut("the supervisor is gone")
            elif not asked.reply.done():
                asked.reply.set_exception(_gone())

    async def _recallable(self, number: int, reply: "asyncio.Future[Reply]", over: asyncio.Event) -> Reply:
        """When the call is over before its reply is there, the hall is asked to give it back, and does or replies."""
        waiting = asyncio.ensure_future(over.wait())
        both: set[asyncio.Future[Any]] = {reply, waiting}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not reply.done():
                self._line.write({"number": number, "recall": True})
            return await reply
        finally:
            waiting.cancel()

    async def _rest(self, number: int, stream: Stream) -> AsyncGenerator[bytes, None]:
        """Whoever does not read it to its end closes it, which cancels the request."""
        try:
            async for part in stream:
                yield part
        finally:
            self._forget(number)

    def _hand(self, asked: Asked, frame: Frame) -> None:
        header, body = frame.header, bytes(frame.blobs[0])
        if "reply" in header:
            _begin(asked, header["reply"], body)
        elif "problem" in header:
            if not asked.reply.done():
                asked.reply.set_exception(
                    RequestError(header["problem"], header["remedy"], status=header["status"], kind=header["kind"])
                )
        elif "recalled" in header:
            if not asked.reply.done():
                asked.reply.set_exception(RecalledError(broken=header["recalled"] == "broken"))
        elif asked.stream is not None and "part" in header:
            asked.stream.put(body)
        elif asked.stream is not None:
            self._asked.pop(header["number"], None)
            if "cut" in header:
                asked.stream.cut(header["cut"])
            else:
                asked.stream.end()

    def _forget(self, number: int) -> None:
        if self._asked.pop(number, None) is not None and not self._closed:
            self._line.write({"number": number, "cancel": True})

    async def _send(self, header: dict[str, Any], blobs: list[Bytes]) -> None:
        try:
            await self._line.send(header, blobs)
        except ConnectionError as gone:
            raise _gone() from gone


def _begin(asked: Asked, reply: dict[str, Any], body: bytes) -> None:
    if reply["more"]:
        asked.stream = Stream(WAITING_BYTES)
    if not asked.reply.done():
        headers = tuple((name, value) for name, value in reply["headers"])
        asked.reply.set_result(Reply(reply["status"], reply["phrase"], headers, body))


def _gone() -> NotReadyError:
    return NotReadyError("The endpoint is being stopped.", "Send the request again.")
