"""What a worker prints, on its way to the log: bounded, and in letters that cannot pass for ours. Knows no process.

The pipe is our own and not asyncio's, whose wait for the end of a process is also one for the end of its pipe: a daemon that
a handler left behind holds that open for as long as it likes.
"""

import asyncio
import os
import time
from collections.abc import Callable

Tell = Callable[[str], None]  # what a person should know

LINES_A_SECOND = 200  # of a worker's output; more would fill a disk with one chatty handler
MAX_LINE = 2000  # characters
CHUNK = 65_536  # bytes; what a pipe holds
REST_SECONDS = 1.0  # for what is still in the pipe when its process has ended; only a stranger holds it open longer


class Output:
    """The reading end of one worker's pipe."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport, prefix: str, tell: Tell) -> None:
        self._transport = transport
        self._passing = asyncio.create_task(_pass_on(reader, prefix, tell))

    @classmethod
    async def open(cls, prefix: str, tell: Tell) -> tuple["Output", int]:
        """The end from which every line is told, and the file descriptor to write to, which the caller closes."""
        reading, writing = os.pipe()
        reader = asyncio.StreamReader(CHUNK)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb"))
        return cls(reader, transport, prefix, tell), writing

    async def end(self) -> None:
        """Tell what is left in the pipe, and close it."""
        await asyncio.wait({self._passing}, timeout=REST_SECONDS)
        self._transport.close()
        self._passing.cancel()


def printable(line: bytes) -> str:
    """A line as text; control characters are spelt out, so that none moves the cursor, colours or forges a line.

    >>> printable(b"\\x1b[31mred\\rover")
    '\\\\x1b[31mred\\\\rover'
    """
    text = line.removesuffix(b"\r").decode(errors="replace")[:MAX_LINE]
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\t" else each.encode("unicode_escape").decode() for each in text)


async def _pass_on(output: asyncio.StreamReader, prefix: str, tell: Tell) -> None:
    """Say every line of a worker, up to so many a second; how many were left out is said with the next one."""
    line, second, said, left_out = b"", 0, 0, 0
    while chunk := await output.read(CHUNK):
        *lines, line = (line + chunk).split(b"\n")
        if len(line) > 4 * MAX_LINE:
            lines, line = [*lines, line], b""
        if int(time.monotonic()) != second:
            second, said = int(time.monotonic()), 0
            if left_out:
                tell(f"{prefix}... {left_out} lines left out")
                left_out = 0
        for each in lines[: LINES_A_SECOND - said]:
            tell(prefix + printable(each))
        left_out += max(len(lines) - (LINES_A_SECOND - said), 0)
        said = min(said + len(lines), LINES_A_SECOND)
    if line:
        tell(prefix + printable(line))
    if left_out:
        tell(f"{prefix}... {left_out} lines left out")
