"""The place of one serving process: its lives come and go, its socket stays. Knows commands; knows no model and no path.

The listening socket is open here as well as in the process, so a crash loses no waiting connection: the successor
accepts it.
"""

import asyncio
import contextlib
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from demlopment.errors import NotReadyError
from demlopment.serving import state, tally
from demlopment.serving.control import Line, LineClosedError
from demlopment.serving.guardrails import Breach
from demlopment.serving.http.server import LINGER_SECONDS
from demlopment.serving.launch import Launch
from demlopment.serving.state import State
from demlopment.serving.tally import Tally
from demlopment.serving.tokens import Permits

Key = tuple[str, str]  # model, version
Tell = Callable[[str], None]  # what a person should know
Heard = Callable[[Breach], None]  # what a process has found out about a canary
Attend = Callable[[socket.socket], Coroutine[Any, Any, None]]  # runs handlers for whoever holds the other end

START_SECONDS = 60.0  # imports and loading take about one; a process that needs more is stuck
OBEY_SECONDS = 10.0  # a process that cannot even let go of a canary in this time is stuck
COLLECT_SECONDS = 1.0  # a scrape does not wait longer for a busy process: its last counts stand
DRAIN_SECONDS = LINGER_SECONDS + 2  # besides what requests in hand are given
LEAVE_SECONDS = 5.0  # from the last reply to the end of the process
SOON_SECONDS = 5.0  # two deaths closer than this have one cause, and restarting at once would only burn the processor
FIRST_DELAY, LAST_DELAY = 0.2, 10.0  # seconds before such a restart, doubling


