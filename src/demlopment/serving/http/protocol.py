"""One connection: its requests are answered in their order and in their time. Knows no path and no header.

uvicorn's protocol stands on the same parser. Most of its methods would have been overridden for the limits, and it spends
15 us more on a request.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import cast

from demlopment.errors import RequestError
from demlopment.serving.http import refusals
from demlopment.serving.http.exchange import Exchange
from demlopment.serving.http.heads import Heads
from demlopment.serving.http.limits import Budget, Limits
from demlopment.serving.http.parsing import ASGI, BETWEEN, BODY, HEAD, Parsing
from demlopment.serving.http.wire import App, Direct, Scope

NEVER = math.inf
MAX_WAITING = 128  # pipelined requests of one connection; clients that pipeline at all send some ten
FAREWELL_SECONDS = 2.0  # a refused client may still be sending: closing on unread bytes would reset the refusal away
NOBODY: Scope = {"http_version": "1.1", "method": "GET", "path": "", "headers": []}  # a request that could not be read


class HttpConnection(asyncio.Protocol):
    """Runs `app` for one request after the other, and calls `closed` once, when it is gone and the last app has returned.

    Without a task a small answer takes a quarter less (docs/lab-notes.md), so `direct` may take a request that is whole.

    `deadline` is when `expire` is due, of the loop's clock: a look at it now and then costs less than a timer a request.
    """

    def __init__(
        self,
        app: App,
        limits: Limits,
        closed: "Callable[[HttpConnection], None]",
        direct: Direct | None = None,
        budget: Budget | None = None,
        heads: Heads | None = None,
    ) -> None:
        self.deadline = NEVER
        self._app, self._limits, self._closed, self._direct = app, limits, closed, direct
        self._loop = asyncio.get_running_loop()
        self._parsing = Parsing(self, limits.header_bytes, heads or Heads())
        self._steps = 0  # of the parsing that `deadline` knows of
        self._transport: asyncio.Transport | None = None
        self._encrypted = False
        self._deaf = False  # whatever arrives from now on is not answered
        self._closing = False  # what is in hand is the last
        self._heard_all = False  # the client has shut its half
        self._reading: Exchange | None = None  # whose body arrives, or arrived last
        self._budget = budget or Budget()
        self._held = 0  # bytes of bodies, as the budget counts them
        self._answering: Exchange | None = None
        self._begun = False  # and the app runs, or `direct` has it
        self._task: asyncio.Task[None] | None = None  # its app
        self._waiting: deque[Exchange] = deque()  # pipelined, until it is their turn
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def busy(self) -> bool:
        """Whether something is being received or answered."""
        return self._parsing.phase is not BETWEEN or self._answering is not None

    def idle(self, now: float) -> float:
        """For how many seconds nothing has been received or answered."""
        return 0.0 if self.busy or self._deaf else now - (self.deadline - self._limits.idle_seconds)

    def shutdown(self) -> None:
        """Answer what has been asked, then close."""
        self._closing = True
        last = self._last()
        if last is not None:
            last.keep_alive = False
        elif not self.busy:
            self._hang_up()

    def expire(self, now: float) -> None:
        """The deadline has passed: refuse a request that arrives too slowly, close an idle connection."""
        if not self._writable.is_set():
            self.cut()
        elif self._parsing.phase is BETWEEN or self._deaf:
            self._hang_up()
        elif self._paused or self._answering not in (None, self._reading):
            self.deadline = now + self._limits.header_seconds  # it is we who are late
        else:
            self._refuse(refusals.too_slow())

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop names no base class
        self._encrypted = transport.get_extra_info("sslcontext") is not None
        here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self._parsing.about = {
            "type": "http",
            "asgi": ASGI,
            "scheme": "https" if self._encrypted else "http",
            "root_path": "",
            "server": here and here[:2],
            "client": there and there[:2],
        }
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self._deaf, self.deadline = None, True, NEVER
        self._waiting.clear()
        self._release()
        self._writable.set()
        self._parsing.close()
        if self._answering is None:
            self._closed(self)
        else:
            self._answering.abandon()

    def eof_received(self) -> bool:
        """A client may shut its half of the connection and still wait for the answer."""
        self._heard_all = True
        last, halfway = self._last(), self._parsing.phase is not BETWEEN and not self._deaf
        if last is None or halfway or self._encrypted:
            return False
        self._deaf, last.keep_alive = True, False
        return True

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        wrong = None
        try:
            self._parsing.feed(data)
        except RequestError as error:
            wrong = error
        if self._answering is not None and not self._begun:  # the rest of its body is still to come
            self._begin(self._answering)
        if wrong is not None:
            if not self._deaf:  # behind the last request nothing is read, so nothing is wrong
                self._refuse(wrong)
            return
        if self._steps != self._parsing.steps:
            self._steps = self._parsing.steps
            if self._parsing.phase is not BETWEEN:
                limit = self._limits.header_seconds if self._parsing.phase is HEAD else self._limits.body_seconds
                self.deadline = self._loop.time() + limit

    def pause_writing(self) -> None:
        self._writable.clear()
        self.pause_reading()  # who does not read may not ask
        self.deadline = self._loop.time() + self._limits.body_seconds

    def resume_writing(self) -> None:
        self._writable.set()
        if not self._waiting:
            self.resume_reading()
        elif self._answering is None:
            self._begin(self._waiting.popleft())
        self._rest()

    # What the parsing calls.

    def asked(self, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        if self._deaf:
            return
        keep_alive = keep_alive and not self._closing
        self._reading = Exchange(self._app, scope, self, keep_alive=keep_alive, expects_continue=expects_continue)
        if self._answering is None:
            self._answering, self._begun = self._reading, False
        else:
            self._waiting.append(self._reading)
            self.pause_reading()
            if len(self._waiting) > MAX_WAITING:
                raise refusals.too_many(MAX_WAITING)

    def came(self, chunk: bytes) -> None:
        if self._reading is None or self._deaf:
            return
        self._held += len(chunk)
        self._budget.held += len(chunk)
        if self._budget.held > self._budget.limit and self._held > len(chunk):  # what came at once costs nobody a wait
            raise refusals.too_much()
        self._reading.feed(chunk)

    def ended(self) -> None:
        self.deadline = NEVER
        if self._reading is not None and not self._deaf:
            self._reading.end()
            self._deaf = not self._reading.keep_alive
            if self._answering is self._reading and not self._begun:
                self._begin(self._reading)
        self._rest()

    # What an exchange calls.

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def writable(self) -> None:
        """Wait for a client that reads more slowly than we write."""
        await self._writable.wait()

    def pause_reading(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and self._transport is not None and self._writable.is_set():
            self._paused = False
            self._transport.resume_reading()

    def answered(self) -> None:
        if self._answering is not None and not self._answering.keep_alive:
            self._part()

    def returned(self) -> None:
        self._answering = self._task = None
        if not self._waiting:
            self._release()
        if self._transport is None:
            self._closed(self)
        elif not self._waiting:
            self.resume_reading()
            self._rest()
        elif self._writable.is_set():  # a client that does not read its answers gets no further ones
            self._begin(self._waiting.popleft())

    def cut(self) -> None:
        """Give the connection up: what was sent cannot be made whole, or nobody takes it."""
        if self._transport is not None:
            self._transport.abort()

    # What all of them need.

    def _begin(self, exchange: Exchange) -> None:
        self._answering, self._begun = exchange, True
        ours = exchange.app is not self._app  # a refusal
        if ours or self._direct is None or not exchange.whole or not self._direct(exchange):
            self._task = self._loop.create_task(exchange.run())

    def _release(self) -> None:
        self._budget.held -= self._held
        self._held = 0

    def _last(self) -> Exchange | None:
        return self._waiting[-1] if self._waiting else self._answering

    def _rest(self) -> None:
        if not self.busy and not self._deaf:
            self.deadline = self._loop.time() + self._limits.idle_seconds

    def _refuse(self, error: RequestError) -> None:
        """Answer what was asked before, then say what is wrong, and part."""
        self._deaf = True
        broken = self._reading if self._parsing.phase is BODY else None
        if broken is not None and broken.over:  # it has its answer
            self._part()
            return
        if broken is not None and broken.written:
            self.cut()
            return
        if broken is not None and broken is not self._answering:
            self._waiting.pop()
        elif broken is not None:
            broken.abandon()
        refusal = Exchange(refusals.saying(error), NOBODY, self, keep_alive=False, expects_continue=False)
        refusal.end()
        if self._answering is None:
            self._begin(refusal)
        else:
            self._waiting.append(refusal)

    def _part(self) -> None:
        """Close after what has been written, without cutting off a client that is still sending."""
        self._deaf = True
        self._waiting.clear()
        self._release()
        if self._transport is None:
            return
        if self._parsing.phase is BETWEEN or self._heard_all or self._encrypted:
            self._transport.close()
        else:
            self._transport.write_eof()
            self.resume_reading()
            self.deadline = self._loop.time() + FAREWELL_SECONDS

    def _hang_up(self) -> None:
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():  # nobody reads it
            self._transport.abort()
        else:
            self._transport.close()
