"""A real endpoint for the tests: a tiny network in a real archive, a supervisor in its own process, always stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Self

import httpx2
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from demlopment import archive, images
from demlopment.archive import Archive, Card
from demlopment.home import Home
from demlopment.serving import Addresses, state
from demlopment.serving.state import Version
from demlopment.settings import Endpoint

CLASSES = tuple("0123456789")
WIDTH = 16  # of the embedding: the mean ink of 7 x 7 pixels, in 4 x 4 fields
TEMPERATURE = 0.5
START_SECONDS = 60
STOP_SECONDS = 30

SCRIPT = """
import sys
from pathlib import Path
from demlopment.home import Home
from demlopment.serving import serve
from demlopment.settings import Endpoint

def ready(found):
    print(found.inference, found.management, found.metrics, flush=True)

serve(Home(Path(sys.argv[1])), Endpoint.model_validate_json(sys.argv[2]), leash=True, ready=ready)
"""


@dataclass
class Running:
    """An endpoint that answers, and a client for each of its ports."""

    process: "subprocess.Popen[str]"
    addresses: Addresses
    home: Home
    inference: httpx2.Client
    management: httpx2.Client
    metrics: httpx2.Client

    def pids(self, model: str = "digits", version: str = "all") -> list[int]:
        """The serving processes that hold a version, as the management port lists them."""
        described = self.management.get(f"/models/{model}/{version}").json()
        return [worker["pid"] for each in described for worker in each["workers"]]


@contextlib.contextmanager
def running(root: Path, settings: Endpoint | None = None, **environment: str) -> Iterator[Running]:
    """Start an endpoint in `root` on free ports, wait until it says that it is ready, and stop it however the test ends."""
    chosen = settings or free_ports()
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(root), chosen.model_dump_json()]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().split()
        assert len(line) == 3, f"the endpoint did not start: {line}, status {process.wait(STOP_SECONDS)}"
        addresses = Addresses(*line)
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(httpx2.Client(base_url=url, timeout=20, trust_env=False))
                for url in (addresses.inference, addresses.management, addresses.metrics)
            ]
            yield Running(process, addresses, Home(root), *clients)
    finally:
        stop(process)


def stop(process: "subprocess.Popen[str]") -> int:
    """Ask the endpoint to stop and wait for it; the exit status."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_SECONDS)
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


def free_ports(**settings: object) -> Endpoint:
    values: Mapping[str, object] = {
        "inference_port": 0,
        "management_port": 0,
        "metrics_port": 0,
        "enable_model_api": True,
        **settings,
    }
    return Endpoint.model_validate(values)


def registered(root: Path, *versions: str, model: str = "digits", workers: int = 1) -> Home:
    """A home whose model store holds `versions`, all registered and served; the first one is the default."""
    home = Home(root)
    path = state.path(home)
    current = state.load(path)
    for version in versions:
        file = packed(home.models, version, model).name
        current = current.register(model, version, Version(file, file, min_workers=workers, max_workers=workers))
    state.save(path, current)
    return home


def packed(store: Path, version: str, model: str = "digits", network: bytes | None = None) -> Path:
    """An archive in the model store."""
    card = Card(model, version, CLASSES, images.VERSION, TEMPERATURE, {}, {})
    return archive.write(store, Archive(card, onnx_network(version) if network is None else network, {}, digit(1)))


@cache
def weights(version: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """What a version multiplies and adds: drawn from its name, so two versions disagree and each is always the same."""
    rng = np.random.default_rng(list(version.encode()))
    matrix, bias = rng.normal(0, 3, (WIDTH, len(CLASSES))), rng.normal(0, 0.1, len(CLASSES))
    return matrix.astype(np.float32), bias.astype(np.float32)


@cache
def onnx_network(version: str) -> bytes:
    """Mean ink in 4 x 4 fields -> embedding; embedding times a matrix plus a bias -> logits."""
    matrix, bias = weights(version)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[7, 7], strides=[7, 7]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "matrix", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", WIDTH]),
        ],
        [numpy_helper.from_array(matrix, "matrix"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def expected(picture: bytes, version: str) -> npt.NDArray[np.float64]:
    """The oracle: the probabilities of `version` for a picture, in NumPy."""
    matrix, bias = weights(version)
    image = images.as_input(images.prepare(picture))[0, 0].astype(np.float64)
    embedding = image.reshape(4, 7, 4, 7).mean(axis=(1, 3)).ravel()
    scaled = (embedding @ matrix + bias) / TEMPERATURE
    raised = np.exp(scaled - scaled.max())
    return np.asarray(raised / raised.sum(), np.float64)


@cache
def digit(seed: int) -> bytes:
    """A PNG with a scribble on it; another seed is another scribble."""
    rng = np.random.default_rng(seed)
    paper = np.zeros((28, 28), np.uint8)
    for _ in range(3):
        row, column = rng.integers(4, 18, 2)
        height, width = rng.integers(2, 8, 2)
        paper[row : row + height, column : column + width] = rng.integers(120, 256)
    return images.encode_png(paper)


WIDE = images.encode_png(np.zeros((300, 300), np.uint8))  # a few hundred bytes of many pixels


def in_a_form(picture: bytes) -> bytes:
    """A body of multipart/form-data; boundary=b."""
    return b'--b\r\ncontent-disposition: form-data; name="data"\r\n\r\n' + picture + b"\r\n--b--\r\n"


def eventually(claim: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether `claim`, which asks a running endpoint, comes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if claim():
            return True
    return False


class Load:
    """Clients that send one prediction after another, each with an id of its own, and note what became of it."""

    def __init__(self, endpoint: Running, clients: int, path: str = "/predictions/digits") -> None:
        self.acknowledged: dict[str, int] = {}  # request id -> the client that sent it
        self.failures: list[tuple[int, str]] = []  # (client, what it saw)
        self.failed_at: list[float] = []  # of each, time.monotonic
        self._endpoint, self._path = endpoint, path
        self._done = Event()
        self._progress = Condition()
        self._threads = [Thread(target=self._send, args=(client,)) for client in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Until that many more predictions have been acknowledged."""
        wanted = len(self.acknowledged) + more
        with self._progress:
            assert self._progress.wait_for(lambda: len(self.acknowledged) >= wanted, 60), f"no progress: {self.failures[-3:]}"

    def _send(self, client: int) -> None:
        with httpx2.Client(base_url=self._endpoint.addresses.inference, timeout=20, trust_env=False) as http:
            for number in count():
                if self._done.is_set():
                    return
                request_id = f"client-{client}-{number}"
                try:
                    answer = http.post(self._path, content=digit(number % 50), headers={"x-request-id": request_id})
                except httpx2.TransportError as error:
                    self._fail(client, type(error).__name__)
                    continue
                if answer.status_code == 200:
                    with self._progress:
                        self.acknowledged[request_id] = client
                        self._progress.notify_all()
                else:
                    self._fail(client, f"{answer.status_code} {answer.text}")

    def _fail(self, client: int, seen: str) -> None:
        self.failed_at.append(time.monotonic())
        self.failures.append((client, seen))
