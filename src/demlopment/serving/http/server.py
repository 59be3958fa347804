"""An ASGI app on a socket that we own, stopped without losing a request. Knows connections; knows no path.

It accepts by itself: an asyncio server takes whatever comes, and beyond the limit connections should wait in the kernel's
queue, where the next life of this process would find them.
"""

import asyncio
import logging
import socket
import ssl

from demlopment.serving.http.heads import Heads
from demlopment.serving.http.limits import Budget, Limits
from demlopment.serving.http.protocol import HttpConnection
from demlopment.serving.http.wire import App, Direct

LINGER_SECONDS = 0.3  # a client that was answered a moment ago may be sending its next request already
LOOK_SECONDS = 0.5  # between two looks for connections whose time is up; the shortest limit that makes sense is longer
AT_ONCE = 64  # connections accepted before those that are open get their turn

log = logging.getLogger(__name__)


class Server:
    """Answers with `app` on `listener` between `start` and `drain`, within `limits`; in TLS if there is a `context`."""

    def __init__(
        self,
        app: App,
        listener: socket.socket,
        *,
        direct: Direct | None = None,
        limits: Limits | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._app, self._listener, self._direct = app, listener, direct
        self._limits = limits or Limits()
        self._budget = Budget(self._limits.held_bytes)
        self._heads = Heads()
        self._context = context
        self._connections: set[HttpConnection] = set()
        self._greetings: set[asyncio.Task[None]] = set()  # of connections that are being set up
        self._started = self._listening = False
        self._exhausted = False  # the system gave us no descriptor for the last one
        self._watch: asyncio.Task[None] | None = None

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    @property
    def in_hand(self) -> int:
        """On how many of them something is being received or answered."""
        return sum(each.busy for each in self._connections)

    async def start(self) -> None:
        """Accept connections from now on."""
        self._listener.setblocking(False)  # noqa: FBT003  (the standard library's own signature)
        self._watch = asyncio.create_task(self._look())
        self._started = True
        self._listen_if_there_is_room()

    async def drain(self) -> None:
        """Take no new connection, answer everything that was asked, then close. The app says so in its answers meanwhile."""
        if self._started:
            self._started = False
            self._listen_if_there_is_room()
            while self._take():
                pass
        # At once: what the kernel completes between the last look and this is reset, so nothing is waited for here.
        self._listener.close()
        if self._greetings:
            await asyncio.wait(self._greetings, timeout=LINGER_SECONDS)
        await self._until_idle(LINGER_SECONDS)
        for connection in list(self._connections):
            connection.shutdown()
        await self._until_idle(self._limits.finish_seconds)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})

    def _listen_if_there_is_room(self) -> None:
        wanted = self._started and not self._exhausted and (not self._full or self._idle() is not None)
        if wanted and not self._listening:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)
        elif self._listening and not wanted:
            asyncio.get_running_loop().remove_reader(self._listener)
        self._listening = wanted

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            idle = self._idle() if self._full else None
            if (self._full and idle is None) or not self._take():
                break
            if idle is not None:
                idle.shutdown()
                self._connections.discard(idle)  # its end is only being said
        self._listen_if_there_is_room()

    @property
    def _full(self) -> bool:
        return len(self._connections) >= self._limits.connections

    def _idle(self) -> HttpConnection | None:
        """The connection that has been idle for longest, if for long enough to make room for another."""
        now = asyncio.get_running_loop().time()
        longest = max(self._connections, key=lambda each: each.idle(now), default=None)
        return longest if longest is not None and longest.idle(now) >= self._limits.evict_seconds else None

    def _take(self) -> bool:
        """Accept one connection, which would be reset if the socket closed before; False if there is none to be had."""
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as error:
            log.warning("No connection can be accepted just now: %s", error)
            self._exhausted = True
            return False
        connection = HttpConnection(self._app, self._limits, self._gone, self._direct, self._budget, self._heads)
        self._connections.add(connection)
        greeting = asyncio.create_task(self._greet(accepted, connection))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)
        return True

    async def _greet(self, accepted: socket.socket, connection: HttpConnection) -> None:
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does this for its own sockets only
        patience = self._limits.header_seconds if self._context else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, accepted, ssl=self._context, ssl_handshake_timeout=patience
            )
        except OSError:  # it has gone already, or speaks no TLS that we do
            accepted.close()
            self._gone(connection)

    def _gone(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        self._listen_if_there_is_room()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = loop.time()
            for connection in [each for each in self._connections if each.deadline < now]:
                connection.expire(now)
            self._exhausted = False
            self._listen_if_there_is_room()

    async def _until_idle(self, seconds: float) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while self._connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
