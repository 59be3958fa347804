"""When an endpoint is to stop: a signal, or the end of its leash. Knows nothing of what it serves."""

import asyncio
import os
import signal
import stat
from collections.abc import Coroutine
from typing import Any

from demlopment.errors import SettingsError


def asked(*, leash: bool) -> asyncio.Event:
    """Set by SIGTERM, SIGINT, SIGHUP and, on a `leash`, by the end of standard input."""
    stop = asyncio.Event()
    _on_signals(stop)
    if leash:
        _on_end_of_input(stop)
    return stop


async def unless(stop: asyncio.Event, start: Coroutine[Any, Any, None]) -> bool:
    """Whether `start` was completed before somebody asked to stop."""
    starting, stopping = asyncio.create_task(start), asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        starting.result()
        return not stop.is_set()
    starting.cancel()
    return False


def _on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


def _on_end_of_input(stop: asyncio.Event) -> None:
    """A parent holds the other end of our standard input; when it dies, however it dies, the kernel closes it."""
    kind = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(0)):
        raise SettingsError("The leash needs a pipe on standard input.", "Start the endpoint with one, or without the leash.")
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, read)
