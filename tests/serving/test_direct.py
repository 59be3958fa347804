"""Answers without a task are the answers of the app: the app is the oracle."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demlopment import images
from demlopment.records import TrafficPlan, Treatment
from demlopment.serving import read
from demlopment.serving.addresses import listen
from demlopment.serving.http.server import Server
from demlopment.serving.http.wire import Direct, Whole
from demlopment.serving.inference import Inference
from demlopment.serving.predictions import Predictions
from demlopment.serving.state import State, Version
from demlopment.serving.tokens import Permit, Permits
from tests.serving.endpoint import WIDE, digit, in_a_form, packed
from tests.serving.local import app

SECONDS = 20  # a deadline for what must happen at once
DIGIT = digit(1)


def post(path: str, body: bytes, *headers: str, method: str = "POST", version: str = "1.1") -> bytes:
    lines = (f"{method} {path} HTTP/{version}", "x-request-id: r", f"content-length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


LARGE = images.encode_png(np.random.default_rng(1).integers(0, 255, (200, 200), np.uint8))  # noise is not compressed
CHUNKED = (
    b"POST /predictions/digits HTTP/1.1\r\nx-request-id: r\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (9, DIGIT[:9], len(DIGIT) - 9, DIGIT[9:])
)
# what it is, the bytes, whether it needs no task
REQUESTS = [
    ("a picture", post("/predictions/digits", DIGIT), True),
    ("a picture that is put", post("/predictions/digits", DIGIT, method="PUT"), True),
    ("a version", post("/predictions/digits/2.0", DIGIT), True),
    ("an arm of the experiment", post("/predictions/split", DIGIT, "x-unit-id: ada"), True),
    ("a JSON answer", post("/predictions/digits", DIGIT, "accept: application/json"), True),
    ("no picture", post("/predictions/digits", b"no picture"), True),
    ("an empty body", post("/predictions/digits", b""), True),
    ("a body in chunks", CHUNKED, True),
    ("a client that closes", post("/predictions/digits", DIGIT, "connection: close"), True),
    ("an older client", post("/predictions/digits", DIGIT, version="1.0"), True),
    ("a question for the head", post("/predictions/digits", DIGIT, method="HEAD"), True),
    ("a large picture", post("/predictions/digits", LARGE), False),
    ("a few bytes of many pixels", post("/predictions/digits", WIDE), False),
    ("no picture, and large", post("/predictions/digits", b"x" * 16_385), False),
    ("a form", post("/predictions/digits", in_a_form(DIGIT), "content-type: multipart/form-data; boundary=b"), False),
    ("a body that is too large", post("/predictions/digits", b"x" * 50_001), False),
    ("a question about the model", post("/predictions/digits", b"", method="OPTIONS"), False),
    ("an unknown model", post("/predictions/none", DIGIT), False),
    ("an unknown version", post("/predictions/digits/9.9", DIGIT), False),
    ("a form's path", post("/invocations?model_name=digits", DIGIT), False),
    ("KServe's path", post("/v1/models/digits:predict", b'{"instances": []}'), False),
    ("no model's path", post("/ping", b""), False),
]


class Watched:
    """An app's `direct` that notes what it takes, or takes nothing."""

    def __init__(self, direct: Direct, *, idle: bool = False) -> None:
        self._direct, self._idle = direct, idle
        self.taken: list[bool] = []

    def __call__(self, asked: Whole) -> bool:
        self.taken.append(not self._idle and self._direct(asked))
        return self.taken[-1]


@pytest.fixture(scope="module")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    with opened(tmp_path_factory.mktemp("direct")) as app:
        yield app


@contextmanager
def opened(root: Path, **given: object) -> Iterator[Inference]:
    """An app with the models `digits` and `split`, an experiment."""
    state = State()
    for model in ("digits", "split"):
        for version in ("1.0", "2.0"):
            file = packed(root, version, model).name
            state = state.register(model, version, Version(file, file, 1, 1))
    state = state.split(TrafficPlan("split", "1.0", (Treatment("2.0", 0.5),), salt="s"))
    inference = app(root, state, None, max_request_bytes=50_000, **given)
    yield inference
    inference.journal.close()


LAST = b"GET /ping HTTP/1.1\r\nx-request-id: r\r\nconnection: close\r\n\r\n"


