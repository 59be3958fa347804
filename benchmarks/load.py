"""What wrk sees: one body posted again and again over a number of connections."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")
PATIENCE = "20s"  # a peer with a long queue is slow, which is not yet an error


@dataclass(frozen=True)
class Target:
    """Where a request goes and what it carries."""

    url: str
    body: Path
    content_type: str


@dataclass(frozen=True)
class Load:
    """One run of wrk."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int  # connections that failed, answers that were no 2xx or 3xx, and requests without an answer


def wrk() -> str:
    """The program. Raises SystemExit saying how to get it."""
    found = shutil.which("wrk")
    if not found:
        raise SystemExit("This benchmark needs wrk: apt-get install wrk, or https://github.com/wg/wrk.")
    return found


def put_on(target: Target, connections: int, seconds: float) -> Load:
    """Load `target` for whole seconds, which wrk counts in, with as many of its threads as are of use."""
    threads = min(2, connections)
    command = [
        wrk(),
        f"-t{threads}",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        PATIENCE,
        "-s",
        str(SCRIPT),
        target.url,
    ]
    environment = {**os.environ, "BODY": str(target.body), "TYPE": target.content_type}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    seen = json.loads(output.splitlines()[-1])
    rate = seen["requests"] / seen["microseconds"] * 1e6
    return Load(rate, seen["p50_us"] / 1000, seen["p99_us"] / 1000, seen["errors"])
