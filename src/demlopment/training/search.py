"""Search for a recipe: draw, hand out, keep what came of it, until the budget is spent. One process decides and writes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from demlopment.errors import DataError
from demlopment.records import Epoch, Examples, Trial
from demlopment.settings import Training
from demlopment.training import draws
from demlopment.training.crew import Crew, Hands, Objective, Outcome, Task
from demlopment.training.evaluate import evaluate
from demlopment.training.fit import fit
from demlopment.training.space import recipe
from demlopment.training.studies import Study
from demlopment.training.tracking import Tracker


@dataclass(frozen=True)
class Budget:
    """When a search ends; the first that is reached decides."""

    trials: int  # of the study, with those of earlier searches
    minutes: float | None = None  # of this search: no trial begins after it, and those that run are waited for
    patience: int | None = None  # trials in a row without a better one


@dataclass(frozen=True)
class Fitting:
    """The objective: the calibrated loss on the validation part. It never sees the test part."""

    train: Examples
    validation: Examples
    classes: int
    base: Training

    def __call__(self, parameters: Mapping[str, Any], on_epoch: Callable[[Epoch], None]) -> float:
        fitted = fit(self.train, self.validation, self.classes, recipe(self.base, parameters), on_epoch=on_epoch)
        return evaluate("A trial", fitted, self.validation).log_loss


class Watcher(Protocol):
    """Who wants to know how far a search has come."""

    def __call__(self, epochs: int, trials: int) -> None:
        """So many epochs of unfinished trials, and so many trials finished."""
        ...


def search(
    study: Study,
    objective: Objective,
    budget: Budget,
    tracker: Tracker,
    *,
    workers: int = 1,
    crew: Callable[[Objective, int], Hands] = Crew,
    watch: Watcher = lambda epochs, trials: None,
    clock: Callable[[], float] = time.monotonic,
    commit: str = "unknown",
    edited: bool | None = None,
) -> None:
    """Run trials of `study` in `workers` processes until the budget is spent; those that a killed search left come first.

    For one seed and sampler (both in the study's plan) the trials are the same for any number of workers, whether they were
    interrupted or not; only how many there are may hang on `budget.minutes`. Each that ends is a run of `tracker`,
    with the `commit` of the code and whether it was `edited`.
    Raises DataError if a whole generation failed, NotReadyError if a worker died; finished trials are kept either way.
    """
    deadline = None if budget.minutes is None else clock() + 60 * budget.minutes
    queue = _Queue(study, budget)
    with crew(objective, workers) as hands:
        epochs: dict[int, int] = {}
        while True:
            while hands.idle and (deadline is None or clock() < deadline) and (task := queue.next()):
                hands.give(task)
                epochs[task.number] = 0
            watch(sum(epochs.values()), queue.finished())
            if not hands.busy:
                return
            for said in hands.wait():
                if isinstance(said, Outcome):
                    del epochs[said.number]
                    queue.end(said, _Runs(tracker, commit, edited))
                else:
                    epochs[said[0]] = said[1]


class _Queue:
    """What is to be run next; it decides by what the study holds, and by nothing else."""

    def __init__(self, study: Study, budget: Budget) -> None:
        self._study, self._budget = study, budget
        self._left = [trial for trial in study.trials() if trial.state == "running"]  # by a search that was killed

    def finished(self) -> int:
        return sum(trial.state != "running" for trial in self._study.trials())

    def next(self) -> Task | None:
        """The next trial, which the study has from now on; None if it must wait for others, or nothing is left to do."""
        trials = self._study.trials()
        trial = self._left.pop(0) if self._left else self._begun(trials)
        if trial is None:
            return None
        return Task(trial.number, trial.parameters, draws.limits(trials[: draws.start(trial.number)]))

    def end(self, outcome: Outcome, runs: "_Runs") -> None:
        trial = self._study.trials()[outcome.number]
        errors = tuple(1 - epoch.validation_accuracy for epoch in outcome.curve)
        ended = replace(trial, state=outcome.state, value=outcome.value, errors=errors, reason=outcome.reason)
        self._study.end(replace(ended, run=runs.tracked(self._study.name, ended, outcome.curve)))

    def _begun(self, trials: tuple[Trial, ...]) -> Trial | None:
        first = draws.start(len(trials))
        before = trials[:first]
        if len(trials) >= self._budget.trials or any(trial.state == "running" for trial in before):
            return None
        _refuse_hopeless(self._study.name, before)
        if draws.exhausted(before, self._budget.patience):
            return None
        plan, kept = self._study.plan, self._study.kept()
        return self._study.begin(draws.draw(plan["sampler"], plan["seed"], self._study.ranges, kept[:first], kept[first:]))


@dataclass(frozen=True)
class _Runs:
    """Where trials are tracked, and by what code they were run."""

    tracker: Tracker
    commit: str
    edited: bool | None

    def tracked(self, name: str, trial: Trial, curve: tuple[Epoch, ...]) -> str:
        metrics = {} if trial.value is None else {"log_loss": trial.value}
        parameters = dict(trial.parameters) | {"study": name, "trial": trial.number, "state": trial.state}
        title = f"{name} {trial.number}"
        return self.tracker.record(title, parameters, curve, metrics, None, commit=self.commit, edited=self.edited)


def _refuse_hopeless(name: str, before: tuple[Trial, ...]) -> None:
    if before and all(trial.state == "failed" for trial in before):
        raise DataError(
            f"All {len(before)} trials of the study {name} failed, the last because: {before[-1].reason}",
            "Put that right, and search under another name.",
        )
