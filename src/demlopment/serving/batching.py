"""Answer together what waits together. Knows networks and the journal; knows nothing of HTTP.

The requests that one round of the event loop has parsed are decoded, inferred and journalled in one go at its end, so
batches grow exactly when the process is busy and a lone request never waits for company.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from demlopment import seen
from demlopment.errors import DemlopmentError, NotReadyError, RequestError
from demlopment.records import Prediction
from demlopment.seen import Seen
from demlopment.serving.engine import Network, Route
from demlopment.serving.failures import FailureLog
from demlopment.serving.journal import Journal
from demlopment.serving.shadows import Shadows
from demlopment.serving.tally import Tally

Told = Callable[[Prediction | DemlopmentError], None]

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Waiting:
    """One request between its last byte and its answer, which is `told` once."""

    route: Route
    network: Network  # of the route
    request_id: str
    picture: bytes | Seen
    since: float  # of time.perf_counter
    told: Told
    over: bool = False

    def tell(self, outcome: Prediction | DemlopmentError) -> None:
        if self.over:
            return
        self.over = True
        try:
            self.told(outcome)
        except Exception:  # a bug of ours in one answer must not silence the others of its batch
            log.exception("The answer %s was not told", self.request_id)


class Batch(NamedTuple):
    """What one network is asked together, with the pictures that it is going to see."""

    network: Network
    waiting: Sequence[Waiting]
    prepared: Sequence[Seen]
    seconds: float  # that preparing took


class Answered(NamedTuple):
    """What the network said to it, which is not in the journal yet."""

    batch: Batch
    predictions: Sequence[Prediction]
    seconds: float  # that the network took


@dataclass(eq=False)
class Batching:
    """The requests that wait in this process."""

    journal: Journal
    tally: Tally
    max_batch: int
    now: Callable[[], float] = time.time
    shadows: Shadows = field(init=False)
    _waiting: list[Waiting] = field(default_factory=list)
    log: FailureLog = field(default_factory=lambda: FailureLog("on a picture"))

    def __post_init__(self) -> None:
        self.shadows = Shadows(self.journal, self.tally, self.now)

    async def predict(self, route: Route, request_id: str, picture: bytes | Seen) -> Prediction:
        """The journalled answer of a network for one picture: encoded bytes, or an array as the network sees it.

        Raises RequestError for a picture that cannot be read, and NotReadyError if the journal refuses it; a journal that
        serves without a record lets it pass, counted.
        """
        answer: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()

        def told(outcome: Prediction | DemlopmentError) -> None:
            if answer.done():  # cancelled, when the process is being stopped
                return
            if isinstance(outcome, Prediction):
                answer.set_result(outcome)
            else:
                answer.set_exception(outcome)

        self.ask(route, request_id, picture, told)
        return await answer

    def ask(self, route: Route, request_id: str, picture: bytes | Seen, told: Told) -> None:
        """As `predict`, for a caller without a task: `told` is given what `predict` returns or raises."""
        assert route.network is not None, "handlers are asked elsewhere"
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(Waiting(route, route.network, request_id, picture, time.perf_counter(), told))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            # Each step for everybody before the next one: the first time around, its code is not in the processor's caches.
            batches = [_prepared(network, group) for network, group in self._together(waiting)]
            answered = [answers for each in batches if each.waiting for answers in self._answered(each)]
            if answered:
                self._acknowledge(answered)
        finally:
            # If a bug of ours ends up here, its clients get an error instead of silence.
            for each in waiting:
                if not each.over:
                    each.tell(NotReadyError("Prediction failed", ""))

    def _together(self, waiting: Sequence[Waiting]) -> Iterator[tuple[Network, Sequence[Waiting]]]:
        groups: dict[Network, list[Waiting]] = {}
        for each in waiting:
            groups.setdefault(each.network, []).append(each)
        for network, group in groups.items():
            for first in range(0, len(group), self.max_batch):
                yield network, group[first : first + self.max_batch]

    def _answered(self, batch: Batch) -> list[Answered]:
        """The answers to a batch, or to its requests one by one where the network fails: nobody pays for another's picture."""
        network, first = batch.network, batch.waiting[0]
        began = time.perf_counter()
        try:
            probabilities, embeddings = network.run(seen.stacked(batch.prepared))
            ended = time.perf_counter()
            predictions = _predictions(batch, probabilities, embeddings, self.now(), ended)
        except Exception:
            if len(batch.waiting) > 1:
                return [answers for each in _one_by_one(batch) for answers in self._answered(each)]
            self.log.exception(network.key)
            first.tell(RequestError("Prediction failed", status=503, kind="InternalServerException"))
            if first.route.watch is not None and first.route.arm == "treatment":
                first.route.watch.fail()
            return []
        return [Answered(batch, predictions, ended - began)]

    def _acknowledge(self, answered: Sequence[Answered]) -> None:
        """Both arms of an experiment in one transaction: its price is for the transaction, hardly for the rows."""
        began = time.perf_counter()
        everything = [prediction for each in answered for prediction in each.predictions]
        try:
            recorded = self.journal.record(everything)
        except NotReadyError as refused:
            self.tally.add("demlopment_journal_refused_total", amount=len(everything))
            for each in (waiting for one in answered for waiting in one.batch.waiting):
                each.tell(NotReadyError(refused.problem, refused.remedy))
            return
        if not recorded:
            self.tally.add("demlopment_journal_unrecorded_total", amount=len(everything))
        for one in answered:
            for each, prediction in zip(one.batch.waiting, one.predictions, strict=True):
                each.tell(prediction)
                if each.route.shadows:
                    self.shadows.ask(each.route.shadows, prediction, each.route.watch)
                if each.route.watch is not None:
                    each.route.watch.answer(prediction, one.seconds * 1000)
            self._count(one, began)

    def _count(self, one: Answered, acknowledging: float) -> None:
        """Whatever was done for other networks meanwhile, this batch has waited for; `acknowledging` began then."""
        done = time.perf_counter()
        (network, waiting, _, preparing), network_ms = one.batch, one.seconds * 1000
        work = preparing + one.seconds + done - acknowledging
        took = [done - each.since for each in waiting]
        self.tally.histogram("demlopment_prediction_seconds", network.model, network.version).observe(*took)
        sums: dict[tuple[str, str], list[float]] = {}  # seconds of each request, by arm and version as asked
        for each, seconds in zip(waiting, took, strict=True):
            sums.setdefault((each.route.arm, each.route.asked), []).append(seconds)
        for (arm, asked), those in sums.items():
            count, seconds = len(those), sum(those)
            queued = seconds - count * work
            self.tally.add("demlopment_predictions_total", network.model, network.version, arm, amount=count)
            self.tally.add("ts_inference_latency_microseconds", network.model, asked, amount=seconds * 1e6)
            self.tally.add("ts_queue_latency_microseconds", network.model, asked, amount=queued * 1e6)
        self.tally.gauge("QueueTime", "Host", value=(took[0] - work) * 1000)
        self.tally.gauge("WorkerThreadTime", "Host", value=work * 1000 - network_ms)
        self.tally.gauge("HandlerTime", network.model, "Model", value=preparing * 1000 + network_ms)
        self.tally.gauge("PredictionTime", network.model, "Model", value=network_ms)


