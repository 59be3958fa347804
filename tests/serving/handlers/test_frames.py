"""The binary line: what goes in comes out, and whatever else is on it ends it without a hang."""

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.handlers import frames
from demlopment.serving.handlers.frames import BrokenFrameError, Frame

names = st.text().filter(lambda name: name != "blobs")
values = st.none() | st.booleans() | st.integers() | st.text()
headers = st.dictionaries(names, values | st.lists(values), max_size=5)
blobs = st.lists(st.binary(max_size=100), max_size=4)


def read(content: bytes, limit: int = frames.MAX_FRAME) -> Frame | None:
    """From a stream that ends after `content`."""

    async def receive() -> Frame | None:
        reader = asyncio.StreamReader()
        reader.feed_data(content)
        reader.feed_eof()
        return await frames.receive(reader, limit)

    return asyncio.run(receive())


def read_blocking(content: bytes, limit: int = frames.MAX_FRAME) -> Frame | None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(content)
        theirs.close()
        return frames.receive_blocking(ours, limit)


@given(headers, blobs)
def test_a_frame_comes_out_as_it_went_in_on_both_kinds_of_line(header: dict[str, Any], parts: list[bytes]) -> None:
    content = frames.packed(header, parts)

    received = read(content), read_blocking(content)

    assert received == (Frame(header, tuple(parts)), Frame(header, tuple(parts)))


@given(headers, blobs, st.data())
def test_a_frame_that_was_cut_off_is_the_end_of_the_line(
    header: dict[str, Any], parts: list[bytes], data: st.DataObject
) -> None:
    content = frames.packed(header, parts)
    cut = content[: data.draw(st.integers(0, len(content) - 1))]

    received = read(cut), read_blocking(cut)

    assert received == (None, None)


@given(st.binary(max_size=200))
def test_garbage_is_a_broken_frame_or_the_end_and_never_another_error(content: bytes) -> None:
    for reader in (read, read_blocking):
        try:
            received = reader(content, 1000)
        except BrokenFrameError:
            continue

        assert received is None or isinstance(received, Frame)


@pytest.mark.parametrize("reader", [read, read_blocking])
def test_a_frame_beyond_the_limit_is_refused_before_it_is_read(reader: Any) -> None:
    content = frames.packed({}, [b"x" * 1000])

    with pytest.raises(BrokenFrameError, match="999 are allowed"):
        reader(content[:8], 999)


@pytest.mark.parametrize("lengths", [[-1, 3], [1], [5], "2", None])
def test_blobs_that_are_not_as_long_as_the_header_says_are_refused(lengths: Any) -> None:
    text = b'{"blobs": ' + (b"null" if lengths is None else str(lengths).encode()) + b"}"
    content = frames.PREFIX.pack(len(text), 2) + text + b"ab"

    with pytest.raises(BrokenFrameError):
        read(content)
