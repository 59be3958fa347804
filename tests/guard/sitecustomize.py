"""Keeps every Python process of a test run on this machine. The tests import it; what they start loads it by itself,
because Python imports a `sitecustomize` that it finds on its path, and conftest.py puts this folder there."""

import ipaddress
import os
import socket
from typing import Any

LOG = "TESTS_EGRESS_LOG"  # names the file where attempts are written, by whichever process made them


class NetworkUsedError(AssertionError):
    """A test opened a connection that leaves this machine."""


def is_local(family: int, address: Any) -> bool:
    """Whether an address is on this machine, without asking a name server."""
    if family == socket.AF_UNIX or not isinstance(address, tuple):
        return True
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return bool(address[0] == "localhost")


def guarded(original: Any) -> Any:
    """`socket.connect` that fails, and writes down, every attempt to leave this machine."""

    def connect(self: socket.socket, address: Any) -> Any:
        if is_local(self.family, address):
            return original(self, address)
        with open(os.environ[LOG], "a", encoding="utf-8") as log:  # noqa: PTH123  # pathlib would slow every process's start
            log.write(f"{address}\n")
        raise NetworkUsedError(f"A test tried to connect to {address}. Tests may only use this machine.")

    return connect


if LOG in os.environ:
    socket.socket.connect = guarded(socket.socket.connect)  # type: ignore[method-assign]  # that is the point
    socket.socket.connect_ex = guarded(socket.socket.connect_ex)  # type: ignore[method-assign]
