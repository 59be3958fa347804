"""What travels between serving process, supervisor and worker: a JSON header and raw bytes. Knows no message.

A frame is two numbers (bytes of the header, bytes of everything after it), the header as JSON, then the blobs, whose
lengths the header carries. The end of the line in the middle of a frame is the end of the line: its writer has died.
"""

import asyncio
import itertools
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PREFIX = struct.Struct("!II")
MAX_FRAME = 1 << 30  # bytes; a frame of our own is smaller, and only garbage on the line announces more


class BrokenFrameError(ConnectionError):
    """The other end sent what is no frame, or a longer one than allowed: nothing after it can be understood."""


@dataclass(frozen=True)
class Frame:
    """One message."""

    header: Mapping[str, Any]
    blobs: tuple[bytes, ...] = field(default=())


def packed(header: Mapping[str, Any], blobs: Sequence[bytes | bytearray] = ()) -> bytes:
    """A frame's bytes. The header is JSON; its key `blobs` is ours."""
    text = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode()
    return b"".join((PREFIX.pack(len(text), sum(map(len, blobs))), text, *blobs))


async def receive(reader: asyncio.StreamReader, limit: int = MAX_FRAME) -> Frame | None:
    """The next frame, or None at the end of the line. Raises BrokenFrameError."""
    try:
        sizes = _sizes(await reader.readexactly(PREFIX.size), limit)
        return _unpacked(await reader.readexactly(sum(sizes)), sizes[0])
    except asyncio.IncompleteReadError:
        return None
    except ConnectionError as gone:
        if isinstance(gone, BrokenFrameError):
            raise
        return None


def receive_blocking(line: socket.socket, limit: int = MAX_FRAME) -> Frame | None:
    """As `receive`, on a socket that blocks."""
    prefix = _exactly(line, PREFIX.size)
    if prefix is None:
        return None
    sizes = _sizes(prefix, limit)
    content = _exactly(line, sum(sizes))
    return None if content is None else _unpacked(content, sizes[0])


def _sizes(prefix: bytes, limit: int) -> tuple[int, int]:
    header, rest = PREFIX.unpack(prefix)
    if header + rest > limit:
        raise BrokenFrameError(f"a frame of {header + rest} bytes, and {limit} are allowed")
    return header, rest


def _unpacked(content: bytes, header: int) -> Frame:
    try:
        values = json.loads(content[:header])
        lengths = values.pop("blobs")
        ends = [header]
        for length in lengths:
            ends.append(ends[-1] + length)
        if ends[-1] != len(content) or min(lengths, default=0) < 0:
            raise ValueError(f"blobs of {lengths} bytes in {len(content) - header}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as broken:
        raise BrokenFrameError(f"not a frame: {broken}") from broken
    return Frame(values, tuple(content[start:end] for start, end in itertools.pairwise(ends)))


def _exactly(line: socket.socket, size: int) -> bytes | None:
    content = bytearray(size)
    view, missing = memoryview(content), size
    while missing:
        try:
            count = line.recv_into(view[size - missing :])
        except ConnectionError:
            return None
        if not count:
            return None
        missing -= count
    return bytes(content)
