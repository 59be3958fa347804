"""One request and its answer, with the two functions that ASGI gives an app. Knows no path and no parser.

Status line, headers and body leave in one write: two would be two system calls and two packets.
"""

import asyncio
import logging
from typing import Protocol

from demlopment.serving.http import wire
from demlopment.serving.http.head import UNKNOWN, head, mould
from demlopment.serving.http.wire import Answer, App, ClientGoneError, Headers, Message, Scope

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HIGH_WATER = 65_536  # bytes of a body that wait for the app before the client is told to wait
AT_ONCE = 1 << 20  # bytes for which a waiting app is woken before the body is whole: once a packet costs more than the copy

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What an exchange needs of its connection."""

    def write(self, data: bytes) -> None: ...
    async def writable(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def answered(self) -> None: ...
    def returned(self) -> None: ...
    def cut(self) -> None: ...


class Exchange:
    """Fed with the body by its connection, while the app runs once."""

    __slots__ = (
        "_announced",
        "_chunks",
        "_connection",
        "_expects_continue",
        "_head",
        "_size",
        "_started",
        "_status",
        "_told",
        "_wake",
        "app",
        "keep_alive",
        "over",
        "scope",
        "whole",
        "written",
    )

    def __init__(self, app: App, scope: Scope, connection: Connection, *, keep_alive: bool, expects_continue: bool) -> None:
        self.app, self.scope = app, scope
        self.keep_alive = keep_alive
        self.written = False  # some of the answer has left
        self.over = False  # all of the answer has been written, or nobody waits for it any more
        self._connection = connection
        self._expects_continue = expects_continue
        self._chunks: list[bytes] = []
        self._size = 0  # of the chunks together
        self.whole = False  # the body has arrived
        self._told = False  # and the app knows
        self._wake: asyncio.Future[None] | None = None
        self._status = 0
        self._head = b""  # waits for the first part of the body
        self._started = False
        self._announced = UNKNOWN  # bytes that the content-length promises and that have not been sent

    async def run(self) -> None:
        """Call the app. An error that it does not answer itself is a 500, and its traceback is logged."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientGoneError:
            pass
        except Exception:
            log.exception("The request %s %s was not answered", self.scope["method"], self.scope["path"])
        if not self.over:
            await self._excuse()
        self._connection.returned()

    def feed(self, chunk: bytes) -> None:
        """Some of the body has arrived."""
        if self.over:
            return  # answered without waiting for it
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._wake is None:
            if self._size > HIGH_WATER:
                self._connection.pause_reading()
        elif self._size > AT_ONCE:
            self._stir()

    def end(self) -> None:
        """All of the body has arrived."""
        self.whole = True
        self._stir()

    def abandon(self) -> None:
        """The client has hung up, or is answered without the app."""
        self.over = True
        self._stir()

    async def receive(self) -> Message:
        """The next part of the body, or http.disconnect."""
        while not (self.over or self._chunks or (self.whole and not self._told)):
            await self._more()
        if self.over:
            return {"type": "http.disconnect"}
        body = self.body
        self._chunks, self._size = [], 0
        self._told = self.whole
        return {"type": "http.request", "body": body, "more_body": not self.whole}

    async def send(self, message: Message) -> None:
        """Take the next part of the answer; its `phrase` replaces the usual one. Raises ClientGoneError if nobody waits."""
        if self.over:
            raise ClientGoneError
        if message["type"] == "http.response.start":
            self._start(message)
            return
        more: bool = message.get("more_body", False)
        self._continue(message.get("body", b""), more=more)
        if more:
            await self._connection.writable()

    @property
    def body(self) -> bytes:
        """What has arrived of it and was not received yet."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def finish(self, answer: Answer, answer_id: str, *, closing: bool = False, always: Headers = ()) -> None:
        """Answer at once, instead of the app; a client that has gone is no error."""
        try:
            if not self.over:
                self._finish(answer, answer_id, always, closing=closing)
        finally:
            if not self.over:
                self._connection.cut()
            self._connection.returned()

    async def _more(self) -> None:
        if self._expects_continue:
            self._expects_continue = False
            self._connection.write(CONTINUE)
        if not self.whole:
            self._connection.resume_reading()
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake
        self._wake = None

    def _start(self, message: Message) -> None:
        assert not self._started, "an answer starts once"
        self._started = True
        self._status = message["status"]
        self._head, self._announced, self.keep_alive = head(
            self._status,
            message.get("phrase"),
            message["headers"],
            http_1_1=self.scope["http_version"] == "1.1",
            keep_alive=self.keep_alive,
        )

    def _finish(self, answer: Answer, answer_id: str, always: Headers, *, closing: bool) -> None:
        before, after, self.keep_alive = mould(
            answer.status,
            answer.phrase,
            tuple(answer.headers),
            len(answer.body),
            tuple(always),
            bare=answer.bare,
            closing=closing,
            http_1_1=self.scope["http_version"] == "1.1",
            keep_alive=self.keep_alive,
        )
        bodiless = self.scope["method"] == "HEAD" or answer.status in wire.BODILESS
        self.written = self.over = True
        named = b"" if answer.bare else answer_id.encode()
        self._connection.write(b"".join((before, named, after, b"" if bodiless else answer.body)))
        self._connection.answered()

    def _continue(self, body: bytes, *, more: bool) -> None:
        assert self._started, "an answer starts before its body"
        written = self._head + self._framed(body, more=more)
        self._head = b""
        if written:
            self.written = True
            self._connection.write(written)
        if not more:
            self.over = True
            self._connection.answered()

    def _stir(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _framed(self, body: bytes, *, more: bool) -> bytes:
        if self.scope["method"] == "HEAD" or self._status in wire.BODILESS:
            return b""
        if self._announced >= 0:
            self._announced -= len(body)
            if self._announced < 0 or (self._announced and not more):
                raise ValueError("The answer is not as long as its content-length says.")
            return body
        if self.scope["http_version"] != "1.1":
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk if more else chunk + b"0\r\n\r\n"

    async def _excuse(self) -> None:
        if self.written:
            self._connection.cut()  # half an answer cannot be made whole, and must not look whole
            return
        self._started, self._announced, self._head = False, UNKNOWN, b""
        await wire.reply(self.send, wire.excuse(), wire.request_id(dict(self.scope["headers"])))
