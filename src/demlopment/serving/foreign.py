"""What Python handlers and other servers answer. Knows TorchServe's fields and headers; knows no process and no connection:
`Handlers` runs the code, and `Remotes` asks the servers.
"""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np

from demlopment import images
from demlopment.errors import NotReadyError, RequestError
from demlopment.images import Grey
from demlopment.records import Prediction
from demlopment.serving import forms
from demlopment.serving.calls import Call, Handlers, RecalledError, Reply
from demlopment.serving.engine import Route
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer, Receive, Request
from demlopment.serving.journal import Journal
from demlopment.serving.paths import Target
from demlopment.serving.remote import Remotes
from demlopment.serving.shadows import Shadows
from demlopment.serving.tally import Tally

MAX_LABEL = 100  # characters; what is longer is no label
FRAMING = ("content-length", "transfer-encoding", "connection")  # ours to say
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110's token
NOTHING = np.zeros(0, np.float32)


@dataclass(eq=False)
class Foreign:
    """The answers of others than our networks, as one serving process passes them on."""

    handlers: Handlers | None
    remotes: Remotes
    journal: Journal
    tally: Tally
    shadows: Shadows
    strict: bool
    now: Callable[[], float] = time.time

    async def answer(self, request: Request, target: Target, route: Route) -> Answer:
        """Raises RequestError where there is no response, ClientGoneError if the client does not wait for it.

        Raises RecalledError where somebody else is to answer: the canary that it waited for has ended, or the handler of a
        treatment cannot be started.
        """
        try:
            answer = await self._answered(request, target, route)
        except RequestError as failed:
            _blame(route, failed.status)
            raise
        except RecalledError as back:
            if back.broken:
                _blame(route, 503)
            raise
        _blame(route, answer.status)
        return answer

    async def _answered(self, request: Request, target: Target, route: Route) -> Answer:
        since = time.perf_counter()
        if route.remote is None:
            reply = await self._handled(request, target, route)
        else:
            spare = route.arm == "treatment"
            asked = self.remotes.ask(route.remote.upstream, request, target, route.remote.seconds, spare=spare)
            reply = await wire.unless_gone(request.receive, asked)
        rest = None if reply.rest is None else _Rest(request.receive, reply.rest)
        try:
            answer = self._passed_on(reply, route, rest)
            if target.verb == "predict" and answer.status < 400:
                await self._record(request, route, reply, since)
        except BaseException:
            if rest is not None:
                await rest.aclose()
            raise
        return answer

    async def _handled(self, request: Request, target: Target, route: Route) -> Reply:
        if self.handlers is None:
            raise NotReadyError(f"Model {route.key[0]} has a Python handler.", "Set endpoint.allow_handlers to run it.")
        fields = await forms.fields(request.headers, request.body)
        if target.dialect == "query":
            fields = (*forms.query(request.query), *fields)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()}
        headers.setdefault("content-length", str(len(request.body)))  # as TorchServe's parser does
        treated = route.arm == "treatment"
        over = route.watch.over if route.watch is not None and treated else None
        call = Call(request.id, headers | target.marks, fields, route.asked, over, spare=treated)
        return await wire.unless_gone(request.receive, self.handlers.ask(*route.key, call))

    def _passed_on(self, reply: Reply, route: Route, rest: wire.Rest | None) -> Answer:
        if not 200 <= reply.status <= 599:
            raise _improper(route, f"the status {reply.status}")
        headers = [(name, value) for name, value in reply.headers if name.lower() not in FRAMING]
        for name, value in headers:
            if not NAME.fullmatch(name) or any(ord(letter) < 32 or ord(letter) in range(127, 160) for letter in value):
                raise _improper(route, f"the header {name!r:.60}")
        lines = [(name.lower().encode(), value.encode("latin-1", errors="replace")) for name, value in headers]
        if not self.strict:
            lines += ((b"x-model-version", route.key[1].encode()), (b"x-arm", route.arm.encode()))
        phrase = reply.phrase.encode("latin-1", errors="replace") if reply.phrase.isprintable() else b""
        body = b"" if reply.status in wire.BODILESS else reply.body
        return Answer(reply.status, body, lines, phrase=phrase, rest=rest)

    async def _record(self, request: Request, route: Route, reply: Reply, since: float) -> None:
        """Journal an answer before it leaves, and count it. Raises NotReadyError if the journal refuses it."""
        model, version = route.key
        seconds = time.perf_counter() - since
        prediction = Prediction(
            request_id=request.id,
            at=self.now(),
            model=model,
            version=version,
            arm=route.arm,
            unit=route.unit,
            image=await _picture(request) if route.shadows else None,
            label=_label(reply),
            probabilities=NOTHING,
            embedding=NOTHING,
            latency_ms=seconds * 1000,
            digest=hashlib.sha256(request.body).hexdigest(),
        )
        try:
            if not self.journal.record([prediction]):
                self.tally.add("demlopment_journal_unrecorded_total")
        except NotReadyError:
            self.tally.add("demlopment_journal_refused_total")
            raise
        self.shadows.ask(route.shadows, prediction, route.watch)
        if route.watch is not None:
            route.watch.answer(prediction, seconds * 1000)
        self.tally.add("demlopment_predictions_total", model, version, route.arm)
        self.tally.observe("demlopment_prediction_seconds", model, version, value=seconds)
        self.tally.add("ts_inference_latency_microseconds", model, route.asked, amount=seconds * 1e6)


class _Rest:
    """The rest of a stream, until its client has it or is gone."""

    def __init__(self, receive: Receive, chunks: AsyncIterator[bytes]) -> None:
        self._receive, self._chunks = receive, chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await wire.unless_gone(self._receive, _next(self._chunks))
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Let the handler's side hear that nobody reads on. A generator that was never begun would close without a word."""
        beginning = asyncio.ensure_future(_next(self._chunks))
        await asyncio.sleep(0)
        beginning.cancel()
        await asyncio.wait((beginning,))
        if not beginning.cancelled():
            beginning.exception()  # nobody is left to be told of it
        if isinstance(self._chunks, AsyncGenerator):
            await self._chunks.aclose()


def _blame(route: Route, status: int) -> None:
    """A canary hears that its handler has failed."""
    if status >= 500 and route.watch is not None and route.arm == "treatment":
        route.watch.fail()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)


async def _picture(request: Request) -> Grey | None:
    """What a shadow is to look at; None for what is no picture, which whoever was asked may have understood."""
    try:
        return await asyncio.to_thread(images.prepare, await forms.picture(request.headers, request.body))
    except (RequestError, images.ImageError):
        return None


def _label(reply: Reply) -> str:
    """A body that is a short text is what a model says of its input, and so is the label of one that is all about it."""
    if reply.rest is not None:
        return ""
    if any(name.lower() == "content-type" and value.startswith("application/json") for name, value in reply.headers):
        return _named(reply.body)
    text = reply.body[: 4 * MAX_LABEL + 1].decode(errors="replace")
    return text if len(text) <= MAX_LABEL and text.isprintable() and "\ufffd" not in text else ""


def _named(body: bytes) -> str:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    label = said.get("label", "") if isinstance(said, dict) else ""
    return label if isinstance(label, str) and len(label) <= MAX_LABEL and label.isprintable() else ""


def _improper(route: Route, what: str) -> RequestError:
    return RequestError(
        f"The handler of {' '.join(route.key)} sent {what}.", "It is no HTTP.", status=500, kind="InternalServerException"
    )
