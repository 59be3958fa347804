"""Giving way: in a session of its own with the least share, and for whoever started it as if it were the same process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demlopment.aside import GROUP

GROUPED = pytest.mark.skipif(not GROUP.exists(), reason="this kernel shares processors without sessions (no sched_autogroup)")
NICENESS = 7
ASIDE = """
import os, sys, time
from demlopment import aside
{before}
try:
    aside.give_way({niceness})
    print(os.getpid(), os.getpriority(os.PRIO_PROCESS, 0), flush=True)
    {then}
except KeyboardInterrupt:
    sys.exit(130)
"""


@contextmanager
def started(
    then: str, niceness: int = NICENESS, before: str = "", **how: Any
) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """The process that was asked, the number of the one that works, and its niceness."""
    command = [sys.executable, "-c", ASIDE.format(before=before, then=then, niceness=niceness)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **how) as process:
        assert process.stdout is not None
        worker, its = map(int, process.stdout.readline().split())
        yield process, worker, its
        process.kill()


def group(worker: int) -> str:
    return Path(f"/proc/{worker}/autogroup").read_text().strip().partition(" ")[2]


@pytest.mark.parametrize("how", [{"process_group": 0}, {"start_new_session": True}, {}], ids=["leader", "session", "member"])
def test_it_takes_what_others_leave(how: dict[str, Any]) -> None:
    ours = os.getsid(0), os.getpriority(os.PRIO_PROCESS, 0)
    with started("input()", stdin=subprocess.PIPE, **how) as (process, worker, niceness):
        assert niceness == NICENESS
        if GROUP.exists():
            assert os.getsid(worker) == worker
            assert group(worker) == f"nice {NICENESS}"
        process.communicate("over\n")
        assert process.returncode == 0
    assert (os.getsid(0), os.getpriority(os.PRIO_PROCESS, 0)) == ours


@pytest.mark.parametrize(("then", "status"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_who_waits_ends_as_who_works(then: str, status: int) -> None:
    with started(then, process_group=0) as (process, _, _):
        assert process.wait() in (status, 128 - status)  # killed: as a shell tells it, or itself where it is who works


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_reach_who_works(number: signal.Signals, status: int) -> None:
    with started("time.sleep(60)", process_group=0) as (process, _, _):
        process.send_signal(number)
        assert process.wait() in (status, -number)


@GROUPED
def test_nobody_works_on_for_a_process_that_was_killed() -> None:
    with started("time.sleep(60)", process_group=0) as (process, worker, _):
        assert worker != process.pid
        process.kill()
        process.wait()
        assert process.stdout is not None
        assert process.stdout.read() == ""  # whose other end the worker held until it ended


def test_who_need_not_give_way_stays_who_it_is() -> None:
    with started("sys.exit(0)", niceness=0, process_group=0) as (process, worker, niceness):
        assert (worker, niceness) == (process.pid, os.getpriority(os.PRIO_PROCESS, 0))


def test_who_was_started_nicer_stays_so() -> None:
    with started("sys.exit(0)", before="os.nice(15)", process_group=0) as (_, _, niceness):
        assert niceness == 15 + os.getpriority(os.PRIO_PROCESS, 0)


def test_where_a_session_may_not_be_made_nice_the_work_is_done_all_the_same() -> None:
    with started("sys.exit(3)", before="aside.GROUP = __import__('pathlib').Path('/dev/full')", process_group=0) as (
        process,
        _,
        its,
    ):
        assert (process.wait(), its) == (3, NICENESS)
