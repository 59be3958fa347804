"""The place of one worker: its lives come and go, and each takes batches from the queue. Knows no HTTP and no other post."""

import asyncio
import contextlib
import math
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from demlopment.errors import RequestError
from demlopment.serving import measured
from demlopment.serving.calls import Reply
from demlopment.serving.handlers.envelopes import ALONE
from demlopment.serving.handlers.jobs import Job, Waiting
from demlopment.serving.handlers.life import Life, LoadError, Outcome, WorkerDiedError
from demlopment.serving.handlers.output import Tell
from demlopment.serving.handlers.spec import Spec
from demlopment.serving.tally import Tally

# Seconds before a worker that failed is started again: TorchServe's, after a first attempt at once.
DELAYS = (0.0, 1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0)
SOON_SECONDS = 5.0  # two deaths closer than this have one cause, and restarting at once would only burn the processor


class Post:
    """Keeps one worker running until it is retired, or has failed for `spec.retry_timeout` seconds.

    `unstartable` is told of each worker that could not be started.
    """

    def __init__(
        self,
        worker: str,
        spec: Spec,
        waiting: Waiting,
        tally: Tally,
        work: Path,
        tell: Tell,
        unstartable: Callable[[], None] = lambda: None,
    ) -> None:
        self.worker = worker  # its id in TorchServe's terms
        self.pid = 0
        self.started = 0.0  # seconds since 1970
        self.ready = False
        self.failing = False  # whether the last attempt to start one failed
        self.given_up = ""  # why no worker is started any more, or nothing
        self.batch_seconds = 0.0  # that the last batch took
        self._spec, self._waiting, self._tally, self._work, self._tell = spec, waiting, tally, work, tell
        self._unstartable = unstartable
        self._name = f"W-{worker}-{spec.model}_{spec.version}"
        self._up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._retiring = asyncio.Event()
        self._life = asyncio.create_task(self._keep())

    async def up(self) -> None:
        """Wait for the first life to be ready. Raises LoadError if it fails; further lives are tried meanwhile."""
        await asyncio.shield(self._up)

    async def ended(self) -> None:
        """Wait until no life will follow."""
        await asyncio.wait({self._life})

    async def retire(self) -> None:
        """Let the worker finish the batch in hand, then end it."""
        self._retiring.set()
        await asyncio.shield(self._life)

    async def kill(self) -> None:
        """End the worker now."""
        self._retiring.set()
        self._life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._life

    async def _keep(self) -> None:
        failures, failing_since, died = 0, 0.0, -math.inf
        while not self._retiring.is_set():
            try:
                await self._live()
            except LoadError as error:
                failing_since = failing_since if failures else time.monotonic()
                failures += 1
                self.failing = True
                self._unstartable()
                if not self._may_fail(error, failing_since):
                    return
                delay = DELAYS[min(failures - 1 + self._spec.strict, len(DELAYS) - 1)]
            else:
                soon = time.monotonic() - died < SOON_SECONDS
                failures, died, delay = 0, time.monotonic(), DELAYS[1] if soon or self._spec.strict else 0.0
            if not self._retiring.is_set():
                self._tally.add("demlopment_worker_restarts_total", *self._spec.key)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._retiring.wait(), delay)

    def _may_fail(self, error: LoadError, since: float) -> bool:
        """Whether a life that never was ready may be followed by another."""
        if not self._up.done():
            self._up.set_exception(error)
            self._up.exception()  # retrieved: not everybody waits for it
        if time.monotonic() - since > self._spec.retry_timeout:
            self._give_up(error)
            return False
        self._tell(f"{self._name} cannot be started: {error.reason}.")
        return True

    async def _live(self) -> None:
        """One life. Raises LoadError if it never was ready."""
        try:
            life = await Life.begin(self._spec, self._name, self._work, self._tell)
        except OSError as refused:  # no memory, no process or no file descriptor left
            raise LoadError(f"its process cannot be started ({refused})") from refused
        self.pid, self.started = life.pid, life.started
        try:
            load_ms = await life.load()
            self._tally.gauge("WorkerLoadTime", self._name, "Host", value=load_ms)
            self.ready, self.failing = True, False
            if not self._up.done():
                self._up.set_result(None)
            await self._work_through(life)
        except LoadError:
            raise
        except Exception as fault:  # one of ours: the version goes on with another worker, and we are told
            self._tell(f"{self._name} met a fault of the endpoint: {''.join(traceback.format_exception(fault))}")
            if not self.ready:
                raise LoadError(f"the endpoint failed ({fault!r})") from fault
        finally:
            self.ready = False
            await life.end()

    async def _work_through(self, life: Life) -> None:
        gone, retiring = asyncio.create_task(life.gone()), asyncio.create_task(self._retiring.wait())
        try:
            while not self._retiring.is_set():
                batch = await self._batch(gone, retiring)
                if gone.done():
                    await self._waiting.put_back(batch)
                    if not self._retiring.is_set():
                        self._tell(f"{self._name} (process {self.pid}) has ended; another takes its place.")
                    return
                if batch and not await self._answer(life, batch):
                    return
        finally:
            gone.cancel()
            retiring.cancel()

    async def _batch(self, *ends: "asyncio.Task[None] | asyncio.Task[bool]") -> list[Job]:
        """The next jobs, or none when one of the `ends` came first."""
        spec = self._spec
        size = 1 if spec.envelope in ALONE and not spec.strict else max(spec.batch_size, 1)
        # A lone request waits for nobody: what comes while all workers are busy is the next batch.
        delay = spec.max_batch_delay / 1000 if spec.strict else 0.0
        taking = asyncio.create_task(self._waiting.take(size, max(delay, 0.0)))
        try:
            await asyncio.wait({taking, *ends}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if taking.done():
                await self._waiting.put_back(taking.result())
            raise
        finally:
            taking.cancel()
        return [] if not taking.done() else [job for job in taking.result() if job.wanted]

    async def _answer(self, life: Life, batch: list[Job]) -> bool:
        """Whether the worker is still there after this batch."""
        began = time.monotonic()
        try:
            outcome = await life.answer([job.call for job in batch], lambda parts: self._parts(batch, parts))
        except WorkerDiedError as died:
            self._tell(f"{self._name} (process {self.pid}) {died}; another takes its place.")
            await self._failed(batch, _refusal(500, "Worker died."))
            return False
        except BaseException:
            for job in batch:
                job.fail(_refusal(500, "Worker died."))
            raise
        self._count(batch, outcome, began)
        if outcome.status != 200:
            await self._failed(batch, _refusal(outcome.status, outcome.message, outcome.kind))
            # A leak has no other end: what is held now will be held in the next batch.
            return self._spec.strict or outcome.status != 507
        for job, reply in zip(batch, outcome.replies, strict=True):
            job.succeed(reply)
        return True

    def _parts(self, batch: Sequence[Job], parts: Sequence[Reply]) -> None:
        for job, part in zip(batch, parts, strict=True):
            job.part(part, self._spec.max_response_bytes)

    async def _failed(self, batch: Sequence[Job], error: RequestError) -> None:
        """A batch of several is tried again one by one, unless TorchServe's way is asked for: all of them fail."""
        again = len(batch) > 1 and not self._spec.strict
        for job in batch:
            job.alone = True
            if not again or job.stream is not None:
                job.fail(error)
        if again:
            await self._waiting.put_back(batch)

    def _count(self, batch: Sequence[Job], outcome: Outcome, began: float) -> None:
        now, model = time.monotonic(), self._spec.model
        self.batch_seconds = now - began
        for each in outcome.metrics:
            if each.name == "HandlerTime":  # which TorchServe's own handlers measure, and its metrics list
                self._tally.gauge(each.name, model, "Model", value=each.value)
            else:
                measured.note(self._tally, self._spec.key, each)
        if outcome.status != 200:
            return
        for job in batch:
            self._tally.add("ts_queue_latency_microseconds", model, job.call.asked, amount=(began - job.since) * 1e6)
        self._tally.gauge("QueueTime", "Host", value=1000 * (began - batch[-1].since))
        self._tally.gauge("WorkerThreadTime", "Host", value=max(1000 * (now - began) - outcome.prediction_ms, 0.0))
        self._tally.gauge("PredictionTime", model, "Model", value=outcome.prediction_ms)

    def _give_up(self, error: LoadError) -> None:
        self.given_up = error.reason
        self._tell(f"{self._name} was not ready within {self._spec.retry_timeout:g} s and is given up: {error.reason}.")


def _refusal(status: int, message: str, kind: str = "InternalServerException") -> RequestError:
    return RequestError(message, status=status, kind=kind)