class Slot:
    """Keeps one serving process running on `listener`, answering by the state and letting in by the permits of `current`."""

    def __init__(
        self,
        worker: str,
        listener: socket.socket,
        launch: Launch,
        current: Callable[[], tuple[State, Permits]],
        attend: Attend,
        tell: Tell,
        heard: Heard,
    ) -> None:
        self.worker = worker
        self.pid = 0
        self.started = 0.0  # seconds since 1970
        self.held: frozenset[Key] = frozenset()  # what its process has loaded
        self.failed: dict[Key, str] = {}  # what it should have loaded and could not, with the reason
        self.restarts = 0
        self.late = 0  # times in a row that it was too busy to say what happened
        self.tally = Tally()  # of this life, as last seen
        self.past = Tally()  # of all lives that have ended
        self._listener, self._launch, self._current, self._attend, self._tell = listener, launch, current, attend, tell
        self._heard = heard
        self._line: Line | None = None
        self._up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._retiring = asyncio.Event()
        self._life = asyncio.create_task(self._keep())

    @property
    def running(self) -> bool:
        """Whether there is a process just now."""
        return self._line is not None

    async def up(self) -> None:
        """Wait for the first life to answer. Raises NotReadyError if it died before."""
        await asyncio.shield(self._up)

    async def prepare(self, generation: State) -> dict[Key, str]:
        """What the process could not load of a generation that is not in force yet; nothing if it is dead just now.

        A process that dies of loading has failed at all that is new: put in force, it would kill every successor.
        """
        lived = self._line is not None
        reply = await self._ask("prepare", START_SECONDS, state=state.as_json(generation))
        if reply is not None:
            return _failed(reply)
        new = {key for key in generation.served if key not in self.held}
        return dict.fromkeys(new, "a serving process ended while it loaded this version") if lived else {}

    async def load(self, generation: State) -> bool:
        """Put a generation in force; False from a process that is dead just now, whose successor will start with it."""
        reply = await self._ask("load", START_SECONDS, state=state.as_json(generation))
        if reply is None:
            return False
        self.held = frozenset((model, version) for model, version in reply["held"])
        self.failed = _failed(reply)
        for (model, version), reason in self.failed.items():
            self._tell(f"{model} {version} is registered and cannot be served: {reason}")
        return True

    async def permit(self) -> None:
        """Bring the permits in force to the process; the successor of one that is dead just now will start with them."""
        await self._ask("permit", START_SECONDS, permits=self._current()[1].as_json())

    async def stop(self, model: str, number: int) -> None:
        """Let nobody meet the canary of that plan any more; a successor is told by the state."""
        await self._ask("stop", OBEY_SECONDS, model=model, number=number)

    async def collect(self) -> None:
        """Bring `tally` up to date."""
        # A busy process is not killed for being late here, so this does not go through `_ask`.
        if self._line is None:
            return
        try:
            async with asyncio.timeout(COLLECT_SECONDS):
                self.tally = Tally.from_json((await self._line.ask("collect"))["tally"])
            self.late = 0
        except TimeoutError:
            self.late += 1
        except LineClosedError:
            self.late = 0

    async def retire(self) -> None:
        """Let the process finish what it has, then go without a successor."""
        self._retiring.set()
        self._listener.close()
        if self._line is not None:
            with contextlib.suppress(LineClosedError, TimeoutError):
                async with asyncio.timeout(self._launch.unregister_timeout + DRAIN_SECONDS):
                    self.tally = Tally.from_json((await self._line.ask("drain"))["tally"])
        _, late = await asyncio.wait({self._life}, timeout=LEAVE_SECONDS)
        if late:
            self._kill()
        await self._life

    async def _ask(self, command: str, seconds: float, **arguments: Any) -> dict[str, Any] | None:
        """The reply, or None from a process that is dead, or too late and therefore killed: a new one starts afresh."""
        if self._line is None:
            return None
        try:
            async with asyncio.timeout(seconds):
                return await self._line.ask(command, **arguments)
        except LineClosedError:
            return None
        except TimeoutError:
            self._kill()
            return None

    async def _keep(self) -> None:
        delay, died = 0.0, -math.inf
        while not self._retiring.is_set():
            try:
                code = await self._live()
            except OSError as refused:  # no memory, no process or no file descriptor left
                self._tell(f"A serving process cannot be started: {refused}.")
                code = 1
            if self._retiring.is_set():
                return
            if not self._up.done():
                self._up.set_exception(
                    NotReadyError(f"A serving process {_ending(code)} before it could answer.", "Its own message stands above.")
                )
                return
            self.restarts += 1
            soon = time.monotonic() - died < SOON_SECONDS
            delay, died = min(max(2 * delay, FIRST_DELAY), LAST_DELAY) if soon else 0.0, time.monotonic()
            self._tell(f"Serving process {self.pid} {_ending(code)}; another takes its place.")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._retiring.wait(), delay)

    async def _live(self) -> int:
        """One life, from start to exit status."""
        ours, theirs = socket.socketpair()
        hall, desk = socket.socketpair()
        with theirs, desk:
            process = await self._spawn(theirs, desk)
        attending = asyncio.create_task(self._attend(hall))
        self.pid, self.started = process.pid, time.time()
        line = await Line.open(ours)
        listening = asyncio.create_task(line.listen(lambda event: self._heard(Breach(*event["breach"]))))
        if self._retiring.is_set():
            line.close()
        self._line = line
        beginning = asyncio.create_task(self._begin())
        code = await process.wait()
        self._line = None
        await listening  # whatever it said before it ended has been heard
        await beginning
        await attending
        self.past, self.tally, self.held = tally.total([self.past, self.tally]), Tally(), frozenset()
        return code

    async def _begin(self) -> None:
        # Commands are carried out in order, so a generation that comes now is loaded after this one.
        await self.permit()
        if await self.load(self._current()[0]) and not self._up.done():
            self._up.set_result(None)

    async def _spawn(self, line: socket.socket, desk: socket.socket) -> asyncio.subprocess.Process:
        options = {
            "--listener": self._listener.fileno(),
            "--line": line.fileno(),
            "--desk": desk.fileno(),
            "--worker": self.worker,
            "--launch": self._launch.as_json(),
        }
        limits = {
            "OMP_NUM_THREADS": "1",
            "OPENCV_LOG_LEVEL": "SILENT",  # a broken picture is told to its sender; a log of them could fill the disk
        }
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working directory is no place to import from
            "-m",
            "demlopment.serving.process",
            *(str(part) for option in options.items() for part in option),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            env=without_settings(os.environ) | limits,
            pass_fds=(self._listener.fileno(), line.fileno(), desk.fileno()),
            start_new_session=True,  # Ctrl-C in a terminal reaches the supervisor alone, which drains
        )

    def _kill(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """A process is told what it needs in its `launch`; secrets among the variables are not for it."""
    return {name: value for name, value in environment.items() if not name.startswith("DEMLOPMENT_")}


def _failed(reply: dict[str, Any]) -> dict[Key, str]:
    return {(model, version): reason for model, version, reason in reply["failed"]}


def _ending(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
