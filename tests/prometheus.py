"""Debian's Prometheus where it is: its tool for rules, and a server of the test's own. Offline, and always stopped."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

# `make` unpacks it beside Python where there is apt, see tools/prometheus.
BESIDE = str(Path(sys.executable).parent)
MISSING = "promtool and prometheus are missing: apt-get install prometheus"
STOP_SECONDS = 30


def tool(name: str) -> str:
    """The path of `promtool` or `prometheus`; a test that needs it is skipped without."""
    return shutil.which(name, path=BESIDE) or shutil.which(name) or pytest.skip(MISSING)


@dataclass(frozen=True)
class Prometheus:
    """A server that answers."""

    http: httpx2.Client

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression now; an error of the expression is an AssertionError."""
        answer = self.http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health."""
        groups = self.http.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextlib.contextmanager
def scraping(folder: Path, target: str, rules: Path, job: str) -> Iterator[Prometheus]:
    """A server that scrapes `target` (host:port) and evaluates `rules` every second, with its data in `folder`."""
    executable = tool("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(rules)],
                "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        executable,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as http:
                while not _ready(http):
                    assert process.poll() is None, (folder / "log").read_text()
                yield Prometheus(http)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()


def _ready(http: httpx2.Client) -> bool:
    try:
        return http.get("/-/ready").status_code == 200
    except httpx2.TransportError:
        return False
