"""What a worker prints: every line once, as a whole line of its own, and no more than a log can bear."""

import asyncio
import os
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.handlers.output import LINES_A_SECOND, MAX_LINE, Output, printable


def told(written: Sequence[bytes]) -> list[str]:
    async def run() -> list[str]:
        lines: list[str] = []
        output, end = await Output.open("[W] ", lines.append)
        with open(end, "wb", buffering=0) as pipe:  # noqa: PTH123  # a file descriptor is no path
            for chunk in written:
                await asyncio.to_thread(pipe.write, chunk)
        await output.end()
        return lines

    return asyncio.run(run())


def test_lines_are_told_however_they_arrive() -> None:
    assert told([b"one\ntw", b"o\r\n", b"three"]) == ["[W] one", "[W] two", "[W] three"]


def test_lines_beyond_the_limit_are_counted_instead_of_told() -> None:
    lines = told([b"x\n" * 3 * LINES_A_SECOND])

    assert len(lines) < 3 * LINES_A_SECOND
    assert "lines left out" in lines[-1]


def test_an_end_does_not_wait_for_a_stranger_who_holds_the_pipe() -> None:
    async def run() -> list[str]:
        lines: list[str] = []
        output, end = await Output.open("", lines.append)
        os.write(end, b"last words\n")
        await output.end()
        os.close(end)
        return lines

    assert asyncio.run(run()) == ["last words"]


@given(st.binary(max_size=3 * MAX_LINE))
def test_no_line_can_move_the_cursor_or_pass_for_another(line: bytes) -> None:
    text = printable(line)

    assert all(each.isprintable() or each == "\t" for each in text)


@given(st.text(st.characters(categories=("L", "N", "P", "S")), max_size=MAX_LINE))
def test_what_people_write_is_told_as_they_wrote_it(line: str) -> None:
    assert printable(line.encode()) == line
