from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import RequestError
from demlopment.serving.http.heads import Heads
from demlopment.serving.http.parsing import Parsing
from demlopment.serving.http.wire import Scope

LIMIT = 1024
PIPELINE = (
    b"POST /predictions/a%20b?x=1 HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nX-Unit-Id: \xfc\r\n\r\nfirst"
    b"GET /ping HTTP/1.1\r\n\r\n"
    b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
    b"POST /upgraded HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nkept"
    b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
)


@dataclass
class Requests:
    """A reader that remembers everything it was told."""

    scopes: list[Scope] = field(default_factory=list)
    flags: list[tuple[bool, bool]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    whole: int = 0

    def asked(self, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        self.scopes.append(scope)
        self.flags.append((keep_alive, expects_continue))
        self.bodies.append(b"")

    def came(self, chunk: bytes) -> None:
        self.bodies[-1] += chunk

    def ended(self) -> None:
        self.whole += 1


def read(*pieces: bytes, limit: int = LIMIT) -> Requests:
    requests = Requests()
    parsing = Parsing(requests, limit, Heads())
    for piece in pieces:
        parsing.feed(piece)
    return requests


def padded(size: int) -> bytes:
    """A request whose target and headers take `size` bytes, as the limit counts them."""
    start, end = b"GET / HTTP/1.1\r\nA: ", b"\r\n\r\n"
    return start + b"b" * (size - len(b"/") - len(b"A: \r\n")) + end


@given(cuts=st.lists(st.integers(0, len(PIPELINE)), max_size=12))
def test_requests_do_not_depend_on_how_their_bytes_arrive(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(PIPELINE)]
    pieces = [PIPELINE[a:b] for a, b in pairwise(edges)]

    requests = read(*pieces)

    assert [scope["path"] for scope in requests.scopes] == ["/predictions/a b", "/ping", "/c", "/upgraded", "/last"]
    assert requests.bodies == [b"first", b"", b"abcde", b"kept", b""]
    assert requests.whole == 5
    assert requests.flags == [(True, False), (True, False), (True, True), (True, False), (False, False)]
    assert requests.scopes[0]["headers"] == [(b"host", b"here"), (b"content-length", b"5"), (b"x-unit-id", b"\xfc")]
    assert requests.scopes[0]["query_string"] == b"x=1"


def test_a_trailer_does_not_become_a_header() -> None:
    requests = read(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Bearer x\r\n\r\n")

    assert requests.whole == 1
    assert requests.scopes[0]["headers"] == [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://somewhere:80/ping?a=b", "/ping", b"a=b"),
        (b"http://somewhere", "/", b""),
        (b"*", "*", b""),
        (b"/a#fragment?x", "/a", b""),
        (b"//a/", "//a/", b""),
        (b"/%E4%B8%83/%zz", "/七/%zz", b""),
    ],
)
def test_every_form_of_a_target_has_a_path(target: bytes, path: str, query: bytes) -> None:
    requests = read(b"OPTIONS " + target + b" HTTP/1.1\r\n\r\n")

    (scope,) = requests.scopes
    assert (scope["path"], scope["query_string"]) == (path, query)


@pytest.mark.parametrize(
    "message",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n  folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\nA: b\n\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the first bytes of TLS
    ],
)
def test_what_a_proxy_could_read_otherwise_is_refused(message: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        read(message)

    assert refused.value.status == 400


def test_a_tunnel_is_refused() -> None:
    with pytest.raises(RequestError) as refused:
        read(b"CONNECT elsewhere:80 HTTP/1.1\r\n\r\n")

    assert refused.value.status == 405


@pytest.mark.parametrize("piece", [1, 100, 10_000])
def test_headers_may_take_as_many_bytes_as_the_limit_says(piece: int) -> None:
    fits, exceeds = padded(LIMIT - 20), padded(LIMIT + 1)

    requests = read(*(fits[i : i + piece] for i in range(0, len(fits), piece)))
    with pytest.raises(RequestError) as refused:
        read(*(exceeds[i : i + piece] for i in range(0, len(exceeds), piece)))

    assert requests.whole == 1
    assert refused.value.status == 431


@pytest.mark.parametrize(
    "start", [b"GET /", b"GET / HTTP/1.1\r\n", b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: "]
)
def test_a_header_without_an_end_is_not_collected(start: bytes) -> None:
    piece = b"a: bcde\r\n" if start.endswith(b"1\r\n") else b"abcdefgh"
    below, above = [piece] * (LIMIT // len(piece) - len(start)), [piece] * (LIMIT // len(piece) + 1)

    requests = read(start, *below)
    with pytest.raises(RequestError) as refused:
        read(start, *above)

    assert requests.whole == 0
    assert refused.value.status == 431


def test_a_large_body_is_no_header() -> None:
    requests = read(b"POST / HTTP/1.1\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000, b"GET / HTTP/1.1\r\n\r\n")

    assert requests.whole == 2


def test_thousands_of_declined_upgrades_in_one_read_are_requests_like_others() -> None:
    upgrade = b"GET /up HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

    requests = read(upgrade * 2000 + b"GET /last HTTP/1.1\r\n\r\n")

    assert [scope["path"] for scope in requests.scopes] == ["/up"] * 2000 + ["/last"]


def test_an_older_client_that_asks_for_another_protocol_stays_an_older_client() -> None:
    requests = read(b"GET /up HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")

    assert [scope["http_version"] for scope in requests.scopes] == ["1.0"]
    assert requests.flags == [(False, False)], "it waits for the end of the connection"
