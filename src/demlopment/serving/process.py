"""One serving process: parse, decode, infer and journal without a hop. Knows its supervisor only as a line of commands.

Started by fleet.py as `python -m demlopment.serving.process`; it leaves when it is drained or when the line ends.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from threading import Thread
from typing import Any

import uvloop

from demlopment.errors import DemlopmentError
from demlopment.home import Home
from demlopment.serving import heap, state
from demlopment.serving.batching import Batching
from demlopment.serving.control import Line
from demlopment.serving.engine import Engine
from demlopment.serving.handlers.desk import Desk
from demlopment.serving.http import tls
from demlopment.serving.http.limits import Limits
from demlopment.serving.http.server import Server
from demlopment.serving.inference import Inference
from demlopment.serving.journal import Journal
from demlopment.serving.launch import Launch
from demlopment.serving.seclusion import seclude
from demlopment.serving.tally import Tally
from demlopment.serving.tokens import Permits
from demlopment.serving.upstream import Allowed

LEAVE_SECONDS = 5.0  # after the supervisor has died; a batch takes milliseconds, a large picture up to a second
TEND_SECONDS = 1.0  # between two looks at the journal's files, which may so exceed their limits by a second of traffic


@dataclass(eq=False)
class Process:
    """What this process holds, and the commands that its supervisor gives. A command returns its reply."""

    worker: str  # its id in TorchServe's terms
    engine: Engine
    tally: Tally
    inference: Inference
    server: Server
    serving: bool = False

    async def prepare(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Load what the generation needs and change no answer, so that a failure can still be called off."""
        failures = await asyncio.to_thread(self.engine.prepare, state.from_json(arguments["state"]))
        return {"failed": [[*key, reason] for key, reason in failures.items()]}

    async def load(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Answer by the generation from now on; what cannot be loaded is named and the rest is served."""
        before = set(self.engine.networks)
        reply = await self.prepare(arguments)
        self.engine.switch(state.from_json(arguments["state"]))
        for network in set(self.engine.networks) - before:
            name = f"W-{self.worker}-{network.model}_{network.version}"
            self.tally.gauge("WorkerLoadTime", name, "Host", value=network.load_ms)
        if not self.serving:
            await self.server.start()
            self.serving = True
        return reply | {"held": [list(key) for key in self.engine.held]}

    async def permit(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Let in, from now on, whoever has one of these tokens."""
        self.inference.permits = Permits.from_json(arguments["permits"])
        return {}

    async def stop(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Let nobody meet the canary of a plan any more."""
        self.engine.stop(arguments["model"], arguments["number"])
        return {}

    async def collect(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What happened so far, and how busy it is."""
        self.tally.counters["demlopment_serving_cpu_seconds_total", self.worker] = time.process_time()
        self.tally.gauge("demlopment_connections", self.worker, value=self.server.open)
        self.tally.gauge("demlopment_requests_in_hand", self.worker, value=self.server.in_hand)
        return {"tally": self.tally.as_json()}

    async def drain(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Answer everything that was asked, then report for the last time."""
        if not self.inference.closing:
            self.inference.closing = True
            await self.server.drain()
            self.inference.batching.shadows.finish()
            await self.inference.remotes.close()
        return await self.collect(arguments) | {"last": True}


async def run(options: argparse.Namespace) -> None:
    """Obey until the last command, the end of the line or SIGTERM; requests in hand are finished in each case."""
    Thread(target=_leave_after, args=(os.getppid(),), name="leave", daemon=True).start()
    line = await Line.open(socket.socket(fileno=options.line))
    launch = Launch.from_json(options.launch)
    if launch.allow_handlers:
        seclude()
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a broken form is told to its sender
    journal = _journal(launch)
    desk = await Desk.open(socket.socket(fileno=options.desk))
    process = _assemble(options, launch, journal, desk)
    process.engine.broken = lambda breach: line.tell({"breach": breach})
    commands = {
        "prepare": process.prepare,
        "load": process.load,
        "permit": process.permit,
        "stop": process.stop,
        "collect": process.collect,
        "drain": process.drain,
    }
    obeying = asyncio.ensure_future(line.obey(commands))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: process.inference.closing or obeying.cancel())
    beside = [asyncio.create_task(work) for work in (_tend(journal), desk.listen())]
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await obeying
        await process.drain({})
    finally:
        for task in beside:
            task.cancel()
        desk.close()
        journal.close()


def _leave_after(supervisor: int) -> None:
    """Without a supervisor, what is not answered soon never will be; the loop may be too busy to notice, and holds the port."""
    try:
        end = os.pidfd_open(supervisor)
    except ProcessLookupError:
        return  # and the line has ended
    gone = select.poll()
    gone.register(end, select.POLLIN)
    gone.poll()
    time.sleep(LEAVE_SECONDS)
    os._exit(1)


async def _tend(journal: Journal) -> None:
    while True:
        await asyncio.sleep(TEND_SECONDS)
        journal.tend()


def _journal(launch: Launch) -> Journal:
    return Journal(
        Home(launch.home).endpoint / "journal",
        name=str(os.getpid()),
        images=launch.journal_images,
        full=launch.journal_full,
        segment_bytes=launch.journal_segment_mb * 1e6,
        segment_seconds=launch.journal_segment_seconds,
        max_bytes=launch.journal_max_mb * 1e6,
    )


def _assemble(options: argparse.Namespace, launch: Launch, journal: Journal, desk: Desk) -> Process:
    tally = Tally()
    engine = Engine(launch.model_store, processes=launch.processes, allowed=Allowed.of(launch.allowed_upstreams))
    batching = Batching(journal, tally, launch.max_batch)
    inference = Inference(engine, journal, tally, batching, launch, desk)
    context = tls.context(launch.certificate_file, launch.private_key_file)
    listener, limits = socket.socket(fileno=options.listener), Limits.of(launch)
    server = Server(inference, listener, direct=inference.direct, limits=limits, context=context)
    return Process(options.worker, engine, tally, inference, server)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One serving process of the endpoint; started by its supervisor.")
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of a listening socket")
    parser.add_argument("--line", type=int, required=True, help="file descriptor of the line to the supervisor")
    parser.add_argument("--desk", type=int, required=True, help="file descriptor of a line to the handlers")
    parser.add_argument("--worker", required=True, help="its number, as TorchServe names workers")
    parser.add_argument("--launch", required=True, help="see launch.py")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        heap.keep()
        uvloop.run(run(_options()))
    except DemlopmentError as error:
        sys.exit(str(error))
