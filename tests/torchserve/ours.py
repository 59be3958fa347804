"""Our endpoint, started with TorchServe's own command line and file, with either engine."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from demlopment.home import Home
from demlopment.serving.tokens import NAME
from tests.serving.endpoint import stop
from tests.torchserve import real
from tests.torchserve.archives import build
from tests.torchserve.exchange import Port
from tests.torchserve.server import Configuration, Server, arguments

PORTS: tuple[Port, ...] = ("inference", "management", "metrics")
Engine = Literal["own", "torchserve"]
# What the real one has by default and we have not, and what it must not take of this machine.
BEHIND: dict[Engine, dict[str, str]] = {
    "own": {},
    "torchserve": {"allowed_urls": "file://.*|http(s)?://.*", "vmargs": "-Xmx512m", "metrics_mode": "log"},
}


@contextlib.contextmanager
def running(root: Path, configuration: Configuration, *, strict: bool = False, engine: Engine = "own") -> Iterator[Server]:
    """`demlopment serve` in `root` on free ports, until the end of the block."""
    home, store = Home(root / "home"), root / "store"
    store.mkdir(parents=True)
    build(store)
    anywhere = {f"{port}_address": "http://127.0.0.1:0" for port in PORTS}
    configuration = replace(configuration, properties=BEHIND[engine] | configuration.properties)
    command = [sys.executable, "-m", "demlopment", "serve", "--until-stdin-closes"]
    command += ["--engine", engine, *arguments(root, store, configuration, anywhere)]
    # A network is in every process, so TorchServe's one worker is described as two where there are two processes.
    processes = "1" if configuration.token else "2"
    ours = {"ALLOW_HANDLERS": "true", "STRICT": str(strict).lower(), "PROCESSES": processes}
    if engine == "torchserve":
        ours["TORCHSERVE_ENVIRONMENT"] = str(real.environment())
    variables = {f"DEMLOPMENT_ENDPOINT__{name}": value for name, value in ours.items()}
    log = root / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env={**os.environ, **variables, "DEMLOPMENT_HOME": str(home.root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()[-2000:]
        addresses = json.loads(line)
        yield Server({port: addresses[port] for port in PORTS}, home.endpoint / NAME)
    finally:
        stop(process)
