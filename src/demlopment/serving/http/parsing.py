"""Bytes become requests. Knows HTTP/1.1 and its limits; knows neither the connection nor what is asked.

llhttp parses and is strict: two lengths, a folded header, a bare line feed or a space before a colon are errors, so a
proxy in front of us and we read the same requests.
"""

from typing import Protocol
from urllib.parse import unquote

import httptools

from demlopment.errors import RequestError
from demlopment.serving.http import wire
from demlopment.serving.http.heads import MAX_HEAD, Heads, Known
from demlopment.serving.http.wire import Headers, Scope

BETWEEN, HEAD, BODY = range(3)  # what arrives: nothing yet, the headers of a request, its body
STEPS = 3  # of a whole request, through the three
ASGI = {"version": "3.0", "spec_version": "2.3"}


class Reader(Protocol):
    """Whoever is told of requests."""

    def asked(self, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        """The headers of a request are complete."""
        ...

    def came(self, chunk: bytes) -> None:
        """Some of its body."""
        ...

    def ended(self) -> None:
        """All of its body has come."""
        ...


class Parsing:
    """Fed with what arrives on one connection, tells `reader`.

    A request that comes at once and begins as one that was read before passes the parser by: `heads` says what that made of it.
    """

    def __init__(self, reader: Reader, header_bytes: int, heads: Heads) -> None:
        self.phase = BETWEEN
        self.steps = 0  # how often the phase has changed
        self.about: Scope = {}  # what the connection adds to every scope
        self._reader = reader
        self._header_bytes = header_bytes
        self._heads = heads
        self._parser = httptools.HttpRequestParser(self)
        self._ready = True  # the parser has read all that came, and the next byte may begin a request
        self._scope: Scope = {}
        self._keep_alive = False
        self._silent = 0  # bytes since the parser last told us something to keep: it hoards them
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._expects_continue = self._upgrading = False

    def feed(self, data: bytes) -> None:
        """Tell the reader what `data` completes.

        Raises RequestError for what is no request, or has more headers than it may; nothing can be read after that.
        """
        known = self._heads.of(data) if self._ready else None
        if known is not None:
            self._repeat(known, data)
            return
        before = self.steps
        self._ready = False
        self._parse(data)
        self._ready = self.phase is BETWEEN and self._keep_alive and not self._silent
        if self._ready and self.steps == before + STEPS and self._heads.recurs(data):
            self._remember(data)

    def close(self) -> None:
        """Let go of the parser, which holds on to our methods."""
        del self._parser

    # What the parser calls.

    def on_message_begin(self) -> None:
        self.phase, self.steps = HEAD, self.steps + 1
        self._target, self._headers, self._expects_continue = b"", [], False

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase is BODY:
            return  # a trailer: the app has begun with the headers that came before
        name = name.lower()
        if name == b"expect":
            self._expects_continue = value.lower() == b"100-continue"
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._silent > self._header_bytes and _size(self._target, self._headers) > self._header_bytes:
            raise self._too_long()
        self._upgrading = self._parser.should_upgrade()
        if self._upgrading:
            return
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise RequestError(f"Invalid HTTP message (version {version}).", "Send HTTP/1.1.")
        path, query = _path_and_query(self._target)
        self._scope = {
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "path": path.decode("ascii") if b"%" not in path else unquote(path),
            "raw_path": path,
            "query_string": query,
        }
        self._keep_alive = self._parser.should_keep_alive() and version == "1.1"
        self.phase, self.steps, self._silent = BODY, self.steps + 1, 0
        scope = {**self.about, **self._scope, "headers": [*self._headers]}
        self._reader.asked(scope, keep_alive=self._keep_alive, expects_continue=self._expects_continue)

    def on_body(self, chunk: bytes) -> None:
        self._silent = 0
        self._reader.came(chunk)

    def on_message_complete(self) -> None:
        if not self._upgrading:
            self.phase, self.steps, self._silent = BETWEEN, self.steps + 1, 0
            self._reader.ended()

    def _parse(self, data: bytes) -> None:
        self._silent += len(data)
        try:
            while data:  # again for what is behind a declined upgrade
                data = self._fed(data)
        except httptools.HttpParserCallbackError as wrapped:
            # The parser stops at an exception of ours and hands it over as the context of its own.
            raise (wrapped.__context__ or wrapped) from None
        except httptools.HttpParserError as broken:
            raise RequestError(f"Invalid HTTP message ({broken}).", "Send HTTP/1.1.") from broken
        if self._silent > self._header_bytes and self.phase is not BETWEEN:
            raise self._too_long()

    def _repeat(self, known: Known, data: bytes) -> None:
        """Tell what the parser told of a request that began with the same bytes."""
        self.phase, self.steps, self._ready = BODY, self.steps + STEPS, False  # as when the reader refuses it
        scope = {**self.about, **known.scope, "headers": [*known.headers]}
        self._reader.asked(scope, keep_alive=True, expects_continue=False)
        if known.length:
            self._reader.came(data[known.size :])
        self.phase, self._ready = BETWEEN, True
        self._reader.ended()

    def _remember(self, data: bytes) -> None:
        # The limit may count a byte more for a header than it took: half as many bytes are below it, however they arrive.
        if 2 * min(len(data), MAX_HEAD) <= self._header_bytes:
            line = b"%b %b HTTP/1.1\r\n" % (self._parser.get_method(), self._target)
            self._heads.remember(data, line, self._scope, self._headers)

    def _fed(self, data: bytes) -> bytes:
        """What is still to be read once the parser has had `data`."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._declined(data[upgrade.args[0] :])
        return b""

    def _declined(self, rest: bytes) -> bytes:
        """The request once more, as if it had asked for no other protocol, which is how one declines (RFC 9110, 7.8)."""
        method = self._parser.get_method()
        if method == b"CONNECT":
            raise wire.not_allowed()
        lines = [b"%b %b HTTP/%b" % (method, self._target, self._parser.get_http_version().encode())]
        lines += [b"%b: %b" % (name, value) for name, value in self._headers if name != b"upgrade"]
        again = b"\r\n".join((*lines, b"", rest))
        self._parser, self._silent = httptools.HttpRequestParser(self), len(again)
        return again

    def _too_long(self) -> RequestError:
        return RequestError(
            f"The headers are longer than {self._header_bytes} bytes.", "Send fewer or shorter ones.", status=431
        )


def _size(target: bytes, headers: Headers) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)  # a colon, a space and a line end each


def _path_and_query(target: bytes) -> tuple[bytes, bytes]:
    if target.startswith(b"/") or target == b"*":
        path, _, query = target.partition(b"#")[0].partition(b"?")
        return path, query
    try:
        url = httptools.parse_url(target)  # the absolute form, which proxies send
    except httptools.HttpParserInvalidURLError as broken:
        raise RequestError(f"Invalid HTTP message ({broken}).", "Send HTTP/1.1.") from broken
    return url.path or b"/", url.query or b""
