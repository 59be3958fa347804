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
from demlopment.serving.engine import Key, Network, Route
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


class Read(NamedTuple):
    """What one network is asked together, with the pictures that it is going to see."""

    network: Network
    batch: Sequence[Waiting]
    prepared: Sequence[Seen]
    started: float  # of time.perf_counter
    seconds: float  # that reading took


class Answered(NamedTuple):
    """What the network said to it, which is not in the journal yet."""

    read: Read
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
    _failed: set[Key] = field(default_factory=set)  # networks that have failed on a picture

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
            read = [_read(network, batch) for network, batch in self._together(waiting)]
            answered = [answers for each in read if each.batch for answers in self._answered(each)]
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

    def _answered(self, read: Read) -> list[Answered]:
        """The answers to a batch, or to its requests one by one where the network fails: nobody pays for another's picture."""
        network, batch = read.network, read.batch
        try:
            began = time.perf_counter()
            probabilities, embeddings = network.run(seen.stacked(read.prepared))
            ended = time.perf_counter()
            predictions = _predictions(read, probabilities, embeddings, self.now(), ended)
        except Exception:
            if len(batch) > 1:
                return [answers for each in _one_by_one(read) for answers in self._answered(each)]
            if network.key not in self._failed:  # once: a network that always fails would fill a disk
                self._failed.add(network.key)
                log.exception("%s %s failed on a picture; it is said once", *network.key)
            batch[0].tell(RequestError("Prediction failed", status=503, kind="InternalServerException"))
            if batch[0].route.watch is not None and batch[0].route.arm == "treatment":
                batch[0].route.watch.fail()
            return []
        return [Answered(read, predictions, ended - began)]

    def _acknowledge(self, answered: Sequence[Answered]) -> None:
        """Both arms of an experiment in one transaction: its price is for the transaction, hardly for the rows."""
        everything = [prediction for each in answered for prediction in each.predictions]
        try:
            recorded = self.journal.record(everything)
        except NotReadyError as refused:
            self.tally.add("demlopment_journal_refused_total", amount=len(everything))
            for each in (waiting for one in answered for waiting in one.read.batch):
                each.tell(NotReadyError(refused.problem, refused.remedy))
            return
        if not recorded:
            self.tally.add("demlopment_journal_unrecorded_total", amount=len(everything))
        for one in answered:
            for each, prediction in zip(one.read.batch, one.predictions, strict=True):
                each.tell(prediction)
                if each.route.shadows:
                    self.shadows.ask(each.route.shadows, prediction, each.route.watch)
                if each.route.watch is not None:
                    each.route.watch.answer(prediction, one.seconds * 1000)
            self._count(one)

    def _count(self, one: Answered) -> None:
        done = time.perf_counter()
        (network, batch, _, started, reading), network_ms = one.read, one.seconds * 1000
        took = [done - each.since for each in batch]
        self.tally.histogram("demlopment_prediction_seconds", network.model, network.version).observe(*took)
        sums: dict[tuple[str, str], list[float]] = {}  # seconds of each request, by arm and version as asked
        for each, seconds in zip(batch, took, strict=True):
            sums.setdefault((each.route.arm, each.route.asked), []).append(seconds)
        for (arm, asked), those in sums.items():
            count, seconds = len(those), sum(those)
            queued = seconds - count * (done - started)
            self.tally.add("demlopment_predictions_total", network.model, network.version, arm, amount=count)
            self.tally.add("ts_inference_latency_microseconds", network.model, asked, amount=seconds * 1e6)
            self.tally.add("ts_queue_latency_microseconds", network.model, asked, amount=queued * 1e6)
        self.tally.gauge("QueueTime", "Host", value=(started - batch[0].since) * 1000)
        self.tally.gauge("WorkerThreadTime", "Host", value=(done - started) * 1000 - network_ms)
        self.tally.gauge("HandlerTime", network.model, "Model", value=reading * 1000 + network_ms)
        self.tally.gauge("PredictionTime", network.model, "Model", value=network_ms)


def _read(network: Network, batch: Sequence[Waiting]) -> Read:
    """Those whose picture can be read, with it prepared; the others are told what is wrong."""
    started = time.perf_counter()
    kept, prepared = [], []
    prepare = seen.preparation(network.columns)
    for each in batch:
        try:
            prepared.append(prepare(each.picture) if isinstance(each.picture, bytes) else each.picture)
        except seen.UNREADABLE as error:
            each.tell(RequestError(str(error)))
        else:
            kept.append(each)
    return Read(network, kept, prepared, started, time.perf_counter() - started)


def _one_by_one(read: Read) -> list[Read]:
    seconds = read.seconds / len(read.batch)
    pairs = zip(read.batch, read.prepared, strict=True)
    return [read._replace(batch=[each], prepared=[shown], seconds=seconds) for each, shown in pairs]


def _predictions(
    read: Read, probabilities: npt.NDArray[np.float32], embeddings: npt.NDArray[np.float32], at: float, ended: float
) -> list[Prediction]:
    """What is journalled and told of a batch: `at` in seconds since 1970, `ended` of time.perf_counter."""
    network, batch, prepared = read.network, read.batch, read.prepared
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
        for each, shown, index, row, embedding in zip(batch, prepared, best, probabilities, embeddings, strict=True)
    ]
