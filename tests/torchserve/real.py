"""The real TorchServe 0.12.0, started from an environment of its own. Knows nothing of ours."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.serving.endpoint import eventually
from tests.torchserve.archives import build
from tests.torchserve.exchange import Ask, Port
from tests.torchserve.server import Configuration, Server, arguments

VARIABLE = "TORCHSERVE_VENV"  # none of ours, whose settings refuse what they do not know
FOLDER = Path(__file__).parents[2] / ".torchserve"
PORTS: tuple[Port, ...] = ("inference", "management", "metrics")
START_SECONDS = 120
WORKER_PORTS = 19_000  # names of the workers' sockets; not those of a TorchServe that somebody else runs


def environment(variables: Mapping[str, str] = os.environ) -> Path:
    """The virtual environment that holds TorchServe."""
    return Path(variables.get(VARIABLE) or FOLDER)


def missing(variables: Mapping[str, str] = os.environ) -> str:
    """What is missing to start the real server and how to get it; nothing when it can be started."""
    folder = environment(variables)
    if not (folder / "bin" / "torchserve").exists():
        return f"{folder} holds no TorchServe. Run `make test-torchserve`, or name its environment in {VARIABLE}."
    if shutil.which("java") is None:
        return "TorchServe needs Java 17 and there is no `java`. Install a Java runtime."
    return ""


@contextlib.contextmanager
def running(root: Path, configuration: Configuration) -> Iterator[Server]:
    """TorchServe in `root` on free ports, from the first answer to /ping until it is stopped with all its workers."""
    store, scratch, log = root / "store", root / "scratch", root / "torchserve.log"
    for folder in (store, scratch):
        folder.mkdir(parents=True)
    build(store)
    addresses = dict(zip(PORTS, _free_addresses(len(PORTS)), strict=True))
    options = arguments(root, store, configuration, _properties(addresses))
    command = [str(environment() / "bin" / "torchserve"), *options]
    variables = {**os.environ, "TEMP": str(scratch), "TMPDIR": str(scratch), "LOG_LOCATION": str(root / "logs")}
    variables["PATH"] = f"{environment() / 'bin'}{os.pathsep}{variables['PATH']}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=root, env=variables, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    server = Server(addresses, root / "key_file.json")
    try:
        assert eventually(lambda: process.poll() is not None or _answers(server), START_SECONDS), log.read_text()[-2000:]
        assert process.poll() is None, log.read_text()[-2000:]
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(server: Server) -> bool:
    # OPTIONS needs no token; the pause is the server's own: a refused connection is tried again.
    return server.send(Ask("OPTIONS", "/", port="management")).status == 200


def _properties(addresses: Mapping[Port, str]) -> dict[str, str]:
    grpc = [address.rpartition(":")[2] for address in _free_addresses(2)]
    return {
        **{f"{port}_address": address for port, address in addresses.items()},
        "grpc_inference_port": grpc[0],
        "grpc_management_port": grpc[1],
        "initial_worker_port": str(WORKER_PORTS),
        "vmargs": "-Xmx512m",
    }


def _free_addresses(number: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"http://127.0.0.1:{each.getsockname()[1]}" for each in sockets]
