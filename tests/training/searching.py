"""A search that is quick and has a known answer, also as a process of its own: for the tests of searches."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import exp
from pathlib import Path
from random import Random
from typing import Any

from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.records import Epoch, Trial
from demlopment.training.crew import Crew, Objective, Outcome, Task, tried
from demlopment.training.search import Budget, search
from demlopment.training.space import Choice, Range, Space
from demlopment.training.studies import opened
from tests.fakes import MemoryTracker

EPOCHS = 8
SPACE: Space = {
    "learning_rate": Range(1e-4, 1e-1, log=True),
    "batch_size": Range(16, 128, log=True),
    "label_smoothing": Choice((0.0, 0.1)),
}
PLAN = {"seed": 3, "sampler": "tpe", "epochs": EPOCHS}


@dataclass(frozen=True)
class Valley:
    """A loss that is least at a learning rate of 0.01 and 64 rows; it diverges above 0.08.

    `log` gets a line when a trial begins and one when it ends. The trial `stuck` then waits for a writer of the FIFO
    `gate`, which nobody opens: somebody must kill it.
    """

    log: Path | None = None
    gate: Path | None = None
    stuck: float = -1.0  # the learning rate of the trial

    def __call__(self, parameters: Mapping[str, Any], on_epoch: Callable[[Epoch], None]) -> float:
        rate = float(parameters["learning_rate"])
        self._said(f"begin {rate}")
        if rate > 0.08:
            raise DataError("The loss is no longer finite in epoch 1.", "Lower training.learning_rate.")
        far: float = abs(rate / 0.01 - 1) + abs(parameters["batch_size"] / 64 - 1) / 3 + parameters["label_smoothing"]
        for epoch in range(EPOCHS):
            if self.gate is not None and epoch == EPOCHS // 2 and rate == self.stuck:
                self.gate.open("rb").read()
            errors = (1 - exp(-far)) * 0.5 + 0.5 / (epoch + 1)
            on_epoch(Epoch(1.0, errors * 2, 1 - errors))
        self._said(f"end {rate}")
        return far

    def _said(self, line: str) -> None:
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{line}\n")


class Shuffled:
    """Hands in this very process, which run what they were given in any order."""

    def __init__(self, objective: Objective, workers: int, rng: Random | None = None) -> None:
        self.objective, self.workers, self.rng = objective, workers, rng or Random(0)
        self.tasks: list[Task] = []

    def __enter__(self) -> "Shuffled":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def idle(self) -> int:
        return self.workers - len(self.tasks)

    @property
    def busy(self) -> int:
        return len(self.tasks)

    def give(self, task: Task) -> None:
        self.tasks.append(task)

    def wait(self) -> Iterator[tuple[int, int] | Outcome]:
        task = self.tasks.pop(self.rng.randrange(len(self.tasks)))
        heard: list[tuple[int, int]] = []
        outcome = tried(self.objective, task, lambda number, epochs: heard.append((number, epochs)))
        yield from heard
        yield outcome


def searched(
    home: Home, name: str = "valley", trials: int = 20, address: str | None = None, **options: Any
) -> tuple[Trial, ...]:
    """The trials of a search with those options, without their runs, which differ from search to search."""
    plan = PLAN | {key: options.pop(key) for key in ("seed", "sampler") if key in options}
    budget = Budget(trials, options.pop("minutes", None), options.pop("patience", None))
    tracker = options.pop("tracker", None) or MemoryTracker()
    home.root.mkdir(parents=True, exist_ok=True)
    with opened(home, address, name, options.pop("space", SPACE), plan) as study:
        search(study, options.pop("objective", Valley()), budget, tracker, **{"crew": Shuffled} | options)
        return study.trials()


if __name__ == "__main__":
    root, trials, workers, log, gate, stuck = sys.argv[1:]
    searched(
        Home(Path(root)),
        trials=int(trials),
        workers=int(workers),
        crew=Crew,
        objective=Valley(Path(log), Path(gate), float(stuck)),
    )
