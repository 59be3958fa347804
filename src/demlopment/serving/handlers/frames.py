"""What travels between serving process, supervisor and worker: a JSON header and raw bytes. Knows no message.

A frame is two numbers (bytes of the header, bytes of everything after it), the header as JSON, then the blobs, whose
lengths the header carries. The end of the line in the middle of a frame is the end of the line: its writer has died.

A large body passes here twice on its way to a handler. So a frame is read into the buffer that keeps it, its blobs are
views of that buffer, and they are written from where they lie.
"""

import asyncio
import itertools
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from demlopment.serving.calls import Bytes

PREFIX = struct.Struct("!II")
MAX_FRAME = 1 << 30  # bytes; a frame of our own is smaller, and only garbage on the line announces more
KERNEL_BYTES = 1 << 20  # that lie between the two ends, where the machine allows it: a body of 1 MB in one go
ENCODER = json.JSONEncoder(check_circular=False)
AHEAD_BYTES = 65_536  # that are read before somebody asks for them
JOINED_BYTES = 65_536  # of blobs: so many cost less to copy than to send in a list


class BrokenFrameError(ConnectionError):
    """The other end sent what is no frame, or a longer one than allowed: nothing after it can be understood."""


@dataclass(frozen=True)
class Frame:
    """One message."""

    header: Mapping[str, Any]
    blobs: tuple[Bytes, ...] = field(default=(), repr=False)


class Line(asyncio.BufferedProtocol):
    """One end of a socket pair. One task receives; any may send."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._ahead = bytearray(AHEAD_BYTES)
        self._begin = self._end = 0  # of what has arrived there and belongs to no frame yet
        self._content: bytearray | None = None  # of the next frame, without its prefix
        self._header = self._filled = 0  # bytes of it: the header's, and those that have arrived
        self._limit = MAX_FRAME
        self._news: asyncio.Future[None] | None = None  # somebody waits for a frame
        self._paused = self._over = False
        self._unsent: list[Bytes] = []  # of this round of the loop
        self._unsent_bytes = 0
        self._writable = asyncio.Event()
        self._writable.set()

    @classmethod
    async def open(cls, end: socket.socket) -> "Line":
        """Take over one end of a pair."""
        end.settimeout(0)
        widen(end)
        _, line = await asyncio.get_running_loop().create_unix_connection(cls, sock=end)
        return line

    async def receive(self, limit: int = MAX_FRAME) -> Frame | None:
        """The next frame, or None at the end of the line. Raises BrokenFrameError. A cancelled call loses nothing."""
        self._limit = limit
        while not self._arrived():
            if self._over:
                return None
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        content, self._content = self._content, None
        assert content is not None, "it has arrived"
        return _unpacked(content, self._header)

    def write(self, header: Mapping[str, Any], blobs: Sequence[Bytes] = ()) -> None:
        """Send without waiting; a line that has ended swallows it.

        What is small leaves at the end of this round of the loop, with whatever else is sent by then: each write wakes the
        other process, which costs both of them more than all the rest of a frame.
        """
        pieces = packed(header, blobs)
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += pieces
        self._unsent_bytes += sum(map(len, pieces))
        if self._unsent_bytes > JOINED_BYTES:
            self._flush()

    async def send(self, header: Mapping[str, Any], blobs: Sequence[Bytes] = ()) -> None:
        """Send, and wait while the other end does not read. Raises ConnectionError if the line has ended."""
        self.write(header, blobs)
        await self._writable.wait()
        if self._over or self._transport.is_closing():
            raise ConnectionResetError("the line has ended")

    def close(self) -> None:
        """Hang up, after what has been written."""
        self._flush()
        self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop names no base class

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._writable.set()
        self._wake()

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._content is not None and self._filled < len(self._content):
            return memoryview(self._content)[self._filled :]
        return memoryview(self._ahead)[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._content is not None and self._filled < len(self._content):
            self._filled += nbytes
        else:
            self._end += nbytes
        if self._news is not None:
            try:
                arrived = self._arrived()
            except BrokenFrameError:
                arrived = True  # whoever receives meets it again
            if arrived:
                self._wake()
        if self._end == len(self._ahead):
            self._paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What both sides need.

    def _arrived(self) -> bool:
        """Whether the next frame is whole. Begins it with what was read ahead. Raises BrokenFrameError."""
        if self._content is None:
            start = self._begin + PREFIX.size
            if start > self._end:
                self._keep_ahead(self._begin)
                return False
            self._header, rest = _sizes(self._ahead[self._begin : start], self._limit)
            self._content = bytearray(self._header + rest)
            self._filled = min(len(self._content), self._end - start)
            self._content[: self._filled] = memoryview(self._ahead)[start : start + self._filled]
            self._begin = start + self._filled
            if self._begin == self._end:
                self._begin = self._end = 0
        return self._filled == len(self._content)

    def _flush(self) -> None:
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        if unsent and not self._transport.is_closing():
            self._transport.writelines(unsent)

    def _keep_ahead(self, begin: int) -> None:
        """Move half a prefix to the front, so that there is room behind it."""
        rest = self._ahead[begin : self._end]
        self._ahead[: len(rest)] = rest
        self._begin, self._end = 0, len(rest)

    def _wake(self) -> None:
        if self._news is not None:
            if not self._news.done():
                self._news.set_result(None)
            self._news = None


def widen(end: socket.socket) -> None:
    """Let more lie between the two ends than is usual."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)


def packed(header: Mapping[str, Any], blobs: Sequence[Bytes] = ()) -> list[Bytes]:
    """A frame's bytes, in one piece or several. The header is JSON; its key `blobs` is ours."""
    lengths = [len(blob) for blob in blobs]
    size = sum(lengths)
    text = ENCODER.encode({**header, "blobs": lengths}).encode()
    head = PREFIX.pack(len(text), size) + text
    return [b"".join((head, *blobs))] if size <= JOINED_BYTES else [head, *blobs]


def receive_blocking(line: socket.socket, limit: int = MAX_FRAME) -> Frame | None:
    """As `Line.receive`, on a socket that blocks."""
    prefix = _exactly(line, PREFIX.size)
    if prefix is None:
        return None
    sizes = _sizes(prefix, limit)
    content = _exactly(line, sum(sizes))
    return None if content is None else _unpacked(content, sizes[0])


def _sizes(prefix: bytearray, limit: int) -> tuple[int, int]:
    header, rest = PREFIX.unpack(prefix)
    if header + rest > limit:
        raise BrokenFrameError(f"a frame of {header + rest} bytes, and {limit} are allowed")
    return header, rest


def _unpacked(content: bytearray, header: int) -> Frame:
    try:
        values = json.loads(content[:header].decode())
        lengths = values.pop("blobs")
        ends = [header]
        for length in lengths:
            ends.append(ends[-1] + length)
        if ends[-1] != len(content) or min(lengths, default=0) < 0:
            raise ValueError(f"blobs of {lengths} bytes in {len(content) - header}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as broken:
        raise BrokenFrameError(f"not a frame: {broken}") from broken
    whole = memoryview(content)
    return Frame(values, tuple(whole[start:end] for start, end in itertools.pairwise(ends)))


def _exactly(line: socket.socket, size: int) -> bytearray | None:
    content = bytearray(size)
    view, missing = memoryview(content), size
    while missing:
        try:
            count = line.recv_into(view[size - missing :], missing, socket.MSG_WAITALL)
        except ConnectionError:
            return None
        if not count:
            return None
        missing -= count
    return content
