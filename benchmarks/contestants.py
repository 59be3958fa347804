"""Our endpoint and its peers: how each is installed, started on the same network, asked and stopped."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx2

from benchmarks.digits import CHALLENGER, CHAMPION, MODEL, Material
from benchmarks.load import Target

PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parents[1] / ".bench"
PROCESSES = 2  # that serve, of every contestant
START_SECONDS = 90
STOP_SECONDS = 5  # LitServe does not heed SIGTERM, so it is killed then


class MissingError(Exception):
    """A contestant cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class Running:
    """A contestant that answers."""

    target: Target
    ready_seconds: float  # from the start of its first process to its first answer
    pid: int  # of that process
    management: str = ""  # base URLs
    metrics: str = ""


@dataclass(frozen=True)
class Contestant:
    """One server that answers with the digit on a picture."""

    name: str
    batches: tuple[int, ...]  # settings of its largest batch that are worth a try
    start: Callable[[Material, int, Path], AbstractContextManager[Running]]  # with one of them, in an empty folder


@dataclass(frozen=True)
class Ports:
    """A server that has started, ours or TorchServe: base URLs."""

    inference: str
    management: str
    metrics: str
    ready_seconds: float  # from the start to the line that says so; 0 where there is none
    process: "subprocess.Popen[str]"


@contextlib.contextmanager
def ours(material: Material, batch: int, folder: Path, **more: str) -> Iterator[Running]:
    """With journal, metrics and a two-arm split; `more` are settings of the endpoint."""
    home = shutil.copytree(material.home, folder / "home")
    with endpoint(home, folder, MAX_BATCH=str(batch), **more) as ports:
        plan = json.dumps({"control": CHAMPION, "treatments": [{"version": CHALLENGER, "share": 0.5}]}).encode()
        ask(f"{ports.management}/models/{MODEL}/traffic", plan, method="PUT")
        target = Target(f"{ports.inference}/predictions/{MODEL}", material.picture, "image/png")
        yield Running(target, ports.ready_seconds, ports.process.pid, ports.management, ports.metrics)


@contextlib.contextmanager
def endpoint(home: Path, folder: Path, **more: str) -> Iterator[Ports]:
    """Ours, serving what the home names; `more` are settings of the endpoint."""
    settings = {"ENDPOINT__PROCESSES": str(PROCESSES), "ENDPOINT__ENABLE_MODEL_API": "true", "HOME": str(home)}
    settings |= {f"ENDPOINT__{name}": value for name, value in more.items()}
    settings |= {f"ENDPOINT__{port}_PORT": "0" for port in ("INFERENCE", "MANAGEMENT", "METRICS")}
    command = [sys.executable, "-m", "demlopment", "serve", "--until-stdin-closes"]
    with _launched(command, folder, {f"DEMLOPMENT_{name}": value for name, value in settings.items()}) as process:
        assert process.stdout is not None
        began = time.perf_counter()
        line = process.stdout.readline()
        ready_seconds = time.perf_counter() - began
        if not line:
            raise MissingError(_last_words(folder))
        urls = json.loads(line)
        yield Ports(urls["inference"], urls["management"], urls["metrics"], ready_seconds, process)


@contextlib.contextmanager
def torchserve(material: Material, batch: int, folder: Path) -> Iterator[Running]:
    """The very archive that we serve, whose handler runs ONNX Runtime."""
    version = {"defaultVersion": True, "marName": f"{MODEL}-{CHAMPION}.mar", "minWorkers": PROCESSES, "maxWorkers": PROCESSES}
    # Its documentation calls for a delay of some milliseconds; a lone request waits all of it, unless batches are of one.
    models = {MODEL: {CHAMPION: version | {"batchSize": batch, "maxBatchDelay": 2 if batch > 1 else 0, "responseTimeout": 60}}}
    lines = {"load_models": f"{MODEL}={MODEL}-{CHAMPION}.mar", "models": json.dumps(models)}
    with real_torchserve(material.store, folder, **lines) as ports:
        target = Target(f"{ports.inference}/predictions/{MODEL}", material.picture, "image/png")
        yield Running(target, _answering(target, ports.process, folder), ports.process.pid)


@contextlib.contextmanager
def real_torchserve(store: Path, folder: Path, **more: str) -> Iterator[Ports]:
    """TorchServe itself on the archives in `store`, started and perhaps not yet ready; `more` goes into its properties."""
    programs = installed("torchserve")
    if shutil.which("java") is None:
        raise MissingError("TorchServe needs Java 11 or newer: apt-get install default-jre-headless.")
    inference, management, metrics, grpc, grpc_management = _free_ports(5)
    urls = [f"http://127.0.0.1:{port}" for port in (inference, management, metrics)]
    lines = {
        "inference_address": urls[0],
        "management_address": urls[1],
        "metrics_address": urls[2],
        "grpc_inference_port": grpc,
        "grpc_management_port": grpc_management,
        "model_store": store,
        "job_queue_size": 1000,
        "metrics_mode": "prometheus",
        "disable_token_authorization": "true",
        "enable_model_api": "true",
        **more,
    }
    config = folder / "config.properties"
    config.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "LOG_LOCATION": str(folder / "logs"),
        "METRICS_LOCATION": str(folder / "logs"),
        "TEMP": str(folder),
    }
    command = [str(programs / "torchserve"), "--start", "--foreground", "--ncs", "--ts-config", str(config)]
    with _launched(command, folder, environment) as process:
        yield Ports(urls[0], urls[1], urls[2], 0.0, process)


