"""How far a reading has come, as it is told on a terminal and in a pipe; the clock is a test's."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from demlopment.commands.progress import Progress

COLOURS = re.compile(r"\x1b\[[\d;?]*[a-zA-Z]")
INGEST = [sys.executable, "-m", "demlopment", "data", "ingest"]


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=120, _environ={}), file


def shown(file: io.StringIO) -> str:
    """What stood on the screen last, without colours."""
    return COLOURS.sub("", file.getvalue()).replace("\r", "\n").strip().splitlines()[-1]


def test_a_terminal_shows_rate_and_time_left_where_the_rows_are_known(clock: Clock) -> None:
    screen, file = console(terminal=True)

    with Progress(screen, clock=clock) as progress:
        heard = progress.counted("mnist-train", 60_000)
        clock.now += 5
        heard(10_000)

    assert "mnist-train: 10,000 of 60,000 rows, 2,000 a second, 0:00:25 left" in shown(file)


@pytest.mark.parametrize("width", [80, 100])
def test_the_time_left_is_seen_beside_a_long_name(clock: Clock, width: int) -> None:
    file = io.StringIO()
    screen = Console(file=file, force_terminal=True, width=width, _environ={})

    with Progress(screen, clock=clock) as progress:
        heard = progress.counted("file:train-images-idx3-ubyte-34dc41e3", 320_000)
        clock.now += 10
        heard(230_000)

    assert "230,000 of 320,000 rows, 23,000 a second, 0:00:04 left" in shown(file)
    assert re.search(r"file.*…\S*1e3: 230", shown(file))


def test_where_nobody_knows_how_many_there_are_rows_and_rate_are_shown(clock: Clock) -> None:
    screen, file = console(terminal=True)

    with Progress(screen, clock=clock) as progress:
        heard = progress.counted("[bold]file", None)
        clock.now += 4
        heard(10_000)

    assert "[bold]file: 10,000 rows, 2,500 a second" in shown(file)
    assert "left" not in file.getvalue()


def test_what_was_there_before_a_download_went_on_is_not_taken_for_speed(clock: Clock) -> None:
    screen, file = console(terminal=True)

    with Progress(screen, "MB", clock) as progress:
        for megabytes in (90, 91, 95):
            progress.heard("gzip.zip", megabytes * 1_000_000, 100_000_000)
            clock.now += 1

    assert "gzip.zip: 95 of 100 MB, 2.5 a second, 0:00:02 left" in shown(file)


def test_a_reading_that_begins_again_and_one_after_another_are_timed_anew(clock: Clock) -> None:
    screen, file = console(terminal=False)

    with Progress(screen, clock=clock) as progress:
        heard = progress.counted("a", 100)
        for done in (50, 10, 30):
            clock.now += 10
            heard(done)
        heard = progress.counted("b", 100)
        clock.now += 10
        heard(10)

    assert file.getvalue().splitlines() == [
        "a: 50 of 100 rows, 5 a second, 0:00:10 left",
        "a: 10 of 100 rows",
        "a: 30 of 100 rows, 2 a second, 0:00:35 left",
        "b: 10 of 100 rows, 1 a second, 0:01:30 left",
    ]


def test_a_pipe_gets_a_line_every_ten_seconds_at_most_and_no_control_characters(clock: Clock) -> None:
    pipe, file = console(terminal=False)

    with Progress(pipe, clock=clock) as progress:
        heard = progress.counted("a", 1000)
        for second in range(1, 26):
            clock.now += 1
            heard(second)

    assert file.getvalue().splitlines() == [
        "a: 10 of 1,000 rows, 1 a second, 0:16:30 left",
        "a: 20 of 1,000 rows, 1 a second, 0:16:20 left",
    ]


def test_what_is_done_within_ten_seconds_leaves_nothing_in_a_pipe(clock: Clock) -> None:
    pipe, file = console(terminal=False)

    with Progress(pipe, clock=clock) as progress:
        heard = progress.counted("a", 10)
        clock.now += 9
        heard(10)

    assert file.getvalue() == ""


def test_ingesting_shows_how_far_it_is_on_a_terminal_and_only_what_came_of_it_elsewhere(tmp_path: Path) -> None:
    ours, theirs = os.openpty()

    seen = subprocess.run(INGEST, stdout=subprocess.PIPE, stderr=theirs, env=environment(tmp_path / "a"), check=True)
    piped = subprocess.run(INGEST, capture_output=True, env=environment(tmp_path / "b"), check=True)

    os.close(theirs)
    screen = b"".join(iter(lambda: received(ours), b""))
    os.close(ours)
    assert re.search(r"mnist-5k: 5,000 of 5,000 rows, [\d,]+ a second", COLOURS.sub("", screen.decode()))
    assert piped.stdout == seen.stdout == b"5000 rows: 5000 added, 0 known, 0 in quarantine.\n"
    assert piped.stderr == b""


def environment(home: Path) -> dict[str, str]:
    return os.environ | {"DEMLOPMENT_HOME": str(home), "COLUMNS": "120", "TERM": "xterm"}


def received(terminal: int) -> bytes:
    """What is left on a terminal that nobody writes to any more."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux's word for its end
        return b""
