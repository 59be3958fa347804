"""What networks answer: a label, JSON, KServe's documents, an explanation. Knows bodies and headers; knows no path.

A prediction waits in batching.py with all others. What takes longer than a batch runs in a thread, one at a time.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment import seen
from demlopment.archive import Answering
from demlopment.errors import RequestError
from demlopment.images import Grey
from demlopment.records import Arm, Prediction
from demlopment.seen import Seen
from demlopment.serving import explanation, extent, forms, kserve, pictures, rows
from demlopment.serving.batching import Batching
from demlopment.serving.engine import Network, Route
from demlopment.serving.failures import FailureLog
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer, Headers, Request
from demlopment.serving.kserve import Question
from demlopment.serving.paths import Target
from demlopment.serving.tally import Tally

MAX_EXPLAINED = 16  # pictures in one request: each takes up to 785 runs of the network, about 30 ms
SMALL = 16_384  # bytes of a picture that is decoded within its batch; a scanned character has hundreds
FEW = 65_536  # pixels, likewise: a field of 5 mm at 600 dpi has a fifth of them
Maps = list[npt.NDArray[np.float32]]


@dataclass(eq=False)
class Predictions:
    """The answers of the networks of one serving process."""

    batching: Batching
    tally: Tally
    strict: bool
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)  # the threads shall not crowd out the batches
    log: FailureLog = field(default_factory=lambda: FailureLog("on a picture to explain"))

    async def answer(self, request: Request, target: Target, route: Route, network: Network) -> Answer:
        """Raises RequestError for a body that cannot be read, NotReadyError if the journal refuses the answer."""
        if target.dialect.startswith("kserve") and kserve.is_document(request.headers, request.body):
            return await self._document(request, target, route, network)
        try:
            picture = await _picture(request, target)
            if target.verb == "explain" and not self.strict:
                _refuse_rows(network)
                return await self._explained(request, route, network, picture)
            prediction = await self.batching.predict(route, request.id, await self._seen(network, picture))
        except RequestError as unreadable:
            raise self.refusal(unreadable) from unreadable
        return self.said(prediction, request.headers, network)

    def said(self, prediction: Prediction, headers: Mapping[bytes, bytes], network: Network) -> Answer:
        """The label, or all about it for a client that accepts JSON: what handler.py answers in TorchServe."""
        about = _told(prediction.version, prediction.arm)
        if b"application/json" in headers.get(b"accept", b""):
            answer = wire.as_json(in_full(prediction, network.classes, network.answering))
            return answer._replace(phrase=b"") if self.strict else wire.adding(answer, about)
        label = prediction.label.encode()
        return Answer(200, label, phrase=b"") if self.strict else Answer(200, label, about)

    def refusal(self, unreadable: RequestError) -> RequestError:
        """What is wrong with a picture: TorchServe's handler raises whatever it is, and its clients hear no more of it."""
        if not self.strict:
            return unreadable
        return RequestError("Prediction failed", status=503, kind="InternalServerException")

    async def _document(self, request: Request, target: Target, route: Route, network: Network) -> Answer:
        first = target.dialect == "kserve-v1"
        if target.verb == "explain":
            _refuse_rows(network)
        question = (
            kserve.instances(request.body, network.columns)
            if first
            else kserve.inputs(request.headers, request.body, target.verb, network.columns)
        )
        about = () if self.strict else _about(route)
        if target.verb == "explain":
            labels, maps = await self._maps(network, question)
            if first:
                return wire.adding(kserve.explanations(maps), about)
            return kserve.outputs(question, request.id, network.key, kserve.explained(labels, network.classes, maps), about)
        found = await self._rows(request.id, route, network, question)
        if first:
            return wire.adding(kserve.predictions([row.label for row in found], network.classes), about)
        tensors = kserve.predicted(found, network.classes, network.answering)
        return kserve.outputs(question, request.id, network.key, tensors, about)

    async def _rows(self, request_id: str, route: Route, network: Network, question: Question) -> list[Prediction]:
        """One journalled prediction a picture or row, or none at all: all have been read before the first is answered."""
        prepared = await self._prepared(network, question)
        ids = [request_id] if len(prepared) == 1 else [f"{request_id}.{number}" for number in range(len(prepared))]
        asked = (self.batching.predict(route, each, image) for each, image in zip(ids, prepared, strict=True))
        return await asyncio.gather(*asked)

    async def _explained(self, request: Request, route: Route, network: Network, picture: bytes) -> Answer:
        (label,), (found,) = await self._maps(network, Question((picture,)))
        values = kserve.rounded(found)
        if b"application/json" not in request.headers.get(b"accept", b""):
            return wire.adding(wire.compact(values), _about(route))
        said = {"label": label, "saliency": values, "model": network.model, "version": network.version}
        return wire.adding(wire.compact({**said, "request_id": request.id}), _about(route))

    async def _maps(self, network: Network, question: Question) -> tuple[list[str], Maps]:
        """The classes that are explained, and why."""
        if len(question.given) > MAX_EXPLAINED:
            raise RequestError(f"The request has {len(question.given)} pictures.", f"Have at most {MAX_EXPLAINED} explained.")
        targets = question.targets or (None,) * len(question.given)
        classes = [kserve.class_of(target, network.classes) for target in targets]
        prepared = await self._prepared(network, question)
        chosen, maps = [], []
        for image, asked in zip(prepared, classes, strict=True):
            async with self._alone:
                try:
                    best, found = await asyncio.to_thread(_explain, network, image, asked, self.batching.max_batch)
                except Exception as failed:
                    self.log.exception(network.key)
                    raise RequestError("Prediction failed", status=503, kind="InternalServerException") from failed
            chosen.append(network.classes[best])
            maps.append(found)
        self.tally.add("demlopment_explanations_total", *network.key, amount=len(maps))
        return chosen, maps

    async def _seen(self, network: Network, picture: bytes) -> bytes | Seen:
        """A large picture is prepared beside the batches, which would have to wait for it."""
        if is_small(picture):
            return picture
        async with self._alone:
            try:
                return await asyncio.to_thread(seen.preparation(network.columns), picture)
            except seen.UNREADABLE as error:
                raise RequestError(str(error)) from error

    async def _prepared(self, network: Network, question: Question) -> Sequence[Seen]:
        """Several, or a large one, are prepared beside the batches, which would have to wait for them."""
        columns, given = network.columns, question.given
        prepare = partial(rows.prepared, columns=columns) if columns else pictures.prepared
        if len(given) == 1 and (columns or is_small(given[0])):
            return prepare(given)
        async with self._alone:
            return await asyncio.to_thread(prepare, given)


