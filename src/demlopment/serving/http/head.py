"""What an answer begins with on the wire: its status line and its headers. Knows neither a request nor a connection."""

from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer, Headers

PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
NO_ID = "\0"  # stands for the request's id where a beginning is made for many: no id and no header may hold it
UNKNOWN = -1  # length of a body


class Head(NamedTuple):
    """The bytes up to the body, how long that is going to be, and whether the connection goes on behind it."""

    lines: bytes
    length: int
    keep_alive: bool


def head(status: int, phrase: bytes | None, headers: Headers, *, http_1_1: bool, keep_alive: bool) -> Head:
    """The beginning of an answer, with what the protocol adds to its headers.

    phrase       instead of the usual one
    keep_alive   whether the connection may go on, as far as the client and the server are concerned

    Raises ValueError for a header that holds a line break.
    """
    named = dict(headers)
    closes = b"close" in named.get(b"connection", b"").lower()
    length = int(named.get(b"content-length", UNKNOWN))
    lines = [b"HTTP/1.1 %d %b" % (status, PHRASES.get(status, b"") if phrase is None else phrase)]
    lines += [b": ".join(header) for header in headers]
    bodiless = status in wire.BODILESS
    if length < 0 and not bodiless and http_1_1:
        lines.append(b"transfer-encoding: chunked")
    # Without a length or chunks, the end of the connection is the end of the body.
    keep_alive = keep_alive and not closes and (length >= 0 or bodiless or http_1_1)
    if b"connection" not in named:
        lines.append(b"connection: keep-alive" if keep_alive else b"connection: close")
    beginning = b"\r\n".join((*lines, b"", b""))
    # A line break inside a header, which may come from a handler, would let it write an answer of its own.
    if not beginning.count(b"\n") == beginning.count(b"\r") == len(lines) + 1:
        raise ValueError("A header of the answer holds a line break.")
    return Head(beginning, length, keep_alive)


class Mould(NamedTuple):
    """The beginning of all answers that differ in their id and their body alone."""

    before: bytes
    after: bytes
    keep_alive: bool


# Most answers are a label: the same few again and again, while their heads take 4 us each to make.
@lru_cache(maxsize=128)
def mould(
    status: int,
    phrase: bytes | None,
    headers: Headers,
    length: int,
    always: Headers,
    *,
    bare: bool,
    closing: bool,
    http_1_1: bool,
    keep_alive: bool,
) -> Mould:
    """As `wire.opening` begins such an answer, and as `head` writes that. Raises as `head`."""
    start = wire.opening(Answer(status, bytes(length), headers, bare, phrase), NO_ID, closing=closing, always=always)
    whole = head(status, phrase, start["headers"], http_1_1=http_1_1, keep_alive=keep_alive)
    before, _, after = whole.lines.partition(NO_ID.encode())
    return Mould(before, after, whole.keep_alive)
