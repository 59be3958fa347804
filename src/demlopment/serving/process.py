"""One serving process: parse, decode, infer and journal without a hop. Knows its supervisor only as a line of commands.

Started by fleet.py as `python -m demlopment.serving.process`; it leaves when it is drained or when the line ends.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from demlopment.errors import DemlopmentError
from demlopment.home import Home
from demlopment.serving import state
from demlopment.serving.batching import Batching
from demlopment.serving.control import Line
from demlopment.serving.engine import Engine
from demlopment.serving.inference import Inference
from demlopment.serving.journal import Journal
from demlopment.serving.server import Server
from demlopment.serving.tally import Tally


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
        return reply | {"held": [[network.model, network.version] for network in self.engine.networks]}

    async def collect(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What happened so far."""
        return {"tally": self.tally.as_json()}

    async def drain(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Answer everything that was asked, then report for the last time."""
        if not self.inference.closing:
            self.inference.closing = True
            await self.server.drain()
        return await self.collect(arguments) | {"last": True}


async def run(options: argparse.Namespace) -> None:
    """Obey until the last command, the end of the line or SIGTERM; requests in hand are finished in each case."""
    line = await Line.open(socket.socket(fileno=options.line))
    home = Home(options.home)
    journal = Journal(home.endpoint / "journal", name=str(os.getpid()))
    process = _assemble(options, home, journal)
    commands = {
        "prepare": process.prepare,
        "load": process.load,
        "collect": process.collect,
        "drain": process.drain,
    }
    obeying = asyncio.ensure_future(line.obey(commands))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: process.inference.closing or obeying.cancel())
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await obeying
        await process.drain({})
    finally:
        journal.close()


def _assemble(options: argparse.Namespace, home: Home, journal: Journal) -> Process:
    tally = Tally()
    engine = Engine(home.models)
    batching = Batching(journal, tally, options.max_batch)
    inference = Inference(engine, journal, tally, batching, options.max_request_bytes)
    server = Server(inference, socket.socket(fileno=options.listener))
    return Process(options.worker, engine, tally, inference, server)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One serving process of the endpoint; started by its supervisor.")
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of a listening socket")
    parser.add_argument("--line", type=int, required=True, help="file descriptor of the line to the supervisor")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--worker", required=True)
    parser.add_argument("--max-batch", type=int, required=True)
    parser.add_argument("--max-request-bytes", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        uvloop.run(run(_options()))
    except DemlopmentError as error:
        sys.exit(str(error))
