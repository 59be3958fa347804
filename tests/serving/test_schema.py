"""What each port says of itself is true: schemathesis asks it everything that its own description allows, and much else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.endpoint import Running, registered, running

SCHEMA = Path(__file__).parent / "schema"
ROOT = Path(__file__).parents[2]
EXAMPLES = 8  # for each operation; with 30 it found nothing either


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("described")
    registered(root, "1.0", "2.0")
    with running(root) as endpoint:
        yield endpoint


@pytest.mark.parametrize("port", ["inference", "management", "metrics"])
def test_schemathesis_finds_nothing(described: Running, tmp_path: Path, port: str) -> None:
    client = {"inference": described.inference, "management": described.management, "metrics": described.metrics}[port]
    document = tmp_path / "openapi.json"
    document.write_bytes(client.request("OPTIONS", "/").content)
    command = [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(SCHEMA / "schemathesis.toml")),
        *("run", str(document), "--url", str(client.base_url).rstrip("/")),
        *("--max-examples", str(EXAMPLES), "--workers", "1", "--seed", "3"),
    ]
    paths = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    hooks = {"SCHEMATHESIS_HOOKS": "tests.serving.schema.pictures", "PYTHONPATH": paths}

    found = subprocess.run(command, cwd=tmp_path, env={**os.environ, **hooks}, capture_output=True, text=True, timeout=250)

    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    assert "No issues found" in found.stdout or "passed" in found.stdout, found.stdout[-2000:]
