"""The beginnings of requests that were read before. Knows their bytes; knows no parser and no connection.

A client that keeps its connection sends the same bytes before every body of one length, and reading them again takes as
long as decoding a small picture.
"""

from typing import NamedTuple

from demlopment.serving.http.wire import Headers, Scope

END = b"\r\n\r\n"
MAX_HEAD = 2048  # bytes: clients send a few hundred, a browser with its cookies more
MAX_HEADS = 512  # a client has one for every length of its pictures; as many of the longest take some 3 MB
MAX_ONCE = 4096  # hashes, some 300 kB: as many other heads may lie between two that are alike
# What frames a body otherwise, or asks for more than an answer.
UNUSUAL = frozenset((b"transfer-encoding", b"upgrade", b"expect"))


class Known(NamedTuple):
    """What the parser made of a head."""

    size: int  # bytes of the head, its empty line included
    length: int  # of the body
    scope: Scope  # but for what the connection adds, and for the headers: an app may change its own
    headers: Headers


class Heads:
    """What was read on all connections of one server; the oldest is forgotten first, and read anew if it comes again."""

    def __init__(self, limit: int = MAX_HEADS) -> None:
        self._limit = limit
        self._known: dict[bytes, Known] = {}
        self._once: set[int] = set()  # hashes of heads that came once and may come again

    def of(self, data: bytes) -> Known | None:
        """The head of the one request that `data` is, and is no more than."""
        known = self._known.get(data[: data.find(END, 0, MAX_HEAD) + len(END)])
        return known if known is not None and len(data) == known.size + known.length else None

    def recurs(self, data: bytes) -> bool:
        """Whether `data` begins as another one did lately: to remember what never comes again costs more than to read it."""
        seen = hash(data[: data.find(END, 0, MAX_HEAD) + len(END)])
        if seen in self._once:
            return True
        if len(self._once) >= MAX_ONCE:
            self._once.clear()
        self._once.add(seen)
        return False

    def remember(self, data: bytes, line: bytes, scope: Scope, headers: Headers) -> None:
        """That `data`, one request which begins with `line` and keeps its connection, was read as this."""
        end, named = data.find(END, 0, MAX_HEAD), dict(headers)
        # Line ends before a request are no part of it, and what follows a request may be the next one.
        if end < 0 or not data.startswith(line) or not UNUSUAL.isdisjoint(named):
            return
        size, length = end + len(END), int(named.get(b"content-length", 0))
        if len(data) == size + length:
            self._known[data[:size]] = Known(size, length, scope, tuple(headers))
            if len(self._known) > self._limit:
                del self._known[next(iter(self._known))]
