"""One request on the wire and its answer, nothing added: no redirects, no decoding, no headers that a client makes up."""

import base64
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Literal
from urllib.parse import urlsplit

Port = Literal["inference", "management", "metrics"]
SECONDS = 30  # a busy machine loads a worker in less


@dataclass(frozen=True)
class Ask:
    """One request of the table. `{scope}` in a header is that key of the token file."""

    method: str
    target: str  # path and query, as they stand in the request line
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    port: Port = "inference"
    announced: int | None = None  # a content-length whose body is never sent

    def __str__(self) -> str:
        return f"{self.method} {self.port}:{self.target}"


@dataclass(frozen=True)
class Answer:
    """What came back; `broken` says how the connection ended when it was not an answer."""

    status: int = 0
    phrase: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=())
    body: bytes = b""
    broken: str = ""

    @property
    def text(self) -> str:
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            return "base64:" + base64.b64encode(self.body).decode()


def exchange(url: str, ask: Ask) -> Answer:
    """Send one request on a connection of its own."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=SECONDS)
    try:
        connection.putrequest(ask.method, ask.target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("host", place.netloc)
        for name, value in ask.headers:
            connection.putheader(name, value)
        size = len(ask.body) if ask.announced is None else ask.announced
        if size or ask.method in ("POST", "PUT"):
            connection.putheader("content-length", str(size))
        connection.endheaders(ask.body or None)
        response = connection.getresponse()
        return Answer(response.status, response.reason, tuple(response.getheaders()), response.read())
    except (HTTPException, OSError) as ended:
        return Answer(broken=type(ended).__name__)
    finally:
        connection.close()
