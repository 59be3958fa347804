"""The binary line: what goes in comes out, and whatever else is on it ends it without a hang."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.handlers import frames
from demlopment.serving.handlers.frames import BrokenFrameError, Frame, Line

Outcome = TypeVar("Outcome")
Loop = Callable[[], asyncio.AbstractEventLoop]

names = st.text().filter(lambda name: name != "blobs")
values = st.none() | st.booleans() | st.integers() | st.text()
headers = st.dictionaries(names, values | st.lists(values), max_size=5)
blobs = st.lists(st.binary(max_size=100), max_size=4)


def packed(header: dict[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    return b"".join(frames.packed(header, parts))


def read(content: bytes, limit: int = frames.MAX_FRAME) -> Frame | None:
    """From a line that ends after `content`."""

    async def receive() -> Frame | None:
        ours, theirs = socket.socketpair()
        line = await Line.open(ours)
        try:
            with theirs:
                theirs.sendall(content)
            return await line.receive(limit)
        finally:
            line.close()

    return asyncio.run(receive())


def read_blocking(content: bytes, limit: int = frames.MAX_FRAME) -> Frame | None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(content)
        theirs.close()
        return frames.receive_blocking(ours, limit)


@given(headers, blobs)
def test_a_frame_comes_out_as_it_went_in_on_both_kinds_of_line(header: dict[str, Any], parts: list[bytes]) -> None:
    content = packed(header, parts)

    received = read(content), read_blocking(content)

    assert received == (Frame(header, tuple(parts)), Frame(header, tuple(parts)))


@given(headers, blobs, st.data())
def test_a_frame_that_was_cut_off_is_the_end_of_the_line(
    header: dict[str, Any], parts: list[bytes], data: st.DataObject
) -> None:
    content = packed(header, parts)
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
    content = packed({}, [b"x" * 1000])

    with pytest.raises(BrokenFrameError, match="999 are allowed"):
        reader(content[:8], 999)


@pytest.mark.parametrize("lengths", [[-1, 3], [1], [5], "2", None])
def test_blobs_that_are_not_as_long_as_the_header_says_are_refused(lengths: Any) -> None:
    text = b'{"blobs": ' + (b"null" if lengths is None else str(lengths).encode()) + b"}"
    content = frames.PREFIX.pack(len(text), 2) + text + b"ab"

    with pytest.raises(BrokenFrameError):
        read(content)


def on_a_pair(loop: Loop, scenario: Callable[[Line, Line], Awaitable[Outcome]]) -> Outcome:
    """What `scenario` returns, given both ends of a line."""

    async def run() -> Outcome:
        ends = [await Line.open(end) for end in socket.socketpair()]
        try:
            return await asyncio.wait_for(scenario(*ends), 30)
        finally:
            for line in ends:
                line.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(run())


both_loops = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


@both_loops
def test_frames_of_every_size_arrive_in_their_order(loop: Loop) -> None:
    sizes = [0, 1, 65_000, 65_536, 3, 3_000_000, 100_000, 7] * 3
    sent = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def scenario(here: Line, there: Line) -> list[bytes]:
        sending = asyncio.ensure_future(_send_all(here, sent))
        frames_there = [await there.receive() for _ in sent]
        await sending
        return [bytes(frame.blobs[0]) for frame in frames_there if frame is not None]

    received = on_a_pair(loop, scenario)

    assert received == sent


@both_loops
def test_a_receive_that_is_given_up_loses_no_frame(loop: Loop) -> None:
    async def scenario(here: Line, there: Line) -> list[Any]:
        numbers = []
        for number in range(50):
            receiving = asyncio.ensure_future(there.receive())
            await asyncio.sleep(0)
            here.write({"number": number}, [b"x" * 100_000])
            for _ in range(number % 5):
                await asyncio.sleep(0)
            if receiving.cancel():
                await asyncio.wait({receiving})
            frame = await there.receive() if receiving.cancelled() else receiving.result()
            numbers.append(frame and frame.header["number"])
        return numbers

    numbers = on_a_pair(loop, scenario)

    assert numbers == list(range(50))


@both_loops
def test_whoever_sends_to_one_who_does_not_read_waits_until_that_one_goes(loop: Loop) -> None:
    async def scenario(here: Line, there: Line) -> bool:
        sending = asyncio.ensure_future(_send_all(here, [b"x" * 1_000_000] * 100))
        frame = await there.receive()
        assert frame is not None
        waited = not sending.done()
        there.close()
        with pytest.raises(ConnectionError):
            await sending
        return waited

    waited = on_a_pair(loop, scenario)

    assert waited


@both_loops
def test_a_line_that_has_ended_swallows_what_is_written_and_refuses_what_is_sent(loop: Loop) -> None:
    async def scenario(here: Line, there: Line) -> Frame | None:
        there.close()
        ended = await here.receive()
        here.write({"cancel": True})
        with pytest.raises(ConnectionError):
            await here.send({"number": 1})
        return ended

    ended = on_a_pair(loop, scenario)

    assert ended is None


async def _send_all(line: Line, blobs: Sequence[bytes]) -> None:
    for number, blob in enumerate(blobs):
        await line.send({"number": number}, [blob])
