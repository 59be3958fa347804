"""A hall with real workers for the tests, reached through a real desk, and foreign archives; always stopped."""

import asyncio
import contextlib
import json
import os
import socket
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demlopment.serving.calls import Call, Field, Reply
from demlopment.serving.handlers.desk import Desk
from demlopment.serving.handlers.hall import Hall
from demlopment.serving.handlers.spec import Key, Spec

KEY = ("echo", "1.0")
PATIENCE = 30.0  # seconds for what takes one


@dataclass
class Hosted:
    """One served version, and what its hall told a person."""

    hall: Hall
    desk: Desk
    spec: Spec
    told: list[str] = field(default_factory=list)

    async def ask(self, content: bytes | str | object = b"", kind: str = "", **headers: str) -> Reply:
        """One request with a raw body; an object is sent as JSON."""
        if not isinstance(content, bytes | str):
            content, kind = json.dumps(content), kind or "application/json"
        body = content.encode() if isinstance(content, str) else content
        return await self.call(Call("id-1", {"explain": "False", "url_path": "", **headers}, (Field("body", body, kind),)))

    async def call(self, call: Call) -> Reply:
        return await self.desk.ask(*self.spec.key, call)

    def pids(self) -> list[int]:
        return [worker.pid for worker in self.hall.workers(self.spec.key)]

    def ready(self) -> bool:
        workers = self.hall.workers(self.spec.key)
        return bool(workers) and all(worker.ready for worker in workers)


@contextlib.asynccontextmanager
async def hosted(root: Path, code: str, *, files: Mapping[str, bytes] | None = None, **options: Any) -> AsyncIterator[Hosted]:
    """A version whose archive has `code` as handler.py and `files` beside it, with every worker ready."""
    spec = written(root, code, files=files, **options)
    told: list[str] = []
    hall = Hall(root / "handlers", told.append, drain_seconds=10)
    try:
        reasons = await hall.prepare([spec])
        assert not reasons, (reasons, told)
        await hall.switch([spec])
        assert not await hall.settled(spec.key)
        async with reached(hall) as desk:
            yield Hosted(hall, desk, spec, told)
    finally:
        await hall.drain()


@contextlib.asynccontextmanager
async def reached(hall: Hall) -> AsyncIterator[Desk]:
    """A desk of the hall, as a serving process has one."""
    ours, theirs = socket.socketpair()
    attending = asyncio.create_task(hall.attend(ours))
    desk = await Desk.open(theirs)
    listening = asyncio.create_task(desk.listen())
    try:
        yield desk
    finally:
        desk.close()
        await asyncio.gather(attending, listening)


def written(root: Path, code: str, *, key: Key = KEY, files: Mapping[str, bytes] | None = None, **options: Any) -> Spec:
    """An unpacked archive and its spec."""
    folder = root / f"archive-{'-'.join(key)}"
    manifest = {"runtime": "python", "model": {"modelName": key[0], "modelVersion": key[1], "handler": "handler.py"}}
    everything = {"MAR-INF/MANIFEST.json": json.dumps(manifest).encode(), "handler.py": code.encode(), **(files or {})}
    for name, content in everything.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return Spec(*key, folder=folder, **{"handler": "handler.py", **options})


def packed(path: Path, members: Mapping[str, bytes | str], model: Mapping[str, Any] | None = None) -> Path:
    """A foreign archive at `path`, with a manifest if a `model` is given."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        if model is not None:
            file.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
        for name, content in members.items():
            file.writestr(name, content)
    return path


async def until(claim: Callable[[], bool]) -> None:
    """Wait for what other tasks and processes bring about."""
    async with asyncio.timeout(PATIENCE):
        while not claim():
            await asyncio.sleep(0.002)  # the workers need the processor


def running(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
