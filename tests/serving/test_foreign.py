"""Python handlers as a serving process sees them: what they are given, and how their responses are passed on."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demlopment.errors import NotReadyError, RequestError
from demlopment.serving import read
from demlopment.serving.calls import Call, Field, Reply
from demlopment.serving.http.server import Server
from demlopment.serving.inference import Inference
from tests.serving.local import Said, app, ask, asked, coded
from tests.serving.test_journal import full_disk

FORM = "application/x-www-form-urlencoded"


SEVEN = Reply(200, "", (), b"seven")


@dataclass
class FakeHandlers:
    """Handlers that answer by their model: what they got, what a test told them, or nothing for a long time."""

    reply: Reply = SEVEN
    calls: list[tuple[str, str, Call]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    closed: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)  # of a stream

    async def ask(self, model: str, version: str, call: Call) -> Reply:
        self.calls.append((model, version, call))
        self.asked.set()
        if model == "slow":
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled = True
        if model == "sad":
            raise RequestError("Prediction failed", status=503, kind="InternalServerException")
        if model == "empty":
            raise RequestError("Nothing new.", status=304, kind="InternalServerException")
        if model == "stream":
            return Reply(200, "", (("ts_stream_next", "true"),), b"one ", self._rest(stuck=False))
        if model == "stuck":
            return Reply(200, "", (), b"one ", self._rest(stuck=True))
        if model == "late":
            return Reply(200, "", (), b"one ", self._rest(stuck=True, parts=()))
        return self.reply

    async def _rest(self, *, stuck: bool, parts: tuple[bytes, ...] = (b"two ", b"three")) -> AsyncIterator[bytes]:
        try:
            for chunk in parts:
                yield chunk
            if stuck:
                await asyncio.Event().wait()
        finally:
            self.closed = True
            self.over.set()


MODELS = ("echo", "slow", "sad", "empty", "stream", "stuck", "late")


@pytest.fixture
def handlers() -> FakeHandlers:
    return FakeHandlers()


@pytest.fixture
def local(tmp_path: Path, handlers: FakeHandlers) -> Iterator[Inference]:
    inference = app(tmp_path, coded(*MODELS), handlers)
    yield inference
    inference.journal.close()


def given(handlers: FakeHandlers) -> Call:
    (_, _, call) = handlers.calls[-1]
    return call


def test_a_raw_body_is_the_field_body_and_the_headers_are_torchserves_too(local: Inference, handlers: FakeHandlers) -> None:
    headers = {"content-type": "text/csv; charset=utf-8", "x-mine": "yes", "x-request-id": "r-1"}

    ask(local, "POST", "/predictions/echo/1.0/any/rest?dropped=1", b"words", headers)

    model, version, call = handlers.calls[0]
    assert (model, version, call.request_id) == ("echo", "1.0", "r-1")
    assert call.fields == (Field("body", b"words", "text/csv"),)
    assert call.headers == {**headers, "content-length": "5", "explain": "False", "url_path": "any/rest"}


def test_a_form_is_its_fields_and_an_explanation_says_so(local: Inference, handlers: FakeHandlers) -> None:
    ask(local, "PUT", "/explanations/echo", b"a=1&b=two+words&c=%47r%C3%B6&d", {"content-type": FORM})

    call = given(handlers)
    assert call.fields == (Field("a", b"1"), Field("b", b"two words"), Field("c", "Grö".encode()))
    assert call.headers["explain"] == "True"


@pytest.mark.parametrize(
    "path", ["/invocations?model_name=echo&a=1&a=%C3%B6", "/models/echo/invoke?a=1", "/echo/1.0/predict?a=1"]
)
def test_the_query_is_input_where_torchserve_makes_it_one(local: Inference, handlers: FakeHandlers, path: str) -> None:
    said = ask(local, "POST", path, b"x")

    call = given(handlers)
    assert said.status == 200
    assert Field("a", b"1") in call.fields
    assert call.fields[-1] == Field("body", b"x")
    assert not {"explain", "url_path"} & set(call.headers)


def test_a_form_may_name_the_model(local: Inference, handlers: FakeHandlers) -> None:
    said = ask(local, "POST", "/invocations", b"model_name=echo&a=1", {"content-type": FORM})

    assert said.status == 200
    assert given(handlers).fields == (Field("model_name", b"echo"), Field("a", b"1"))


def test_a_response_is_passed_on_with_its_status_phrase_and_headers(local: Inference, handlers: FakeHandlers) -> None:
    handlers.reply = Reply(201, "Made", (("Content-Type", "text/x"), ("X-Two", "b"), ("Content-Length", "999")), b"made")

    said = ask(local, "POST", "/predictions/echo", b"x")

    assert (said.status, said.phrase, said.body) == (201, b"Made", b"made")
    assert (said.header("content-type"), said.header("x-two"), said.header("content-length")) == ("text/x", "b", "4")
    assert (said.header("x-model-version"), said.header("x-arm")) == ("1.0", "direct")


def test_a_plain_response_has_no_content_type(local: Inference) -> None:
    said = ask(local, "POST", "/predictions/echo", b"x")

    assert (said.status, said.phrase, said.header("content-type")) == (200, b"", None)


def test_a_stream_leaves_in_its_parts_without_a_length(local: Inference, handlers: FakeHandlers) -> None:
    said = ask(local, "POST", "/predictions/stream", b"x")

    assert [chunk for chunk in said.chunks if chunk] == [b"one ", b"two ", b"three"]
    assert said.header("content-length") is None
    assert said.header("ts_stream_next") == "true"
    assert handlers.closed


@pytest.mark.parametrize("model", ["stuck", "late"])
def test_a_stream_whose_client_left_before_it_began_is_ended_all_the_same(
    local: Inference, handlers: FakeHandlers, model: str
) -> None:
    said = asyncio.run(asked(local, "POST", f"/predictions/{model}", b"x", deaf=True))

    assert said.chunks == []
    assert handlers.closed


def test_an_error_of_the_handlers_is_the_clients_answer(local: Inference) -> None:
    said = ask(local, "POST", "/predictions/sad", b"x")

    assert said.status == 503
    assert json.loads(said.body) == {"code": 503, "type": "InternalServerException", "message": "Prediction failed"}


@pytest.mark.parametrize(
    "reply",
    [Reply(99, "", (), b""), Reply(200, "", (("x", "a\r\nb: c"),), b""), Reply(200, "", (("a b", "c"),), b"")],
)
def test_what_is_no_http_is_our_error_and_not_an_answer_of_its_own(
    local: Inference, handlers: FakeHandlers, reply: Reply
) -> None:
    handlers.reply = reply

    said = ask(local, "POST", "/predictions/echo", b"x")

    assert said.status == 500
    assert "The handler of echo 1.0 sent" in json.loads(said.body)["message"]


@pytest.mark.parametrize(("model", "status"), [("echo", 204), ("empty", 304)])
def test_an_answer_without_a_body_says_no_length(local: Inference, handlers: FakeHandlers, model: str, status: int) -> None:
    handlers.reply = Reply(204, "", (), b"dropped")

    said = ask(local, "POST", f"/predictions/{model}", b"x")

    assert said.status == status
    assert said.header("content-length") is None


@pytest.mark.parametrize(("model", "before"), [("slow", 0), ("stuck", 3)])
def test_a_client_that_leaves_cancels_the_call(local: Inference, handlers: FakeHandlers, model: str, before: int) -> None:
    async def leave() -> Said:
        gone = asyncio.Event()
        task = asyncio.create_task(asked(local, "POST", f"/predictions/{model}", b"x", gone=gone))
        await handlers.asked.wait()
        for _ in range(50):  # rounds of the loop: everything that can be sent has been
            await asyncio.sleep(0)
        gone.set()
        return await task

    said = asyncio.run(leave())

    assert len(said.chunks) == before
    assert handlers.cancelled or handlers.closed


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        (Reply(200, "", (), b"seven"), "seven"),
        (Reply(200, "", (), "sieben: größer".encode()), "sieben: größer"),
        (Reply(200, "", (), b"x" * 101), ""),
        (Reply(200, "", (), b"\x00\xff"), ""),
        (Reply(200, "", (), b'{\n  "a": 1\n}'), ""),
    ],
)
def test_an_acknowledged_answer_is_journalled_before_it_leaves(
    local: Inference, handlers: FakeHandlers, reply: Reply, label: str
) -> None:
    handlers.reply = reply

    ask(local, "POST", "/predictions/echo", b"input", {"x-request-id": "r-1", "x-unit-id": "ada"})
    (kept,), _ = read(local.launch.home / "journal")

    assert (kept.request_id, kept.model, kept.version, kept.arm, kept.unit) == ("r-1", "echo", "1.0", "direct", "ada")
    assert kept.label == label
    assert kept.image is None
    assert (kept.probabilities.size, kept.embedding.size) == (0, 0)


def test_neither_explanations_nor_errors_are_journalled(local: Inference, handlers: FakeHandlers) -> None:
    ask(local, "POST", "/explanations/echo", b"x")
    handlers.reply = Reply(422, "", (), b"no")
    ask(local, "POST", "/predictions/echo", b"x")
    ask(local, "POST", "/predictions/sad", b"x")

    assert read(local.launch.home / "journal") == ([], [])


def test_an_answer_that_cannot_be_journalled_is_not_given_and_its_stream_ends(local: Inference, handlers: FakeHandlers) -> None:
    with full_disk(local.journal):
        whole = ask(local, "POST", "/predictions/echo", b"x")
        stream = ask(local, "POST", "/predictions/stream", b"x")

    assert (whole.status, stream.status) == (503, 503)
    assert handlers.closed
    assert isinstance(local.journal.trouble, NotReadyError)
    assert local.tally.counters["demlopment_journal_refused_total",] == 2


def test_strict_passes_on_no_header_of_ours_and_no_request_id_of_the_caller(tmp_path: Path, handlers: FakeHandlers) -> None:
    inference = app(tmp_path, coded("echo"), handlers, strict=True)

    said = ask(inference, "POST", "/predictions/echo", b"x", {"x-request-id": "mine"})
    inference.journal.close()

    assert said.header("x-request-id") not in (None, "mine")
    assert given(handlers).headers["x-request-id"] == "mine"
    assert not [name for name, _ in said.headers if name in ("x-arm", "x-model-version")]


def test_without_anybody_to_run_it_a_handler_has_no_worker(tmp_path: Path) -> None:
    inference = app(tmp_path, coded("echo"))

    said = ask(inference, "POST", "/predictions/echo", b"x")
    inference.journal.close()

    assert said.status == 503
    assert "allow_handlers" in json.loads(said.body)["message"]


def test_the_labels_of_handlers_may_be_anything(local: Inference) -> None:
    said = ask(local, "POST", "/feedback", b'{"request_id": "r-1", "label": "a wolf"}')

    assert said.status == 200


def test_on_the_wire_a_stream_is_chunked_and_a_hang_up_ends_it(local: Inference, handlers: FakeHandlers) -> None:
    async def talk() -> tuple[bytes, bytes]:
        listener = socket.create_server(("127.0.0.1", 0))
        server = Server(local, listener)
        await server.start()
        whole = await _until(listener, "stream", b"\r\n0\r\n\r\n")
        handlers.over.clear()
        half = await _until(listener, "stuck", b"three\r\n")
        await handlers.over.wait()
        await server.drain()
        return whole, half

    whole, half = asyncio.run(talk())

    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert b"content-length" not in head
    assert body == b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"
    assert half.startswith(b"HTTP/1.1 200")


async def _until(listener: socket.socket, model: str, end: bytes) -> bytes:
    """What comes back up to `end`; then the client is gone."""
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(f"POST /predictions/{model} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx".encode())
    came = await reader.readuntil(end)
    # With a reset: a mere end could come from a client that sends no more and still reads.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
    return came