def is_small(picture: pictures.Picture) -> bool:
    """Whether it is read so quickly that others may wait for it: by its bytes, and by what it says of its pixels."""
    if isinstance(picture, np.ndarray):
        return picture.size <= FEW
    return len(picture) <= SMALL and extent.pixels(picture) <= FEW


def _refuse_rows(network: Network) -> None:
    if network.columns:
        raise RequestError(
            f"{network.model} {network.version} reads rows, and only pictures are explained.", "Ask it to predict."
        )


def in_full(prediction: Prediction, classes: Sequence[str], answering: Answering) -> dict[str, Any]:
    """A prediction as JSON, the way its card asks for: `accepted` is whether it needs no human, `top_k` what is shown."""
    probabilities = [float(p) for p in prediction.probabilities]
    confidence = max(probabilities)
    return {
        "label": prediction.label,
        "probabilities": _shown(dict(zip(classes, probabilities, strict=True)), answering.top_k),
        "confidence": confidence,
        "accepted": answering.accepts(prediction),
        "model": prediction.model,
        "version": prediction.version,
        "request_id": prediction.request_id,
    }


def _shown(probabilities: Mapping[str, float], top_k: int | None) -> dict[str, float]:
    if top_k is None:
        return dict(probabilities)
    return dict(sorted(probabilities.items(), key=lambda item: -item[1])[:top_k])


async def _picture(request: Request, target: Target) -> bytes:
    if target.dialect != "query":
        return await forms.picture(request.headers, request.body)
    return forms.chosen((*forms.query(request.query), *await forms.fields(request.headers, request.body)))


def _explain(network: Network, image: Grey, asked: int | None, batch: int) -> tuple[int, npt.NDArray[np.float32]]:
    def run(images: Grey) -> npt.NDArray[np.float32]:
        return network.run(images)[0]

    chosen = int(run(image[np.newaxis])[0].argmax()) if asked is None else asked
    return chosen, explanation.saliency(image, chosen, run, batch=batch)


def _about(route: Route) -> Headers:
    return _told(route.key[1], route.arm)


@lru_cache(maxsize=64)  # a few networks answer everything
def _told(version: str, arm: Arm) -> Headers:
    return ((b"x-model-version", version.encode()), (b"x-arm", arm.encode()))
