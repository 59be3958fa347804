"""A demo that is stopped at any step, however rudely, leaves no process behind and a home that the next one understands."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demlopment.lifecycle.history import History

SHORT = {"DEMLOPMENT_TRAINING__EPOCHS": "3", "PYTHONUNBUFFERED": "1"}
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all of them, so that each starts from what the one before left."""
    return tmp_path_factory.mktemp("interrupted") / "var"


def start(home: Path) -> subprocess.Popen[str]:
    environment = os.environ | SHORT | {"DEMLOPMENT_HOME": str(home)}
    command = [sys.executable, "-m", "demlopment", "demo"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def wait_for(demo: subprocess.Popen[str], step: str) -> None:
    """Until the demo has told the end of `step`, which is when the next one begins."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith(step):
            return
    raise AssertionError(f"The demo ended before {step!r}: {demo.communicate()[1]}")


def processes_of(home: Path) -> Iterator[int]:
    """Every living process that was told of this home."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            told = f"DEMLOPMENT_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it ended while we looked
            continue
        if told and state != "Z":
            yield int(folder.name)


def assert_nothing_is_left_running(home: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := list(processes_of(home)):
        assert time.monotonic() < deadline, f"still running: {left}"
        os.sched_yield()


# The last line of each step is told before the next begins, so a signal after it arrives in the next one.
@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("Ingest and split", signal.SIGTERM),
        ("Fit an opening champion", signal.SIGKILL),
        ("Serve both", signal.SIGINT),
    ],
)
def test_a_stopped_demo_leaves_no_process_and_no_traceback(home: Path, step: str, number: signal.Signals) -> None:
    demo = start(home)
    wait_for(demo, step)

    demo.send_signal(number)
    _, errors = demo.communicate(timeout=PATIENCE_SECONDS)

    assert_nothing_is_left_running(home)
    assert "Traceback" not in errors
    if number == signal.SIGKILL:
        assert demo.returncode == -signal.SIGKILL
    else:
        assert demo.returncode == 130, errors
        assert "Interrupted. Run the same command again" in errors


def test_the_next_demo_tells_its_whole_story_on_what_they_left(home: Path) -> None:
    before = len(History(home / "history.db").entries())

    demo = start(home)
    told, errors = demo.communicate(timeout=200)

    assert "0 digits added, 5000 known" in told
    assert "answers every request" in told
    assert len(History(home / "history.db").entries()) == before + 7
    # What the networks reach in so few epochs is not asserted here; what the loop around them does, is.
    for claim in ("All 6 planted bad rows were caught", "All 975 answers were journalled", "Every user met one model only"):
        assert f"yes  {claim}" in told, told + errors
    assert (home / "report" / "report.html").exists()
    assert not list(home.rglob("*.partial"))
    assert_nothing_is_left_running(home)
