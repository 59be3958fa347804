import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.http import wire
from demlopment.serving.http.head import head, mould
from demlopment.serving.http.wire import Answer, Headers

ABOUT: Headers = ((b"x-model-version", b"1.0"), (b"x-arm", b"control"))


@given(
    st.sampled_from([200, 204, 404, 413, 503]),
    st.sampled_from([None, b"", b"Here it comes"]),
    st.sampled_from([(), ABOUT, (wire.JSON_TYPE, *ABOUT)]),
    st.integers(0, 500),
    st.sampled_from([(), ((b"access-control-allow-origin", b"*"),)]),
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    st.from_regex(wire.REQUEST_ID.pattern.decode(), fullmatch=True),
)
def test_a_mould_begins_an_answer_as_if_it_had_been_made_for_it(
    status: int,
    phrase: bytes | None,
    headers: Headers,
    length: int,
    always: Headers,
    flags: tuple[bool, bool, bool, bool],
    answer_id: str,
) -> None:
    bare, closing, http_1_1, keep_alive = flags
    answer = Answer(status, b"x" * length, headers, bare, phrase)
    start = wire.opening(answer, answer_id, closing=closing, always=always)
    whole = head(status, phrase, start["headers"], http_1_1=http_1_1, keep_alive=keep_alive)

    made = mould(status, phrase, headers, length, always, bare=bare, closing=closing, http_1_1=http_1_1, keep_alive=keep_alive)

    assert b"".join((made.before, b"" if bare else answer_id.encode(), made.after)) == whole.lines
    assert made.keep_alive == whole.keep_alive


@given(st.tuples(st.booleans(), st.booleans(), st.booleans()), st.sampled_from([200, 204, 400]))
def test_an_answer_says_once_whether_its_connection_goes_on(flags: tuple[bool, bool, bool], status: int) -> None:
    closing, http_1_1, keep_alive = flags
    start = wire.opening(Answer(status, b"7"), "r", closing=closing)

    found = head(status, None, start["headers"], http_1_1=http_1_1, keep_alive=keep_alive)

    said = [line for line in found.lines.splitlines() if line.startswith(b"connection: ")]
    assert said == [b"connection: keep-alive" if found.keep_alive else b"connection: close"]
    assert found.keep_alive == (keep_alive and not closing and status < 400)


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb"])
def test_a_header_cannot_write_another(value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        head(200, None, ((b"x-mine", value), (b"content-length", b"0")), http_1_1=True, keep_alive=True)


def test_what_every_answer_has_is_said_once_whoever_else_said_it() -> None:
    always = [(b"access-control-allow-origin", b"https://ours")]
    theirs = [(b"access-control-allow-origin", b"*"), (b"x-mine", b"a")]

    headers = wire.opening(Answer(200, b"7", theirs), "r", always=always)["headers"]

    assert [value for name, value in headers if name == b"access-control-allow-origin"] == [b"https://ours"]
    assert (b"x-mine", b"a") in headers
