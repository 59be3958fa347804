"""The inference port: predictions, feedback, health. Knows paths and answers; the engine and the journal do the work."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from demlopment.errors import DemlopmentError, NotReadyError, RequestError
from demlopment.records import Feedback, Prediction
from demlopment.serving import forms, wire
from demlopment.serving.batching import Batching
from demlopment.serving.engine import Engine
from demlopment.serving.journal import Journal
from demlopment.serving.tally import Tally
from demlopment.serving.wire import Answer, ClientGoneError, Receive, Scope, Send

MAX_LABEL = 100  # characters; the classes decide, and this keeps a message about a wrong one readable


@dataclass(eq=False)
class Inference:
    """The ASGI app of one serving process."""

    engine: Engine
    journal: Journal
    tally: Tally
    batching: Batching
    max_request_bytes: int
    now: Callable[[], float] = time.time
    closing: bool = False  # this process is being stopped: each answer is the last on its connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        request_id = wire.request_id(headers)
        try:
            answer = await self._answer(scope, headers, request_id, receive)
        except DemlopmentError as error:
            answer = wire.failure(error)
        except ClientGoneError:
            return
        self.tally.answered(answer.status)
        await wire.reply(send, scope, answer, request_id, closing=self.closing)

    async def _answer(self, scope: Scope, headers: dict[bytes, bytes], request_id: str, receive: Receive) -> Answer:
        # The body is read before anything is refused: closing on unread bytes would reset the connection under the answer.
        body = await wire.body(receive, self.max_request_bytes)
        match wire.segments(scope["path"]):
            case ["predictions", name] if name:
                return await self._predict(headers, request_id, body, name, None)
            case ["predictions", name, version, *_] if name and version:
                return await self._predict(headers, request_id, body, name, version)
            case ["ping"]:
                return wire.sentence("Healthy")
            case ["ready"]:
                return self._readiness()
            case ["feedback"] if scope["method"] == "POST":
                return self._feedback(body)
            case ["feedback"] | []:
                raise wire.not_allowed()
            case _:
                raise wire.not_found()

    async def _predict(
        self, headers: dict[bytes, bytes], request_id: str, body: bytes, name: str, version: str | None
    ) -> Answer:
        route = self.engine.route(name, version, headers, request_id)
        self.tally.add("ts_inference_requests_total", name, route.asked)
        picture = await forms.picture(headers, body)
        prediction = await self.batching.predict(route, request_id, picture)
        about = ((b"x-model-version", prediction.version.encode()), (b"x-arm", prediction.arm.encode()))
        if b"application/json" not in headers.get(b"accept", b""):
            return Answer(200, prediction.label.encode(), about)
        answer = wire.as_json(_in_full(prediction, route.network.classes))
        return Answer(200, answer.body, (*answer.headers, *about))

    def _readiness(self) -> Answer:
        """Whether this process wants traffic; `/ping` only says that it is alive."""
        if self.closing:
            raise NotReadyError("This process is stopping.", "Try again.")
        if self.journal.failing:
            self.journal.probe()
        if self.journal.failing:
            raise NotReadyError("The journal cannot be written.", "Free some space on its disk.")
        return wire.sentence("Ready")

    def _feedback(self, body: bytes) -> Answer:
        feedback = self._truth(body)
        try:
            self.journal.record(feedback=[feedback])
        except NotReadyError:
            self.tally.add("demlopment_journal_refused_total")
            raise
        self.tally.add("demlopment_feedback_total")
        return wire.sentence("Feedback recorded")

    def _truth(self, body: bytes) -> Feedback:
        values = _json_object(body)
        unknown = sorted(set(values) - {"request_id", "label"})
        if unknown:
            raise RequestError(f"Feedback has no field {unknown[0]!r}.", "Send request_id and label.")
        request_id, label = values.get("request_id"), values.get("label")
        if not isinstance(request_id, str) or not wire.REQUEST_ID.fullmatch(request_id.encode(errors="replace")):
            raise RequestError("Feedback needs a request_id.", "Send the x-request-id header that came with the prediction.")
        if not isinstance(label, str) or not 0 < len(label) <= MAX_LABEL or not label.isprintable():
            raise RequestError("Feedback needs a label.", f"Send the true class as 1 to {MAX_LABEL} printable characters.")
        classes = {name for network in self.engine.networks for name in network.classes}
        if classes and label not in classes:
            raise RequestError(f"The label {label!r} is no class of a served model.", f"Send one of {sorted(classes)}.")
        return Feedback(request_id, self.now(), label)


def _in_full(prediction: Prediction, classes: tuple[str, ...]) -> dict[str, Any]:
    probabilities = [float(p) for p in prediction.probabilities]
    return {
        "label": prediction.label,
        "probabilities": dict(zip(classes, probabilities, strict=True)),
        "confidence": max(probabilities),
        "model": prediction.model,
        "version": prediction.version,
        "request_id": prediction.request_id,
    }


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as broken:
        raise RequestError(f"The body is not JSON ({broken}).", "Send a JSON object.") from broken
    if not isinstance(values, dict):
        raise RequestError("The body is not a JSON object.", "Send {...}.")
    return values
