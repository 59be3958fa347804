"""All pools of Python handlers, in the supervisor. Knows which versions are served; knows no HTTP and no archive.

Serving processes reach it over a socket pair each. A version that is prepared already answers, and one that goes answers
until it has no request left, so none is lost while serving processes and supervisor switch one after the other.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from demlopment.errors import NotReadyError, RequestError
from demlopment.serving.calls import Bytes, Call, Field, RecalledError, Reply
from demlopment.serving.description import Worker
from demlopment.serving.handlers import folders
from demlopment.serving.handlers.frames import BrokenFrameError, Frame, Line
from demlopment.serving.handlers.life import LoadError
from demlopment.serving.handlers.output import Tell
from demlopment.serving.handlers.pool import Pool, no_worker
from demlopment.serving.handlers.spec import Key, Spec
from demlopment.serving.tally import Tally

FIRST_WORKER = 9500  # TorchServe names workers by port; serving processes have those from 9000
DRAIN_SECONDS = 120.0  # TorchServe's unregister_model_timeout
NOTHING = (0, 0)


class Hall:
    """Starts empty, and empties `root`, the folder with unpacked archives, of which `work/` holds the workers' own folders."""

    def __init__(self, root: Path, tell: Tell, drain_seconds: float = DRAIN_SECONDS) -> None:
        self._work, self._tell, self._drain_seconds = root / "work", tell, drain_seconds
        self._tally = Tally()
        self._numbers = itertools.count(FIRST_WORKER)
        self._force: dict[Key, Pool] = {}
        self._prepared: dict[Key, Pool] = {}
        self._leaving: dict[Pool, asyncio.Task[bool]] = {}
        self._released: set[Path] = set()
        folders.sweep(root)  # the workers of a supervisor that was killed died with it

    async def prepare(self, specs: Iterable[Spec]) -> dict[Key, str]:
        """Have a first worker of each new version ready; the reason for each that cannot be, of which nothing is left.

        A reason is the last line of the handler's traceback; it begins with MemoryError where memory was short. What was
        prepared before and never put in force, and is not wanted now, is stopped.
        """
        wanted = {spec.key: spec for spec in specs}
        await self._stop([key for key, pool in self._prepared.items() if not _same(pool, wanted.get(key))])
        new = [
            spec
            for key, spec in wanted.items()
            if spec.min_workers and not _same(self._force.get(key), spec) and key not in self._prepared
        ]
        reasons = await asyncio.gather(*(self._start(spec) for spec in new))
        return {spec.key: reason for spec, reason in zip(new, reasons, strict=True) if reason}

    async def switch(self, specs: Iterable[Spec]) -> None:
        """Put exactly these in force. Returns at once: pools that go answer what they have, see `gone`; more workers start.

        A version that was not prepared, as at the start of an endpoint, is started and tried until it loads.
        """
        wanted = {spec.key: spec for spec in specs if spec.min_workers}
        before, self._force = self._force, {}
        for key, spec in wanted.items():
            pools = (pool for pool in (self._prepared.pop(key, None), before.get(key)) if _same(pool, spec))
            pool = next(pools, None) or self._pool(spec)
            pool.scale(spec)
            self._force[key] = pool
        for pool in before.values():
            if pool not in self._force.values():
                self._leaving[pool] = asyncio.create_task(self._leave(pool))
        await self._stop(list(self._prepared))

    async def settled(self, key: Key) -> str:
        """Wait until every worker of a version is ready; the reason if one could not load its handler, or nothing."""
        try:
            if key in self._force:
                await self._force[key].settled()
        except LoadError as error:
            return error.reason
        return ""

    async def gone(self, key: Key) -> bool:
        """Wait until no former pool of a version has a worker; False if one could not answer everything in time."""
        tasks = [task for pool, task in self._leaving.items() if pool.spec.key == key]
        return all(await asyncio.gather(*tasks))

    async def release(self, unpacked: Iterable[Path]) -> None:
        """Remove folders, each as soon as no worker lives in it."""
        self._released |= set(unpacked)
        await self._remove_released()

    async def drain(self) -> None:
        """Answer what has been asked, up to the time limit, and end every worker."""
        await self.switch(())
        await asyncio.gather(*self._leaving.values())

    async def ask(self, model: str, version: str, call: Call) -> Reply:
        """As calls.Handlers."""
        pool = self._found((model, version))
        if pool is None:
            raise no_worker(model, asked=call.asked)
        return await pool.ask(call)

    async def describe(self, key: Key) -> dict[str, Any]:
        """What the handler's own description adds. Raises RequestError where no worker can be asked."""
        pool = self._found(key)
        if pool is None:
            raise no_worker(key[0], "describe", "")
        return await pool.describe()

    def workers(self, key: Key) -> Sequence[Worker]:
        """The workers of a version in force."""
        return self._force[key].workers() if key in self._force else []

    def queue(self, key: Key) -> tuple[int, int]:
        """How many requests a version in force may still take, and how many wait."""
        return self._force[key].queue() if key in self._force else NOTHING

    @property
    def failed(self) -> dict[Key, str]:
        """Versions in force that miss a worker for good, with the reason: TorchServe's /ping is unhealthy then."""
        return {key: pool.given_up for key, pool in self._force.items() if pool.given_up}

    def collect(self) -> Tally:
        """Everything that was counted since the start."""
        return Tally(dict(self._tally.counters), dict(self._tally.gauges), dict(self._tally.histograms))

    async def attend(self, end: socket.socket) -> None:
        """Serve one serving process until its socket closes; many requests at once. Requests of one that dies are dropped."""
        line = await Line.open(end)
        asked: dict[int, asyncio.Task[None]] = {}
        calls: dict[int, Call] = {}
        try:
            while (frame := await line.receive()) is not None:
                number = frame.header["number"]
                if "cancel" in frame.header:
                    if number in asked:
                        asked[number].cancel()
                elif "recall" in frame.header:
                    if number in calls:  # soon, because its task may not have begun to ask
                        asyncio.get_running_loop().call_soon(self._recall, calls[number])
                else:
                    calls[number] = call = _call(frame)
                    asked[number] = asyncio.create_task(self._serve(frame.header, call, line))
                    asked[number].add_done_callback(partial(_forget, asked, calls, number))
        except (BrokenFrameError, KeyError) as broken:
            self._tell(f"A serving process sent the handlers what is no request ({broken}); its line is closed.")
        finally:
            for task in list(asked.values()):
                task.cancel()
            await asyncio.gather(*asked.values(), return_exceptions=True)
            line.close()

    def _recall(self, call: Call) -> None:
        for pool in (*self._force.values(), *self._prepared.values(), *self._leaving):
            pool.recall(call)

    async def _serve(self, header: Mapping[str, Any], call: Call, line: Line) -> None:
        number = header["number"]

        async def send(values: dict[str, Any], body: Bytes = b"") -> None:
            await line.send({"number": number, **values}, [body])

        with contextlib.suppress(ConnectionError):
            try:
                reply = await self.ask(header["model"], header["version"], call)
            except RequestError as error:
                await send({"problem": error.problem, "remedy": error.remedy, "status": error.status, "kind": error.kind})
                return
            except RecalledError as back:
                await send({"recalled": "broken" if back.broken else "over"})
                return
            started = {"status": reply.status, "phrase": reply.phrase, "headers": reply.headers, "more": reply.rest is not None}
            await send({"reply": started}, reply.body)
            if reply.rest is not None:
                await _stream(reply, send)

    async def _start(self, spec: Spec) -> str:
        pool = self._pool(spec)
        try:
            await pool.start()
        except LoadError as error:
            return error.reason
        self._prepared[spec.key] = pool
        return ""

    async def _stop(self, keys: Iterable[Key]) -> None:
        pools = [self._prepared.pop(key) for key in keys]
        await asyncio.gather(*(pool.drain(self._drain_seconds) for pool in pools))

    async def _leave(self, pool: Pool) -> bool:
        try:
            answered = await pool.drain(self._drain_seconds)
        finally:
            del self._leaving[pool]
        await self._remove_released()
        if not answered:
            self._tell(f"{pool.spec.model} {pool.spec.version} was stopped with requests unanswered.")
        return answered

    async def _remove_released(self) -> None:
        pools = (*self._force.values(), *self._prepared.values(), *self._leaving)
        gone = self._released - {pool.spec.folder for pool in pools}
        self._released -= gone
        for folder in gone:
            await asyncio.to_thread(folders.remove, folder)

    def _pool(self, spec: Spec) -> Pool:
        return Pool(spec, self._tally, self._work, self._tell, self._numbers)

    def _found(self, key: Key) -> Pool | None:
        leaving = (pool for pool in self._leaving if pool.spec.key == key)
        return self._force.get(key) or self._prepared.get(key) or next(leaving, None)


def _call(frame: Frame) -> Call:
    header = frame.header
    fields = [Field(name, blob, kind) for (name, kind), blob in zip(header["fields"], frame.blobs, strict=True)]
    return Call(header["id"], header["headers"], tuple(fields), header["asked"], spare=header["spare"])


def _forget(asked: dict[int, "asyncio.Task[None]"], calls: dict[int, Call], number: int, _: "asyncio.Task[None]") -> None:
    del asked[number], calls[number]


async def _stream(reply: Reply, send: Any) -> None:
    assert reply.rest is not None
    try:
        async for part in reply.rest:
            await send({"part": True}, part)
    except NotReadyError as cut:
        await send({"cut": str(cut)})
        return
    await send({"end": True})


def _same(pool: Pool | None, spec: Spec | None) -> bool:
    return pool is not None and spec is not None and pool.spec.sharing(spec)
