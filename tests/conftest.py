"""What every test runs under: no network beyond this machine, and the same settings wherever it runs."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests import store
from tests.guard import sitecustomize as guard

pytest_plugins = "pytester"

# How long an example takes is the machine's business: a deadline would be a timed test.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


# Each process takes a file at a time. Files of few long tests come first: left for the end, as the number of their tests would
# have it, one process would work through them alone, for minutes.
LONG = ("documents/", "lifecycle/", "museum/", "training/", "test_commands.py", "test_cli.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within a file nothing moves."""
    items.sort(key=lambda item: not any(part in item.nodeid for part in LONG))


class ByFileAndDocument(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A process takes a file at a time, and of the documents, which are read from a single file, one at a time."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith("tests/documents/") else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """In place of `--dist loadfile` alone."""
    return ByFileAndDocument(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def attempts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file that lists every address beyond this machine which a test, or a process it started, tried to reach."""
    log = tmp_path_factory.mktemp("egress") / "attempts.txt"
    log.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(guard.LOG, str(log))
        patch.setenv("PYTHONPATH", str(Path(guard.__file__).parent), prepend=os.pathsep)
        patch.setattr(socket.socket, "connect", guard.guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guard.guarded(socket.socket.connect_ex))
        yield log


@pytest.fixture(autouse=True)
def no_network(attempts: Path) -> Iterator[None]:
    """Fail any test that tried to leave this machine, also where a library or a child process swallowed the error."""
    yield
    tried = attempts.read_text()
    attempts.write_text("")
    assert not tried, f"This test tried to connect to {tried.split()}"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own DEMLOPMENT_* variables must not change what the tests see."""
    for variable in [name for name in os.environ if name.startswith("DEMLOPMENT_")]:
        monkeypatch.delenv(variable)


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """The endpoint of an object store that speaks S3, on this machine."""
    command = [sys.executable, store.__file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.terminate()


@pytest.fixture
def s3(object_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address in an empty bucket, with the variables that lead there, for this process and those it starts."""
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    said = {"ENDPOINT_URL": object_store, "ALLOW_HTTP": "true", "ACCESS_KEY_ID": "tests", "SECRET_ACCESS_KEY": "tests"}
    for name, value in said.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    name = f"bucket-{uuid4().hex}"
    httpx2.put(f"{object_store}/{name}").raise_for_status()
    return f"s3://{name}/lake"
