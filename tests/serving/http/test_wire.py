import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import ArchiveError, NotReadyError, RequestError
from demlopment.serving.http import wire


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
        assert asyncio.run(wire.body(receiving(*chunks), limit, {})) == whole
    else:
        with pytest.raises(RequestError) as refused:
            asyncio.run(wire.body(receiving(*chunks), limit, {}))
        assert refused.value.status == 413


def test_a_client_that_hangs_up_is_nobody_to_answer() -> None:
    with pytest.raises(wire.ClientGoneError):
        asyncio.run(wire.body(receiving(b"half", then="http.disconnect"), 100, {}))


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


def test_a_message_without_advice_is_kept_to_the_letter() -> None:
    assert wire.message(RequestError("Model not found: ")) == "Model not found: "
    assert wire.message(RequestError("No.", "Send yes.")) == "No. Send yes."


@pytest.mark.parametrize(
    ("allowed", "strict", "header"), [(("GET", "PUT"), False, b"GET, PUT"), (("GET",), True, None), ((), False, None)]
)
def test_a_method_that_is_not_allowed_says_which_are(allowed: tuple[str, ...], *, strict: bool, header: bytes | None) -> None:
    answer = wire.failure(wire.not_allowed(*allowed), strict=strict)

    assert answer.status == 405
    assert dict(answer.headers).get(b"allow") == header


def test_strict_gives_every_request_an_id_of_its_own() -> None:
    given = {b"x-request-id": b"mine"}

    assert wire.request_id(given) == "mine"
    assert wire.request_id(given, strict=True) != "mine"


def test_work_whose_client_has_gone_is_cancelled_and_work_that_is_done_is_not() -> None:
    ended: list[str] = []

    async def work(*, done: bool) -> str:
        try:
            if not done:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "whole"

    async def never() -> wire.Message:
        await asyncio.Event().wait()
        return {}

    async def gone() -> wire.Message:
        return {"type": "http.disconnect"}

    whole = asyncio.run(wire.unless_gone(never, work(done=True)))
    with pytest.raises(wire.ClientGoneError):
        asyncio.run(wire.unless_gone(gone, work(done=False)))

    assert (whole, ended) == ("whole", ["cancelled"])


def test_whoever_cancels_a_request_itself_is_not_told_of_a_client_that_has_gone() -> None:
    leave = asyncio.Event()

    async def gone() -> wire.Message:
        await leave.wait()
        return {"type": "http.disconnect"}

    async def forever() -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        request = asyncio.ensure_future(wire.unless_gone(gone, forever()))
        await asyncio.sleep(0)
        request.cancel()
        leave.set()
        await request

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())


def test_only_cross_origin_headers_with_a_value_are_sent() -> None:
    assert wire.cors("", "", "") == ()
    assert wire.cors("*", "", "x-a") == (
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-headers", b"x-a"),
    )


def test_a_body_that_is_announced_too_long_is_refused_before_it_comes() -> None:
    async def nobody_sends() -> wire.Message:
        raise AssertionError("nothing should be read")

    with pytest.raises(RequestError) as refused:
        asyncio.run(wire.body(nobody_sends, 100, {b"content-length": b"101"}))

    assert refused.value.status == 413
