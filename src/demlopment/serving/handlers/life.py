"""One worker process as the supervisor sees it: start it, let it load, give it batches, end it. Knows no queue."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from demlopment.serving.calls import Call, Reply
from demlopment.serving.handlers import offspring
from demlopment.serving.handlers.environment import reduced
from demlopment.serving.handlers.frames import BrokenFrameError, Frame, Line
from demlopment.serving.handlers.output import Output, Tell
from demlopment.serving.handlers.spec import Spec
from demlopment.serving.measured import Measured

OnPart = Callable[[list[Reply]], None]

SMALL_FRAME = 1 << 20  # bytes beside the bodies: headers, metrics
END_SECONDS = 5.0  # from a kill to the end of the process
# A handler can write to the line itself, so nothing on it is taken for granted: this is what reading it can raise.
UNINTELLIGIBLE = (BrokenFrameError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class WorkerDiedError(Exception):
    """The worker ended, was late, or wrote what cannot be understood, before it had answered."""


class LoadError(Exception):
    """The handler could not be loaded: `reason` is its last words, `status` 507 when memory was short, otherwise 500."""

    def __init__(self, reason: str, status: int = 500) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


@dataclass(frozen=True)
class Outcome:
    """What became of one batch."""

    status: int  # 200, or the one that every request of the batch gets
    message: str
    kind: str
    replies: list[Reply]
    prediction_ms: float
    metrics: list[Measured]


class Life:
    """From `begin` to `end`."""

    def __init__(self, spec: Spec, place: Path, process: asyncio.subprocess.Process, output: Output) -> None:
        self.pid, self.started = process.pid, time.time()
        self._spec, self._place, self._process, self._output = spec, place, process, output
        self._line: Line

    @classmethod
    async def begin(cls, spec: Spec, name: str, work: Path, tell: Tell) -> "Life":
        """A process whose home is a fresh folder below `work`. Raises OSError where the machine has no room for another."""
        work.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=work))
        ours, theirs = socket.socketpair()
        output, writing = await Output.open(f"[{name}] ", tell)
        try:
            with theirs, open(writing, "wb") as end:  # noqa: PTH123  # a file descriptor is no path
                process = await _spawn(theirs, end, place, spec)
        except BaseException:
            ours.close()
            await output.end()
            shutil.rmtree(place, ignore_errors=True)
            raise
        life = cls(spec, place, process, output)
        life._line = await Line.open(ours)
        return life

    async def load(self) -> float:
        """Milliseconds until the handler was ready. Raises LoadError."""
        spec = self._spec
        order = {
            "model": spec.model,
            "version": spec.version,
            "folder": str(spec.folder),
            "handler": spec.handler,
            "batch_size": spec.batch_size,
            "envelope": spec.envelope,
            "strict": spec.strict,
            "memory_mb": spec.memory_mb,
            "supervisor": os.getpid(),
        }
        try:
            async with asyncio.timeout(spec.startup_timeout):
                await self._line.send(order)
                frame = await self._line.receive(SMALL_FRAME)
        except TimeoutError:
            raise LoadError(f"its handler was not loaded within {spec.startup_timeout:g} s") from None
        except ConnectionError:
            frame = None
        if frame is None:
            raise LoadError(f"its worker {await self._ending()} while it loaded the handler")
        if frame.header.get("said") != "ready":
            raise LoadError(spec.explained(str(frame.header.get("reason"))), 507 if frame.header.get("status") == 507 else 500)
        try:
            return float(frame.header["load_ms"])
        except UNINTELLIGIBLE as broken:
            raise LoadError(f"its worker wrote {broken!r}") from broken

    async def answer(self, calls: Sequence[Call], on_part: OnPart) -> Outcome:
        """Have one batch answered; parts of streams are handed over as they come. Raises WorkerDiedError."""
        limit = len(calls) * self._spec.max_response_bytes + SMALL_FRAME
        requests = [
            {"id": call.request_id, "headers": dict(call.headers), "fields": [(f.name, f.content_type) for f in call.fields]}
            for call in calls
        ]
        blobs = [each.content for call in calls for each in call.fields]
        try:
            async with asyncio.timeout(self._spec.response_timeout) as patience:
                await self._line.send({"requests": requests}, blobs)
                while (frame := await self._line.receive(limit)) is not None:
                    if frame.header.get("said") != "part":
                        return self._outcome(frame, len(calls))
                    on_part(self._replies(frame, len(calls)))
                    patience.reschedule(asyncio.get_running_loop().time() + self._spec.response_timeout)
            raise WorkerDiedError(await self._ending())
        except TimeoutError:
            raise WorkerDiedError(f"did not answer within {self._spec.response_timeout:g} s") from None
        except UNINTELLIGIBLE as broken:
            raise WorkerDiedError(f"wrote {broken}") from broken
        except ConnectionError:
            raise WorkerDiedError(await self._ending()) from None

    async def gone(self) -> None:
        """Wait for the process to end by itself."""
        await self._process.wait()

    async def end(self) -> None:
        """Kill the process and what it started, if they are still there, and remove its folder; also if cancelled meanwhile."""
        ending = asyncio.create_task(self._end())
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise

    async def _end(self) -> None:
        self._line.close()
        await asyncio.to_thread(offspring.kill, self.pid, str(self._place))
        await self._process.wait()
        await self._output.end()
        shutil.rmtree(self._place, ignore_errors=True)

    async def _ending(self) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                code = await self._process.wait()
                return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        return "closed its line"

    def _outcome(self, frame: Frame, count: int) -> Outcome:
        header = frame.header
        metrics = [_measured(*each) for each in header["metrics"]]
        status = int(header["status"])
        if not 200 <= status <= 599:  # a 1xx would make a client wait for the answer behind it
            words = f"The handler of {' '.join(self._spec.key)} sent the status {status}. It is no HTTP."
            return Outcome(500, words, "InternalServerException", [], 0.0, metrics)
        if status != 200:
            return Outcome(status, str(header["message"]), str(header["kind"]), [], 0.0, metrics)
        return Outcome(200, "", "", self._replies(frame, count), float(header["prediction_ms"]), metrics)

    def _replies(self, frame: Frame, count: int) -> list[Reply]:
        replies = [
            Reply(
                int(each["status"]),
                str(each["phrase"]),
                tuple((str(name), str(value)) for name, value in each["headers"]),
                bytes(body),  # a view would hold the answers of the whole batch as long as its slowest client
            )
            for each, body in zip(frame.header["replies"], frame.blobs, strict=True)
        ]
        longest = max((len(reply.body) for reply in replies), default=0)
        if len(replies) != count or longest > self._spec.max_response_bytes:
            raise ValueError(f"{len(replies)} responses to {count} requests, the longest of {longest} bytes")
        return replies


def _measured(name: str, kind: str, unit: str, value: float, labels: Sequence[tuple[str, str]]) -> Measured:
    return Measured(str(name), str(kind), str(unit), float(value), tuple((str(label), str(text)) for label, text in labels))


async def _spawn(line: socket.socket, output: IO[bytes], place: Path, spec: Spec) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # the working directory is no place to import from
        "-m",
        "demlopment.serving.handlers.worker",
        "--line",
        str(line.fileno()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=place,
        env=reduced(os.environ, place, spec.hidden, spec.passed, strict=spec.strict) | {offspring.MARK: str(place)},
        pass_fds=(line.fileno(),),
        start_new_session=True,  # so that what the handler starts ends with it
    )
