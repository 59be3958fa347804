import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import ArchiveError, NotReadyError, RequestError
from demlopment.serving import wire


def receiving(*chunks: bytes, then: str = "http.request") -> wire.Receive:
    """An ASGI receive channel that gives `chunks`, the last one as the end of the body."""

    def messages() -> Iterator[wire.Message]:
        for number, chunk in enumerate(chunks, 1):
            yield {"type": "http.request", "body": chunk, "more_body": number < len(chunks) or then != "http.request"}
        yield {"type": then}

    each = messages()

    async def receive() -> wire.Message:
        return next(each)

    return receive


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/", []),
        ("/ping", ["ping"]),
        ("/ping/", ["ping"]),
        ("/ping//", ["ping"]),
        ("//ping", ["", "ping"]),
        ("/predictions/mnist/1.0/any/rest/", ["predictions", "mnist", "1.0", "any", "rest"]),
        ("/a//b", ["a", "", "b"]),
    ],
)
def test_paths_split_as_java_splits_them(path: str, parts: list[str]) -> None:
    assert wire.segments(path) == parts


@given(chunks=st.lists(st.binary(max_size=20), min_size=1, max_size=6), limit=st.integers(1, 60))
def test_a_body_arrives_whole_or_is_too_large(chunks: list[bytes], limit: int) -> None:
    whole = b"".join(chunks)

    if len(whole) <= limit:
        assert asyncio.run(wire.body(receiving(*chunks), limit)) == whole
    else:
        with pytest.raises(RequestError) as refused:
            asyncio.run(wire.body(receiving(*chunks), limit))
        assert refused.value.status == 413


def test_a_client_that_hangs_up_is_nobody_to_answer() -> None:
    with pytest.raises(wire.ClientGoneError):
        asyncio.run(wire.body(receiving(b"half", then="http.disconnect"), 100))


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (RequestError("no", status=409, kind="ConflictStatusException"), 409, "ConflictStatusException"),
        (NotReadyError("not yet", "Try again."), 503, "ServiceUnavailableException"),
        (ArchiveError("broken", "Write it again."), 500, "InternalServerException"),
    ],
)
def test_an_error_says_its_status_and_torchserves_name_for_it(error: RequestError, status: int, kind: str) -> None:
    answer = wire.failure(error)

    assert answer.status == status
    assert f'"type": "{kind}"'.encode() in answer.body


def test_json_is_printed_as_gson_prints_it() -> None:
    answer = wire.as_json({"a": [], "b": "<é>", "c": {"d": 1}})

    assert answer.body.decode() == '{\n  "a": [],\n  "b": "<é>",\n  "c": {\n    "d": 1\n  }\n}\n'
