"""An ASGI app on a socket that we own, stopped without losing a request. Knows uvicorn's protocol; knows no path.

uvicorn's own Server would take the signals, poll ten times a second and close busy keep-alive connections; its HTTP
protocol is all that is needed.
"""

import asyncio
import socket

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from demlopment.serving.wire import App

KEEP_ALIVE_SECONDS = 75  # longer than the pools of usual clients keep an idle connection, so that they close first
LINGER_SECONDS = 0.3  # a client that was answered a moment ago may be sending its next request already
FINISH_SECONDS = 10.0  # a request that is still not answered then never will be


class Server:
    """Answers with `app` on `listener` between `start` and `drain`."""

    def __init__(self, app: App, listener: socket.socket) -> None:
        self._listener = listener
        self._connections = ServerState()
        self._config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, sock=self._listener.dup(), backlog=self._config.backlog)

    async def drain(self) -> None:
        """Take no new connection, answer everything that was asked, then close. The app says so in its answers meanwhile."""
        if self._server is not None:
            self._server.close()
            await self._accept_the_last()
        self._listener.close()
        await self._until_idle(LINGER_SECONDS)
        for connection in list(self._connections.connections):
            connection.shutdown()
        await self._until_idle(FINISH_SECONDS)

    def _protocol(self) -> asyncio.Protocol:
        return HttpToolsProtocol(self._config, self._connections, {})

    async def _accept_the_last(self) -> None:
        """Connections that the kernel has completed and nobody has accepted would be reset when the socket closes."""
        self._listener.settimeout(0)
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    async def _until_idle(self, seconds: float) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while self._connections.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
