"""What goes to a Python handler and what comes back. Knows no process, no socket and no HTTP library."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Bytes = bytes | bytearray | memoryview  # between processes, a body stays in the buffer that it was read into


@dataclass(frozen=True)
class Field:
    """One input of a request, as TorchServe hands it to a handler: a whole raw body is the field `body`."""

    name: str
    content: Bytes = field(repr=False)
    content_type: str = ""  # of the part of the form, or of a raw body


@dataclass(frozen=True)
class Call:
    """One request for one version of a model."""

    request_id: str
    headers: Mapping[str, str]  # of the request, with `explain` and `url_path` as TorchServe adds them
    fields: tuple[Field, ...]
    asked: str = "default"  # the version as the request named it; TorchServe's metrics and words tell them apart
    over: asyncio.Event | None = field(default=None, repr=False)  # set: whoever asks wants it back, unless a worker has it
    spare: bool = False  # whether somebody else answers where no worker can be started


class RecalledError(Exception):
    """A call comes back that no worker has seen: it is over, or, if `broken`, no worker can be started."""

    def __init__(self, *, broken: bool) -> None:
        super().__init__(broken)
        self.broken = broken


@dataclass(frozen=True)
class Reply:
    """One response of a handler: whole, or with the rest of its body still to come."""

    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)  # everything, or the first chunk of a stream
    rest: AsyncIterator[bytes] | None = None


class Handlers(Protocol):
    """Whoever runs Python handlers, as a serving process sees it."""

    async def ask(self, model: str, version: str, call: Call) -> Reply:
        """The handler's response.

        Raises RequestError with TorchServe's status and words when there is none: no worker, a full queue, a worker that
        died or was too late, a handler that raised. Raises RecalledError for a call that comes back.
        """
        ...
