"""Where a running endpoint is found: its ports, and the note that tells other processes. Knows nothing of HTTP."""

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from demlopment import home
from demlopment.errors import SettingsError
from demlopment.home import Home

if TYPE_CHECKING:
    from demlopment.settings import Endpoint, Engine

BACKLOG = 2048  # connections that may wait while a serving process is busy or being replaced
NOTE = "addresses.json"
LEFT_BEHIND_SECONDS = 10.0  # twice what the processes of a killed supervisor take to leave, see process.py
POLL_SECONDS = 0.1  # between two tries to get a port that a killed endpoint may still hold


@dataclass(frozen=True)
class Addresses:
    """Base URLs of the three ports, without a trailing slash, and who answers there."""

    inference: str
    management: str
    metrics: str
    engine: "Engine" = field(default="own", kw_only=True)


def running(place: Home) -> Addresses | None:
    """The endpoint that runs in this home, or None: a note that a killed supervisor left is not believed."""
    try:
        note = json.loads((place.endpoint / NOTE).read_bytes())
        lives = note["birth"] and home.birth(note["pid"]) == note["birth"]
        return Addresses(**note["addresses"]) if lives else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # no note, or one that no endpoint wrote
        return None


@contextmanager
def announced(place: Home, addresses: Addresses) -> Iterator[None]:
    """Tell other processes where this one answers, for as long as the block lasts."""
    path = place.endpoint / NOTE
    note = {"pid": os.getpid(), "birth": home.birth(os.getpid()), "addresses": asdict(addresses)}
    home.replace(path, (json.dumps(note, indent=2) + "\n").encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def listen(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    """A listening socket; port 0 takes a free one. `shared` lets more sockets of ours listen on the same port.

    Raises SettingsError naming the port and the setting that changes it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if shared and port:
        # The kernel would let another user of SO_REUSEPORT share our port; a plain socket is refused.
        listen(host, port, setting).close()
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as refused:
        listener.close()
        raise _refused(host, port, setting, refused) from refused
    return listener


@contextmanager
def listening(place: Home, settings: "Endpoint") -> Iterator[list[socket.socket]]:
    """The three ports in TorchServe's order; closed at the latest when the block ends.

    One in use is waited for while the processes of a killed supervisor of this home may hold it.
    """
    deadline = time.monotonic() + (LEFT_BEHIND_SECONDS if left_behind(place) else 0.0)
    ports = {
        "inference_port": (settings.host, settings.inference_port),
        "management_port": (settings.management_host or settings.host, settings.management_port),
        "metrics_port": (settings.metrics_host or settings.host, settings.metrics_port),
    }
    with ExitStack() as stack:
        listeners: list[socket.socket] = []
        while len(listeners) < len(ports):
            name, (host, port) = list(ports.items())[len(listeners)]
            try:
                listeners.append(stack.enter_context(listen(host, port, name, shared=name == "inference_port")))
            except SettingsError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
        yield listeners


def beside(first: socket.socket) -> socket.socket:
    """Another listening socket on the port of `first`, which was opened as shared."""
    listener = socket.socket(first.family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(first.getsockname())
    listener.listen(BACKLOG)
    return listener


def url(listener: socket.socket, *, secure: bool) -> str:
    """The base URL of a listening socket, as a client on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (compared with, not bound to)
    scheme = "https" if secure else "http"
    return f"{scheme}://[{reachable}]:{port}" if ":" in reachable else f"{scheme}://{reachable}:{port}"


def left_behind(place: Home) -> bool:
    """Whether the last supervisor of this home was killed, so that its processes may still be going."""
    return (place.endpoint / NOTE).exists() and running(place) is None


def _refused(host: str, port: int, setting: str, error: OSError) -> SettingsError:
    variable = f"DEMLOPMENT_ENDPOINT__{setting.upper()}"
    if error.errno == errno.EADDRINUSE:
        return SettingsError(
            f"Port {port} on {host} is in use.", f"Stop what uses it, or set {variable} to another port; 0 picks a free one."
        )
    if error.errno == errno.EACCES:
        return SettingsError(
            f"Port {port} on {host} needs privileges.", f"Set {variable} to a port from 1024 up; 0 picks a free one."
        )
    return SettingsError(
        f"{host} cannot be listened on ({error.strerror}).", "Set DEMLOPMENT_ENDPOINT__HOST to an own address."
    )
