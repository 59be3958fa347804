"""What every test runs under: no network beyond this machine, and the same settings wherever it runs."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.guard import sitecustomize as guard

pytest_plugins = "pytester"

# How long an example takes is the machine's business: a deadline would be a timed test.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


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
