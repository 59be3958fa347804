"""What a request costs, step by step: the endpoint's own HTTP server with an app that does a little more each time.

One process: python -m benchmarks.stages STAGE LISTENER NETWORK FOLDER; it ends with its standard input.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import uvloop

from benchmarks.digits import CHAMPION, CLASSES, MODEL, Material
from benchmarks.load import Target
from demlopment import images
from demlopment.records import Prediction
from demlopment.serving import addresses
from demlopment.serving.http import wire
from demlopment.serving.http.server import Server
from demlopment.serving.http.wire import Answer, Receive, Scope, Send
from demlopment.serving.journal import Journal

STAGES = ("http", "decode", "infer", "journal")  # each does what those before it do; the endpoint itself is the last step
MOST = 64  # requests that are answered together


class App:
    """Answers together what has arrived together, as the endpoint does, without routes, metrics or errors."""

    def __init__(self, stage: str, network: Path, folder: Path) -> None:
        self._steps = STAGES.index(stage)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
        self._journal = Journal(folder, name=stage)
        self._waiting: list[tuple[bytes, asyncio.Future[str]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await wire.body(receive, 1_000_000, {})
        label = "7"
        if self._steps:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[str] = loop.create_future()
            if not self._waiting:
                loop.call_soon(self._flush)
            self._waiting.append((body, future))
            label = await future
        await wire.reply(send, Answer(200, label.encode()), wire.request_id(dict(scope["headers"])))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), MOST):
            bodies, futures = zip(*waiting[first : first + MOST], strict=True)
            for future, label in zip(futures, self._labels(bodies), strict=True):
                future.set_result(label)

    def _labels(self, bodies: tuple[bytes, ...]) -> list[str]:
        prepared = np.stack([images.prepare(body) for body in bodies])
        if self._steps < STAGES.index("infer"):
            return ["7"] * len(bodies)
        logits, embedding = self._session.run(["logits", "embedding"], {"image": images.as_input(prepared)})
        labels = [CLASSES[best] for best in logits.argmax(axis=1)]
        if self._steps >= STAGES.index("journal"):
            rows = zip(prepared, labels, logits, embedding, strict=True)
            self._journal.record([_prediction(*row) for row in rows])
        return labels


def _prediction(image: Any, label: str, logits: Any, embedding: Any) -> Prediction:
    return Prediction(
        "0" * 36, time.time(), MODEL, CHAMPION, "control", "0" * 36, image, label, logits, embedding, 1.0, "0" * 64
    )


@contextlib.contextmanager
def running(stage: str, material: Material, processes: int) -> Iterator[Target]:
    """That many processes on one port."""
    first = addresses.listen("127.0.0.1", 0, "inference_port", shared=True)
    host, port = first.getsockname()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for listener in (first, *(addresses.beside(first) for _ in range(processes - 1))):
            command = [sys.executable, "-m", "benchmarks.stages", stage, str(listener.fileno()), str(material.network), folder]
            # Leaving the stack closes its input, which ends it, and waits for it.
            process = stack.enter_context(
                subprocess.Popen(command, pass_fds=[listener.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            assert process.stdout is not None
            process.stdout.readline()
            listener.close()  # the process has its own
        yield Target(f"http://{host}:{port}/", material.picture, "image/png")


async def _serve(stage: str, listener: int, network: Path, folder: Path) -> None:
    server = Server(App(stage, network, folder), socket.socket(fileno=listener))
    await server.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.drain()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])))
