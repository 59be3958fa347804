"""The workers of one version and the queue before them. Knows TorchServe's words for a request that gets no answer."""

import asyncio
import itertools
import json
import math
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demlopment.errors import RequestError
from demlopment.serving.calls import Call, RecalledError, Reply
from demlopment.serving.description import Worker
from demlopment.serving.handlers.jobs import Job, Waiting
from demlopment.serving.handlers.output import Tell
from demlopment.serving.handlers.post import Post
from demlopment.serving.handlers.spec import Spec
from demlopment.serving.http import wire
from demlopment.serving.tally import Tally

NO_WORKER = "{subject} has no worker to serve {what} request. Please use scale workers API to add workers."
# TorchServe's text goes on so, also for a queue that is full.
SEQUENCE = " If this is a sequence inference, please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize"
LONGEST_RETRY = 60  # seconds a client is asked to wait when the queue is full


class Pool:
    """Starts with no worker; `numbers` names them."""

    def __init__(self, spec: Spec, tally: Tally, work: Path, tell: Tell, numbers: Iterator[int] | None = None) -> None:
        self.spec = spec
        self._tally, self._work, self._tell = tally, work, tell
        self._numbers = numbers or itertools.count(1)
        self._posts: list[Post] = []
        self._waiting = Waiting()
        self._open: set[Job] = set()
        self._stopped = False

    async def start(self) -> None:
        """Have one worker ready. Raises LoadError, and leaves no process, if its handler cannot be loaded."""
        (post,) = self._add(1)
        try:
            await post.up()
        except BaseException:
            await self.stop()
            raise

    def scale(self, spec: Spec) -> None:
        """Have as many workers as `spec` says from now on; one that goes finishes its batch first."""
        self.spec = spec
        self._posts = [post for post in self._posts if not post.given_up]
        if len(self._posts) < spec.min_workers:
            self._add(spec.min_workers - len(self._posts))
        while len(self._posts) > max(spec.max_workers, spec.min_workers):
            _keep(self._posts.pop().retire())

    async def settled(self) -> None:
        """Wait until every worker is ready. Raises LoadError for the first that could not load the handler."""
        for post in list(self._posts):
            await post.up()

    async def ask(self, call: Call) -> Reply:
        """As calls.Handlers; a full queue is a reply too, because it says when to try again."""
        if call.spare and self._broken:
            raise RecalledError(broken=True)
        self._require_worker("inference", SEQUENCE, call.asked)
        if len(self._waiting) >= self.spec.queue_size:
            return self._full(call.asked)
        return await self._answer(Job(call))

    def recall(self, call: Call) -> None:
        """Whoever asked wants the call back, if no worker has it."""
        for job in self._open:
            if job.call is call:
                self._waiting.recall(job)

    async def describe(self) -> dict[str, Any]:
        """What the handler's own description says; nothing if it is no JSON object. Raises RequestError as `ask`."""
        self._require_worker("describe")
        call = Call(str(uuid.uuid4()), {"describe": "True", "explain": "False", "url_path": ""}, ())
        reply = await self._answer(Job(call, alone=True))
        try:
            said = json.loads(reply.body)
        except (ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}

    def workers(self) -> list[Worker]:
        """Every worker, as the management port lists them."""
        return [Worker(post.worker, post.pid, post.started, post.ready) for post in self._posts if not post.given_up]

    def queue(self) -> tuple[int, int]:
        """How many requests may still come, and how many wait."""
        return max(self.spec.queue_size - len(self._waiting), 0), len(self._waiting)

    @property
    def given_up(self) -> str:
        """Why fewer workers run than asked for, for good; or nothing."""
        return next((post.given_up for post in self._posts if post.given_up), "")

    async def drain(self, seconds: float) -> bool:
        """Answer what has been asked, then end; False if some of it was not answered in time and is refused."""
        done = True
        try:
            async with asyncio.timeout(seconds):
                while self._open and any(not post.given_up for post in self._posts):
                    await asyncio.wait([job.answer for job in self._open])
                    await asyncio.sleep(0)  # whoever asked takes the job off the list
                # Answers that come in parts are still being written.
                await asyncio.gather(*(post.retire() for post in self._posts))
        except TimeoutError:
            done = False
        await self.stop()
        return done

    async def stop(self) -> None:
        """End every worker now; what waits is refused."""
        self._stopped = True
        await asyncio.gather(*(post.kill() for post in self._posts))
        self._posts.clear()
        self._waiting.fail_all(no_worker(self.spec.model))

    def _add(self, count: int) -> list[Post]:
        new = [
            Post(str(next(self._numbers)), self.spec, self._waiting, self._tally, self._work, self._tell, self._failed)
            for _ in range(count)
        ]
        self._posts += new
        for post in new:
            _keep(self._refuse_when_given_up(post))
        return new

    @property
    def _broken(self) -> bool:
        """Whether nobody takes what waits, as far as one can see."""
        return self._stopped or all(post.given_up or post.failing for post in self._posts)

    def _failed(self) -> None:
        """A worker could not be started."""
        if self._broken:
            self._waiting.give_back_spare()

    async def _refuse_when_given_up(self, post: Post) -> None:
        """When the last worker has been given up, nobody will ever take what waits."""
        await post.ended()
        if all(each.given_up for each in self._posts):
            self._waiting.fail_all(no_worker(self.spec.model))

    async def _answer(self, job: Job) -> Reply:
        self._open.add(job)
        try:
            await self._waiting.add(job)
            async with asyncio.timeout(self.spec.client_timeout / 1000 or None):
                return await job.answer
        except TimeoutError:
            # TorchServe would say nothing at all and leave the client waiting, also by the letter a hole.
            raise RequestError(
                f'Model "{self.spec.model}" did not answer within clientTimeoutInMills, {self.spec.client_timeout}.',
                status=408,
                kind="RequestTimeoutException",
            ) from None
        finally:
            job.answer.cancel()
            self._waiting.discard(job)
            self._open.discard(job)

    def _require_worker(self, what: str, more: str = "", asked: str = "default") -> None:
        if self._stopped or all(post.given_up for post in self._posts):
            raise no_worker(self.spec.model, what, more, asked)

    def _full(self, asked: str) -> Reply:
        spec = self.spec
        if spec.strict:
            raise no_worker(spec.model, asked=asked)
        words = f'The job queue of model "{spec.model}" version {spec.version} is full: {spec.queue_size} requests wait.'
        triple = {"code": spec.queue_full_status, "type": "ServiceUnavailableException", "message": words}
        batches = math.ceil(spec.queue_size / (spec.batch_size * max(len(self._posts), 1)))
        seconds = max((post.batch_seconds for post in self._posts), default=0.0) * batches
        headers = (("content-type", "application/json"), ("retry-after", str(min(math.ceil(seconds) or 1, LONGEST_RETRY))))
        return Reply(spec.queue_full_status, "", headers, wire.as_json(triple).body)


def no_worker(model: str, what: str = "inference", more: str = SEQUENCE, asked: str = "default") -> RequestError:
    """TorchServe's answer where nobody serves a version, with its unbalanced quote where the request named it."""
    subject = f'Model "{model}"' if asked == "default" else f'Model "{model}" Version {asked}"'
    message = NO_WORKER.format(subject=subject, what=what) + more
    return RequestError(message, status=503, kind="ServiceUnavailableException")


_TASKS: set["asyncio.Task[Any]"] = set()


def _keep(work: Any) -> None:
    """Run in the background; a task that nobody refers to may vanish."""
    task = asyncio.create_task(work)
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
