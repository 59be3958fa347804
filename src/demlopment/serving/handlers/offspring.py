"""What a worker has started: found and ended with it, also what left its process group. Knows no worker and no handler.

A daemon leaves its parent, its group and its session, and keeps the environment it was born with. So a worker's
environment carries a mark; what bears it, and what descends from that, is the worker's.
"""

import contextlib
import os
import signal
from collections.abc import Mapping, Set
from pathlib import Path

MARK = "ENDPOINT_WORKER"
ROUNDS = 10  # each ends what the one before started while it was looked for; who is quicker still has won
PROC = Path("/proc")


def kill(worker: int, mark: str) -> None:
    """End the process group of `worker`, everything that bears its `mark` and everything that descends from that.

    The worker bears it too. Who was started without its environment, in a session of its own, by a process that has ended
    since, is not found.
    """
    for _ in range(ROUNDS):
        found = _found(f"{MARK}={mark}".encode())  # before their parents end: then they would descend from nobody
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker, signal.SIGKILL)
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def descendants(roots: Set[int], parents: Mapping[int, int]) -> set[int]:
    """The `roots` and whoever descends from one, by the parent of each process.

    >>> sorted(descendants({2}, {2: 1, 3: 2, 4: 3, 5: 1}))
    [2, 3, 4]
    """
    found, new = set(roots), set(roots)
    while new:
        new = {pid for pid, parent in parents.items() if parent in new} - found
        found |= new
    return found


def _found(mark: bytes) -> set[int]:
    parents = dict(filter(None, map(_alive, _numbers())))
    return descendants({pid for pid in parents if _bears(pid, mark)}, parents)


def _numbers() -> list[int]:
    return [int(each.name) for each in PROC.iterdir() if each.name.isdecimal()]


def _alive(pid: int) -> tuple[int, int] | None:
    """A process and its parent; nothing for one that has ended, whether or not somebody has waited for it."""
    try:
        state, parent, *_ = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in (b"Z", b"X") else (pid, int(parent))


def _bears(pid: int, variable: bytes) -> bool:
    try:
        return variable in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return False