def said(inference: Inference, direct: Direct, *pieces: bytes) -> bytes:
    """Everything that comes back to a client that sends `pieces` and then `LAST`."""

    async def run() -> bytes:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(inference, listener, direct=direct)
        await server.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        try:
            for piece in (*pieces, LAST):
                writer.write(piece)
                await asyncio.sleep(0)
            return await asyncio.wait_for(reader.read(), SECONDS)
        finally:
            writer.close()
            await server.drain()

    return asyncio.run(run())


@pytest.mark.parametrize(("request_bytes", "direct"), [each[1:] for each in REQUESTS], ids=[each[0] for each in REQUESTS])
def test_an_answer_without_a_task_is_the_answer_of_the_app(inference: Inference, request_bytes: bytes, direct: bool) -> None:  # noqa: FBT001  (a table's column)
    watched, idle = Watched(inference.direct), Watched(inference.direct, idle=True)

    answer, told_by_the_app = said(inference, watched, request_bytes), said(inference, idle, request_bytes)

    assert answer == told_by_the_app
    assert answer.startswith(b"HTTP/1.1 ")
    assert watched.taken[0] is direct


def test_a_strict_answer_without_a_task_is_the_answer_of_the_app(tmp_path: Path) -> None:
    requests = [post("/predictions/digits", body) for body in (DIGIT, b"no picture")]

    with opened(tmp_path, strict=True) as strict:
        answers = [_without_id(said(strict, strict.direct, each)) for each in requests]
        told_by_the_app = [_without_id(said(strict, Watched(strict.direct, idle=True), each)) for each in requests]

    assert answers == told_by_the_app
    assert [answer[0] for answer in answers] == [b"HTTP/1.1 200 ", b"HTTP/1.1 503 Service Unavailable"]


def _without_id(answer: bytes) -> list[bytes]:
    """TorchServe makes up a request id of its own."""
    return [line for line in answer.split(b"\r\n") if not line.startswith(b"x-request-id")]


def test_without_its_token_nothing_is_answered_directly(tmp_path: Path) -> None:
    with opened(tmp_path) as inference:
        inference.permits = Permits(required=True, permits=(Permit.of("inference", "secret"),))
        watched = Watched(inference.direct)

        refused = said(inference, watched, post("/predictions/digits", DIGIT))
        let_in = said(inference, watched, post("/predictions/digits", DIGIT, "authorization: Bearer secret"))

    assert (refused[:12], let_in[:12]) == (b"HTTP/1.1 400", b"HTTP/1.1 200")
    assert watched.taken == [False, True, False], "neither without a token nor for a ping"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.data())
def test_however_pipelined_requests_arrive_the_answers_are_those_of_the_app(
    inference: Inference, chosen: list[int], data: st.DataObject
) -> None:
    # None of which closes the connection.
    kinds = [
        bytes_ for name, bytes_, _ in REQUESTS if name in ("a picture", "a JSON answer", "a body in chunks", "no model's path")
    ]
    stream = b"".join(kinds[each] for each in chosen)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert said(inference, inference.direct, *pieces) == said(inference, Watched(inference.direct, idle=True), stream)


def test_a_client_that_leaves_before_its_answer_takes_no_other_answer_with_it(tmp_path: Path) -> None:
    async def run(inference: Inference) -> bytes:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(inference, listener, direct=inference.direct)
        await server.start()
        _, leaving = await asyncio.open_connection(*listener.getsockname()[:2])
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        leaving.write(post("/predictions/digits", DIGIT))
        writer.write(post("/predictions/digits", DIGIT, "connection: close"))
        leaving.transport.abort()
        answer = await asyncio.wait_for(reader.read(), SECONDS)
        writer.close()
        await asyncio.wait_for(server.drain(), SECONDS)  # it waits for connections that are still being answered
        return answer

    with opened(tmp_path) as inference:
        answer = asyncio.run(run(inference))

    predictions, _ = read(tmp_path / "journal")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.rpartition(b"\r\n\r\n")[2].decode() in {each.label for each in predictions}


def test_a_bug_of_ours_in_an_answer_is_told_to_its_client_who_would_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Predictions, "said", failing)
    with opened(tmp_path) as inference:
        answer = said(inference, inference.direct, post("/predictions/digits", DIGIT))
        told_by_the_app = said(inference, Watched(inference.direct, idle=True), post("/predictions/digits", DIGIT))

    assert answer == told_by_the_app
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert caplog.text.count("was not answered") == 2
