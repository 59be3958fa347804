"""What every test runs under: no network beyond this machine, and the same settings wherever it runs."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

pytest_plugins = "pytester"


class NetworkUsedError(AssertionError):
    """A test opened a connection that leaves this machine."""


def _is_local(family: int, address: Any) -> bool:
    if family == socket.AF_UNIX or not isinstance(address, tuple):
        return True
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return bool(address[0] == "localhost")


@pytest.fixture(scope="session", autouse=True)
def attempts() -> Iterator[list[Any]]:
    """Every address beyond this machine that a test, or a fixture of any scope, tried to reach; each try fails."""
    tried: list[Any] = []

    def guarded(original: Any) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if not _is_local(self.family, address):
                tried.append(address)
                raise NetworkUsedError(f"A test tried to connect to {address}. Tests may only use this machine.")
            return original(self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        yield tried


@pytest.fixture(autouse=True)
def no_network(attempts: list[Any]) -> Iterator[None]:
    """Fail any test that tried to leave this machine, also where a library swallowed the error."""
    yield
    tried, attempts[:] = list(attempts), []
    assert not tried, f"This test tried to connect to {tried}"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own DEMLOPMENT_* variables must not change what the tests see."""
    for variable in [name for name in os.environ if name.startswith("DEMLOPMENT_")]:
        monkeypatch.delenv(variable)
