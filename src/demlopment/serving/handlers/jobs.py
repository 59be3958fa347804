"""Requests that wait for a worker, and answers that are still being written. Knows no process and no HTTP."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from demlopment.errors import NotReadyError, RequestError
from demlopment.serving.calls import Call, RecalledError, Reply


class Stream(AsyncIterator[bytes]):
    """The rest of a body, from whoever receives it to whoever sends it on, holding `limit` bytes at most.

    Raises NotReadyError where it is cut off: the response is not whole, and must not look so.
    """

    def __init__(self, limit: int) -> None:
        self._parts: deque[bytes | NotReadyError | None] = deque()
        self._held, self._limit = 0, limit
        self._news = asyncio.Event()

    def put(self, part: bytes) -> None:
        """Add a part; one too many cuts the stream off, because its reader is too slow."""
        self._held += len(part)
        if self._held > self._limit:
            self.cut(f"more than {self._limit} bytes wait for its reader")
        else:
            self._add(part)

    def end(self) -> None:
        self._add(None)

    def cut(self, reason: str) -> None:
        self._add(NotReadyError(f"The response was cut off: {reason}.", "Send the request again."))

    async def __anext__(self) -> bytes:
        while not self._parts:
            self._news.clear()
            await self._news.wait()
        part = self._parts[0]
        if part is None:
            raise StopAsyncIteration
        if isinstance(part, NotReadyError):
            raise part
        self._parts.popleft()
        self._held -= len(part)
        return part

    def _add(self, part: bytes | NotReadyError | None) -> None:
        if not self._parts or isinstance(self._parts[-1], bytes):  # nothing comes after an end
            self._parts.append(part)
            self._news.set()


@dataclass(eq=False)
class Job:
    """One request, from the queue to its answer."""

    call: Call
    answer: "asyncio.Future[Reply]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    since: float = field(default_factory=time.monotonic)
    alone: bool = False  # not to be put into a batch with others
    stream: Stream | None = None
    recalled: bool = False  # wanted back, as soon as no worker has it

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for the answer or the rest of it."""
        return not self.answer.done()

    def succeed(self, reply: Reply) -> None:
        if self.stream is not None:
            self.stream.put(reply.body)
            self.stream.end()
        elif self.wanted:
            self.answer.set_result(reply)

    def part(self, reply: Reply, limit: int) -> None:
        """A part of the answer: the first one carries status and headers, and starts the stream of the others."""
        if self.stream is not None:
            self.stream.put(reply.body)
        elif self.wanted:
            self.stream = Stream(limit)
            self.answer.set_result(Reply(reply.status, reply.phrase, reply.headers, reply.body, self.stream))

    def fail(self, error: RequestError) -> None:
        if self.stream is not None:
            self.stream.cut(error.problem)
        elif self.wanted:
            self.answer.set_exception(error)
            self.answer.exception()  # retrieved: whoever asked may have gone in this very moment

    def give_back(self, *, broken: bool = False) -> None:
        """To whoever asked; `broken`: because no worker can be started."""
        if self.wanted:
            self.answer.set_exception(RecalledError(broken=broken))
            self.answer.exception()


class Waiting:
    """The queue of one version, first come first served."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._watching: list[asyncio.Future[None]] = []  # whoever waits for a job

    def __len__(self) -> int:
        return len(self._jobs)

    async def add(self, job: Job) -> None:
        self._jobs.append(job)
        self._tell()

    async def put_back(self, jobs: Sequence[Job]) -> None:
        """Return jobs that were taken: they are next, but for those that were recalled meanwhile."""
        for job in jobs:
            if job.recalled:
                job.give_back()
        self._jobs.extendleft(reversed([job for job in jobs if job.wanted]))
        self._tell()

    def discard(self, job: Job) -> None:
        """Forget a job that nobody wants any more, if it still waits."""
        if job in self._jobs:  # the error of `remove` would hold a print of the whole body
            self._jobs.remove(job)

    def recall(self, job: Job) -> None:
        """Give a job back, now if it waits, or when a worker that has it could not answer."""
        job.recalled = True
        if job in self._jobs:
            self._jobs.remove(job)
            job.give_back()

    def give_back_spare(self) -> None:
        """What somebody else answers, because no worker can be started."""
        spare = [job for job in self._jobs if job.call.spare]
        for job in spare:
            self._jobs.remove(job)
            job.give_back(broken=True)

    async def take(self, size: int, delay: float) -> list[Job]:
        """The next batch. Waits for the first job, and `delay` seconds at most for as many as `size`.

        Nothing is taken before the last moment, so a cancelled call loses no job.
        """
        while True:
            while not self._jobs:
                await self._change()
            if delay and not self._jobs[0].alone:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        while len(self._jobs) < size:
                            await self._change()
            batch = self._next(size)
            if batch:  # another worker may have been quicker
                return batch

    def fail_all(self, error: RequestError) -> None:
        while self._jobs:
            self._jobs.popleft().fail(error)

    def _next(self, size: int) -> list[Job]:
        batch: list[Job] = []
        while self._jobs and len(batch) < size:
            if batch and (self._jobs[0].alone or batch[0].alone):
                break
            batch.append(self._jobs.popleft())
        return batch

    async def _change(self) -> None:
        watching = asyncio.get_running_loop().create_future()
        self._watching.append(watching)
        await watching

    def _tell(self) -> None:
        watching, self._watching = self._watching, []
        for each in watching:
            if not each.done():
                each.set_result(None)
