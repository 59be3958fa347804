"""Processes that try recipes, each one at a time. They keep nothing and write nothing: what came of it goes to who asked."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol

from demlopment.errors import DataError, NotReadyError
from demlopment.records import Epoch, TrialState


class Objective(Protocol):
    """What is minimised. It crosses into other processes, so it can be pickled."""

    def __call__(self, parameters: Mapping[str, Any], on_epoch: Callable[[Epoch], None]) -> float:
        """The loss with those parameters; each epoch is told as it ends, and the telling may end the trial.

        Raises DataError for parameters with which nothing can be fitted.
        """
        ...


@dataclass(frozen=True)
class Task:
    """A trial to be run."""

    number: int
    parameters: Mapping[str, Any]
    limits: Sequence[float] = ()  # by epoch: the trial is given up where its least share of errors so far is above it


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    number: int
    state: TrialState
    curve: tuple[Epoch, ...]
    value: float | None = None
    reason: str = ""


class Hands(Protocol):
    """Who runs tasks, several at once; what they need ends with the block."""

    @property
    def idle(self) -> int:
        """How many more tasks can be given now."""
        ...

    @property
    def busy(self) -> int:
        """How many tasks were given that have not come to an end."""
        ...

    def __enter__(self) -> "Hands": ...

    def __exit__(self, *_: object) -> None: ...

    def give(self, task: Task) -> None:
        """Begin a task; somebody must be idle."""
        ...

    def wait(self) -> Iterable[tuple[int, int] | Outcome]:
        """Until something is said: (a trial's number, its epochs so far), or what came of it.

        Raises NotReadyError if whoever ran a task is gone.
        """
        ...


class Crew:
    """So many processes, which end when the block does or when we die, however we die."""

    def __init__(self, objective: Objective, workers: int) -> None:
        self._objective = objective
        self._idle = [_Worker(objective) for _ in range(workers)]
        self._busy: dict[Connection, tuple[_Worker, Task]] = {}

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            worker.process.kill()
            worker.process.join()

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def busy(self) -> int:
        return len(self._busy)

    def give(self, task: Task) -> None:
        worker = self._idle.pop()
        self._busy[worker.pipe] = (worker, task)
        try:
            worker.pipe.send(task)
        except OSError as error:
            raise _dead(worker, task) from error

    def wait(self) -> Iterator[tuple[int, int] | Outcome]:
        for pipe in connection.wait(list(self._busy)):
            assert isinstance(pipe, Connection)
            worker, task = self._busy[pipe]
            try:
                said = pipe.recv()
            except (EOFError, OSError) as error:
                raise _dead(worker, task) from error
            if isinstance(said, Outcome):
                del self._busy[pipe]
                self._idle.append(worker)
            yield said


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, objective: Objective) -> None:
        context = get_context("spawn")  # a fork would share what torch and MLflow hold open
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_work, args=(objective, theirs), daemon=True)
        self.process.start()
        theirs.close()


def tried(objective: Objective, task: Task, heard: Callable[[int, int], None]) -> Outcome:
    """Run one trial here; `heard` is told its number and how many epochs it has, as each ends."""
    curve: list[Epoch] = []

    def on_epoch(epoch: Epoch) -> None:
        curve.append(epoch)
        heard(task.number, len(curve))
        least = min(1 - each.validation_accuracy for each in curve)
        if len(curve) <= len(task.limits) and least > task.limits[len(curve) - 1]:
            raise _GivenUp

    try:
        value = objective(task.parameters, on_epoch)
    except _GivenUp:
        return Outcome(task.number, "pruned", tuple(curve))
    except DataError as error:
        return Outcome(task.number, "failed", tuple(curve), reason=error.problem)
    if not isfinite(value):
        return Outcome(task.number, "failed", tuple(curve), reason=f"The loss is {value}.")
    return Outcome(task.number, "complete", tuple(curve), value)


class _GivenUp(Exception):  # noqa: N818  # it is no error
    """A trial is worse than half of those before it."""


def _work(objective: Objective, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us all, and whoever asked ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        _say(pipe, tried(objective, task, lambda *said: _say(pipe, said)))


def _say(pipe: Connection, said: object) -> None:
    try:
        pipe.send(said)
    except BrokenPipeError:
        os._exit(1)


def _leave_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # in the middle of an epoch too: nobody is there any more to be told of it


def _dead(worker: _Worker, task: Task) -> NotReadyError:
    worker.process.join()
    return NotReadyError(
        f"The process that ran trial {task.number} ended with {worker.process.exitcode}, and nobody asked it to.",
        "See that the machine has memory for every worker, and run the same command again: finished trials are kept.",
    )