@contextlib.contextmanager
def litserve(material: Material, batch: int, folder: Path) -> Iterator[Running]:
    """Takes JSON, so the picture travels as base64."""
    python = installed("litserve") / "python"
    (port,) = _free_ports(1)
    command = [str(python), str(PEERS / "litserve/server.py"), str(material.network), str(port), str(PROCESSES), str(batch)]
    target = Target(f"http://127.0.0.1:{port}/predict", material.picture_json, "application/json")
    with _launched(command, folder, {"PYTHONPATH": str(material.preprocessing)}) as process:
        yield Running(target, _answering(target, process, folder), process.pid)


@contextlib.contextmanager
def bentoml(material: Material, batch: int, folder: Path) -> Iterator[Running]:
    """Batches only what other services ask, so every request is inferred alone."""
    programs = installed("bentoml")
    (port,) = _free_ports(1)
    environment = {
        "BENTOML_DO_NOT_TRACK": "True",  # it phones home otherwise
        "BENTOML_HOME": str(folder / "bentoml"),
        "PYTHONPATH": str(material.preprocessing),
        "NETWORK": str(material.network),
        "WORKERS": str(PROCESSES),
    }
    where = ["--working-dir", str(PEERS / "bentoml"), "--host", "127.0.0.1", "--port", str(port)]
    command = [str(programs / "bentoml"), "serve", "service:Digits", *where]
    target = Target(f"http://127.0.0.1:{port}/predict", material.picture, "image/png")
    with _launched(command, folder, environment) as process:
        yield Running(target, _answering(target, process, folder), process.pid)


OURS = Contestant("deMLopment", (64,), ours)
OTHERS = (
    Contestant("TorchServe 0.12.0", (1, 8, 16, 32), torchserve),
    Contestant("LitServe", (1, 8), litserve),
    Contestant("BentoML", (1,), bentoml),
)


def ask(url: str, body: bytes | None = None, *, method: str = "POST", content_type: str = "application/json") -> bytes:
    """One request without a proxy; the body of the answer. Raises httpx2.HTTPError unless it succeeds."""
    headers = {} if body is None else {"content-type": content_type}
    answer = httpx2.request(method, url, content=body, headers=headers, timeout=30, trust_env=False)
    return answer.raise_for_status().content


def answering(url: str, process: "subprocess.Popen[str]", folder: Path) -> None:
    """Wait until a page is there. Raises MissingError if it never is."""
    _until_it_answers(lambda: ask(url, method="GET"), process, folder)


def serving(running: Running) -> list[int]:
    """The processes of ours that serve."""
    described = json.loads(ask(f"{running.management}/models/{MODEL}", method="GET"))
    return [worker["pid"] for worker in described[0]["workers"]]


def resident_mb(pid: int) -> float:
    """Memory of a process that is in use, in 10^6 bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS:"))


def registered(running: Running, version: str) -> float:
    """Register a version of ours; seconds from asking for it to its first answer."""
    began = time.perf_counter()
    query = f"url={MODEL}-{version}.mar&initial_workers={PROCESSES}&synchronous=true"
    ask(f"{running.management}/models?{query}")
    ask(f"{running.target.url}/{version}", running.target.body.read_bytes(), content_type=running.target.content_type)
    return time.perf_counter() - began


def unregistered(running: Running, version: str) -> None:
    """Take a version away again."""
    ask(f"{running.management}/models/{MODEL}/{version}", method="DELETE")


@cache
def installed(peer: str) -> Path:
    """Where the programs of a peer's own environment are, which is made the first time."""
    ENVIRONMENTS.mkdir(exist_ok=True)
    (ENVIRONMENTS / ".gitignore").write_text("*\n")
    place = ENVIRONMENTS / peer
    requirements = PEERS / peer / "requirements.txt"
    stamp = place / requirements.name  # what was installed
    if not stamp.exists() or stamp.read_bytes() != requirements.read_bytes():
        print(f"Installing {peer} into {place}; this happens once", flush=True)
        pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet", "-r", str(requirements)]
        for command in ([sys.executable, "-m", "venv", "--clear", str(place)], pip):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise MissingError(f"It cannot be installed: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
        shutil.copy(requirements, stamp)
    return place / "bin"


@contextlib.contextmanager
def _launched(command: list[str], folder: Path, environment: Mapping[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """A process and all that it starts, stopped together."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if command[0] == sys.executable else log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _answering(target: Target, process: "subprocess.Popen[str]", folder: Path) -> float:
    """Wait for the first answer; how long it took. Raises MissingError if there is none."""
    body = target.body.read_bytes()
    return _until_it_answers(lambda: ask(target.url, body, content_type=target.content_type), process, folder)


def _until_it_answers(once: Callable[[], bytes], process: "subprocess.Popen[str]", folder: Path) -> float:
    began = time.perf_counter()
    while time.perf_counter() - began < START_SECONDS and process.poll() is None:
        with contextlib.suppress(httpx2.HTTPError):
            once()
            return time.perf_counter() - began
        time.sleep(0.05)
    raise MissingError(f"It does not answer: {_last_words(folder)}")


def _last_words(folder: Path) -> str:
    lines = (folder / "log").read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no reason given"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