def _prepared(network: Network, waiting: Sequence[Waiting]) -> Batch:
    """Those whose picture can be read, with it prepared; the others are told what is wrong."""
    started = time.perf_counter()
    kept, prepared = [], []
    prepare = seen.preparation(network.columns)
    for each in waiting:
        try:
            prepared.append(prepare(each.picture) if isinstance(each.picture, bytes) else each.picture)
        except seen.UNREADABLE as error:
            each.tell(RequestError(str(error)))
        else:
            kept.append(each)
    return Batch(network, kept, prepared, time.perf_counter() - started)


def _one_by_one(batch: Batch) -> list[Batch]:
    seconds = batch.seconds / len(batch.waiting)
    pairs = zip(batch.waiting, batch.prepared, strict=True)
    return [Batch(batch.network, [each], [shown], seconds) for each, shown in pairs]


def _predictions(
    batch: Batch, probabilities: npt.NDArray[np.float32], embeddings: npt.NDArray[np.float32], at: float, ended: float
) -> list[Prediction]:
    """What is journalled and told of a batch: `at` in seconds since 1970, `ended` of time.perf_counter."""
    network, waiting, prepared, _ = batch
    model, version, classes = network.model, network.version, network.classes
    best = probabilities.argmax(axis=1).tolist()
    return [
        Prediction(  # in the order of its fields: named they take twice as long
            each.request_id,
            at,
            model,
            version,
            each.route.arm,
            each.route.unit,
            shown,
            classes[index],
            row,
            embedding,
            (ended - each.since) * 1000,
            hashlib.sha256(shown.data).hexdigest(),
        )
        for each, shown, index, row, embedding in zip(waiting, prepared, best, probabilities, embeddings, strict=True)
    ]
