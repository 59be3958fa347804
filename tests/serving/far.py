"""Another server for the tests of the gateway: real sockets and HTTP, which answers by what it is asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# One that is of the connection alone, and what another endpoint of ours would say.
HOPPING = (("Connection", "X-Hop"), ("X-Hop", "1"), ("x-arm", "theirs"), ("x-model-version", "theirs"))


@dataclass
class Far:
    """What it was asked, and how it behaves."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)  # method, target, headers, body
    connections: int = 0
    label: str = "7"
    well: bool = True
    closing: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def setup(self) -> None:
        super().setup()
        self.server.told.connections += 1

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        told, body = self.server.told, self.rfile.read(int(self.headers.get("content-length", 0)))
        told.asked.append((self.command, self.path, dict(self.headers.items()), body))
        if b"slow" in body:
            told.closing.wait(30)
        if self.path == "/ping":
            self.reply(200 if told.well else 500, b'{"status": "Healthy"}')
        elif b"broken" in body:
            self.close_connection = True
        elif b"stream" in body:
            self.stream()
        elif b"sad" in body:
            self.reply(507, b'{"code": 507}', ("Connection", "close"))
        elif "application/json" in self.headers.get("accept", ""):
            said = json.dumps({"label": told.label, "probabilities": {told.label: 1.0}})
            self.reply(200, said.encode(), ("Content-Type", "application/json; charset=utf-8"))
        else:
            self.reply(
                200, told.label.encode(), ("X-Mine", "yes"), ("x-request-id", "theirs"), ("Pragma", "no-cache"), *HOPPING
            )

    do_GET = do_POST = do_PUT = do_HEAD = handle_any  # noqa: N815  (the library's names)

    def reply(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (b"one ", b"two ", b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True

    def __init__(self, port: int, told: Far) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.told = told

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is no error."""


@contextmanager
def far(port: int = 0) -> Iterator[Far]:
    """A server until the end of the block."""
    told = Far()
    with Server(port, told) as server:
        told.url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield told
        finally:
            told.closing.set()
            server.shutdown()
            serving.join()
