"""Requests whose heads are remembered are told as the parser tells them: the parser is the oracle."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import RequestError
from demlopment.serving.http.heads import MAX_HEAD, Heads
from demlopment.serving.http.parsing import Parsing
from demlopment.serving.http.wire import Scope

LIMIT = 1024  # bytes of headers
POST = b"POST /predictions/digits?x=1 HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n"
GET = b"GET / HTTP/1.1\r\n\r\n"

METHODS = st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"get", b"CONNECT"])
TARGETS = st.sampled_from([b"/", b"/a%20b?c=d", b"*", b"http://there/e", b"/\xc3\xa4", b"/" + b"l" * LIMIT])
VERSIONS = st.sampled_from([b"1.1"] * 6 + [b"1.0", b"2.0"])
LINES = st.sampled_from(
    [
        *(b"Host: here", b"A:b", b"A: b", b"Long: " + b"l" * 900, b"Bad : x", b" fold"),
        *(b"Connection: close", b"Connection: keep-alive", b"Connection: Upgrade", b"Upgrade: h2c"),
        *(b"Expect: 100-continue", b"Transfer-Encoding: chunked", b"Content-Length: 3"),
    ]
)
BODIES = st.sampled_from([b"", b"12345", GET, POST, POST + b"abcde", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"x" * 3000])
LENGTHS = st.sampled_from([0] * 10 + [-1, 1, 2])  # bytes that the length is wrong by


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Anything that begins like a request, good or bad."""
    body = draw(BODIES)
    lines = [b"%b %b HTTP/%b" % (draw(METHODS), draw(TARGETS), draw(VERSIONS)), *draw(st.lists(LINES, max_size=3))]
    if body or draw(st.booleans()):
        lines.append(b"Content-Length: %d" % (len(body) + draw(LENGTHS)))
    return draw(st.sampled_from([b""] * 10 + [b"\r\n", b"\n", b"\r"])) + b"\r\n".join((*lines, b"", body))


GOOD = [GET, GET.replace(b"GET", b"HEAD"), POST + b"abcde", POST + b"GET /", POST + b"\r\n\r\n!", GET.replace(b"1.1", b"1.0")]
GOOD += [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]


@st.composite
def packets(draw: st.DrawFn) -> list[bytes]:
    """What a client sends: often one request a packet and the same ones again, else cut and joined anywhere."""
    kinds = draw(st.lists(requests(), max_size=2)) + GOOD
    sent = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=12))
    pieces: list[bytes] = []
    for each in sent:
        cut = draw(st.one_of(st.just(0), st.integers(0, len(each))))
        pieces += [piece for piece in (each[:cut], each[cut:]) if piece]
        if draw(st.integers(0, 4)) == 0 and len(pieces) > 1:
            pieces[-2:] = [b"".join(pieces[-2:])]
    return pieces


class Told:
    """A reader that remembers every call, and changes what it was given."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def asked(self, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        self.calls.append(({**scope, "headers": [*scope["headers"]]}, keep_alive, expects_continue))
        scope["headers"].clear()
        scope.clear()

    def came(self, chunk: bytes) -> None:
        self.calls.append(chunk)

    def ended(self) -> None:
        self.calls.append("ended")


def told(pieces: Sequence[bytes], heads: Heads) -> list[object]:
    """All that a connection learns of `pieces`: calls, where each packet ends, and an error, behind which nothing is read."""
    reader = Told()
    parsing = Parsing(reader, LIMIT, heads)
    parsing.about = {"type": "http", "client": ("127.0.0.1", 1)}
    for piece in pieces:
        try:
            parsing.feed(piece)
        except RequestError as refused:
            return [*reader.calls, (refused.status, str(refused), parsing.phase)]
        reader.calls.append((parsing.phase, parsing.steps))
    return reader.calls


@given(st.lists(packets(), min_size=1, max_size=3))
def test_connections_that_share_a_memory_are_told_what_the_parser_says(connections: list[list[bytes]]) -> None:
    shared = Heads()

    for pieces in connections:
        assert told(pieces, shared) == told(pieces, Heads(0))


def read_without_a_parser(pieces: Sequence[bytes], last: bytes, limit: int = 65_536, times: int = 2) -> bool:
    """Whether `last`, sent behind `pieces` on the last of some connections that sent them, needs no parser."""
    heads = Heads()
    for _ in range(times):
        parsing = Parsing(Told(), limit, heads)
        for piece in pieces:
            parsing.feed(piece)
    parsing.close()
    try:
        parsing.feed(last)
    except AttributeError:  # it has been let go of
        return False
    return True


@pytest.mark.parametrize(
    "before", [[POST + b"abcde"], [POST + b"abcde"] * 2, [POST + b"abcde", GET], [POST + b"abcde", b"\r\n" + GET]]
)
def test_a_head_that_was_read_before_is_not_parsed_again(before: list[bytes]) -> None:
    assert read_without_a_parser(before, POST + b"other")


def test_a_head_that_came_once_is_not_remembered_yet() -> None:
    assert not read_without_a_parser([POST + b"abcde"], POST + b"abcde", times=1)


CLOSING = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n!"
UPGRADING = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
LONG = GET.replace(b"\r\n\r\n", b"\r\nA: " + b"b" * MAX_HEAD + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("before", "last"),
    [
        ([], GET),  # never read
        ([GET], GET[:-4] + b" \r\n\r\n"),  # of other bytes
        ([POST + b"abcde"], POST + b"abc"),  # whose body is still to come
        ([POST + b"abcde"], POST + b"abcde" + GET),  # pipelined
        ([POST[:9], POST[9:] + b"abcde"], POST + b"abcde"),  # it came in parts, and was not whole when it was read
        ([POST + b"abcde\r\n"], POST + b"abcde"),  # more came with it
        ([b"\r\n" + GET], b"\r\n" + GET),
        ([GET, b"\r\n"], GET),  # the parser has something in hand
        ([CLOSING], CLOSING),
        ([EXPECTING], EXPECTING),
        ([UPGRADING], UPGRADING),
        ([CHUNKED], CHUNKED),
        ([GET.replace(b"1.1", b"1.0")], GET.replace(b"1.1", b"1.0")),
        ([LONG], LONG),
    ],
)
def test_everything_else_is_left_to_the_parser(before: list[bytes], last: bytes) -> None:
    assert not read_without_a_parser(before, last)


def test_a_head_that_a_limit_could_refuse_if_it_came_otherwise_is_not_remembered() -> None:
    many = GET[:-2] + b"a:\r\n" * 20 + b"\r\n"

    assert not read_without_a_parser([many], many, limit=len(many))
    assert read_without_a_parser([many], many, limit=2 * len(many))


def test_as_many_heads_as_it_may_are_remembered_the_oldest_goes_first() -> None:
    heads = Heads(2)
    parsing = Parsing(Told(), LIMIT, heads)
    sent = [GET.replace(b"/ ", b"/%d " % number) for number in range(3)]
    for each in sent:
        parsing.feed(each)
        parsing.feed(each)

    assert [heads.of(each) is not None for each in sent] == [False, True, True]


@pytest.mark.parametrize("nonsense", [b"nonsense\r\n", GET + b"nonsense\r\n", GET + b"GET / HTTP/1.1\r\nA : b\r\n\r\n"])
def test_behind_an_error_nothing_is_read_however_well_it_is_known(nonsense: bytes) -> None:
    parsing = Parsing(Told(), LIMIT, Heads())
    for _ in range(3):
        parsing.feed(GET)
    with pytest.raises(RequestError):
        parsing.feed(nonsense)

    with pytest.raises(RequestError):
        parsing.feed(GET)
