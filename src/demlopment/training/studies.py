"""Where the trials of a search are kept: Optuna's journal in the home, or a database by its address. Chooses no recipe.

Whoever has opened a study is alone with it, so a trial that it finds running was left by a search that was killed.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as State

from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.records import Trial, TrialState
from demlopment.training.space import Choice, Range, Space
from demlopment.training.stores import alone, path_of, readable, stored

FEWEST = 10  # complete trials of which something can be said
PLAN, RUN, REASON = "plan", "run", "reason"  # what we add to Optuna's studies and trials
RANGE = "range of "  # a setting, in a plan: what is searched is part of it
STATES: dict[State, TrialState] = {
    State.RUNNING: "running",
    State.COMPLETE: "complete",
    State.PRUNED: "pruned",
    State.FAIL: "failed",
}


class Study:
    """The trials of one search, in the order of their numbers."""

    def __init__(self, study: optuna.Study, store: BaseStorage, space: Space) -> None:
        self.name = study.study_name
        self.plan: Mapping[str, Any] = study.user_attrs.get(PLAN, {})
        self.ranges = {name: _distribution(each) for name, each in space.items()}
        self._study, self._store = study, store

    def trials(self) -> tuple[Trial, ...]:
        return tuple(_trial(each) for each in self.kept())

    def kept(self) -> list[FrozenTrial]:
        """The trials as Optuna has them."""
        return self._study.get_trials(deepcopy=False)

    def begin(self, parameters: Mapping[str, Any]) -> Trial:
        """Keep a new trial, which is running from now on; it is there with all its parameters or not at all."""
        self._study.add_trial(create_trial(state=State.RUNNING, params=dict(parameters), distributions=self.ranges))
        return _trial(self.kept()[-1])

    def end(self, trial: Trial) -> None:
        """Keep what came of a trial that is running; its state is written last."""
        number = self.kept()[trial.number]._trial_id
        for epoch, share in enumerate(trial.errors):
            self._store.set_trial_intermediate_value(number, epoch, share)
        for key, said in ((RUN, trial.run), (REASON, trial.reason)):
            if said:
                self._store.set_trial_user_attr(number, key, said)
        state = next(theirs for theirs, ours in STATES.items() if ours == trial.state)
        # Not by study.tell, which would give a pruned trial its last share of errors as its value.
        self._store.set_trial_state_values(number, state, None if trial.value is None else [trial.value])

    def importances(self) -> dict[str, float]:
        """How much each setting decides whether a trial is among the best tenth: shares of 1, the greatest first.

        Nothing where fewer than ten trials are complete: the best tenth would be none of them.
        Source   S. Watanabe, A. Bansal, F. Hutter, "PED-ANOVA: Efficiently quantifying hyperparameter importance in
                 arbitrary subspaces", IJCAI 2023.
        """
        if sum(trial.state == "complete" for trial in self.trials()) < FEWEST:
            return {}
        return optuna.importance.get_param_importances(self._study)


@contextmanager
def opened(home: Home, address: str | None, name: str, space: Space, plan: Mapping[str, Any]) -> Iterator[Study]:
    """Hold the study called `name`, which is begun by `plan` if there is none yet.

    Raises DataError if it was begun by another plan, HomeError if another search holds it or its file is damaged, and
    NotReadyError if the database does not answer.
    """
    refuse_unusable(name)
    whole = json.loads(json.dumps(dict(plan) | {f"{RANGE}{key}": each.table() for key, each in space.items()}))
    with home.locked(f"search-{name}"), stored(home, address, name) as store, alone(store, name):
        with readable(home, name):
            # Making one that exists would add a line to the journal, and a refusal must leave it as it was.
            make = optuna.load_study if name in _names(store) else optuna.create_study
            study = make(storage=store, study_name=name, sampler=_unused())
            begun = study.user_attrs.get(PLAN)
        if begun is None:  # it is new, or whoever made it was killed at once
            study.set_user_attr(PLAN, whole)
        _refuse_other(name, study.user_attrs[PLAN], whole)
        yield Study(study, store, space)


def best(home: Home, address: str | None, name: str) -> Trial:
    """The complete trial with the least loss of a study that is only read; the first of equals.

    Raises DataError, with the names there are, if there is no such study, or if none of its trials is complete.
    """
    refuse_unusable(name)
    if address is None and not path_of(home, name).exists():
        raise _missing(name, [path.stem for path in home.studies.glob("*.log")])
    with stored(home, address, name) as store, readable(home, name):
        if name not in _names(store):
            raise _missing(name, _names(store))
        study = optuna.load_study(storage=store, study_name=name, sampler=_unused())
        return best_of(name, map(_trial, study.get_trials(deepcopy=False)))


def best_of(name: str, trials: Iterable[Trial]) -> Trial:
    """The complete trial with the least loss, the first of equals. Raises DataError if none is complete."""
    complete = [trial for trial in trials if trial.value is not None]
    if not complete:
        raise DataError(f"The study {name} has no complete trial yet.", f"Run `demlopment search {name}` for longer.")
    return min(complete, key=lambda trial: (trial.value, trial.number))


def refuse_unusable(name: str) -> None:
    """Raise DataError unless that can be the name of a study: it is the name of files, too."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise DataError(f"{name!r} cannot be the name of a study.", "Use letters, digits, dots and hyphens, at most 100.")


def _names(store: BaseStorage) -> list[str]:
    return [study.study_name for study in store.get_all_studies()]


def _unused() -> optuna.samplers.BaseSampler:
    """Optuna's default would be made and seeded by chance; ours draws elsewhere."""
    return optuna.samplers.RandomSampler(seed=0)


def _refuse_other(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    differing = [key for key in {*was, *now} if was.get(key) != now.get(key)]
    # Ranges first: a setting that is no longer searched has a value instead, which would not tell what is wrong.
    for key in sorted(differing, key=lambda key: (not key.startswith(RANGE), key)):
        old, new = _said(was.get(key)), _said(now.get(key))
        if key.startswith(RANGE):
            problem = f"is of another search space: its {key} is {old}, and that of this search is {new}"
        else:
            problem = f"was begun with {key} {old}, and this search has {new}"
        raise DataError(f"The study {name} {problem}.", "Search under another name, or as it was begun.")


def _said(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


def _missing(name: str, known: Iterable[str]) -> DataError:
    names = ", ".join(sorted(known))
    there = f"Those that there are: {names}." if names else f"Run `demlopment search {name}` first."
    return DataError(f"There is no study {name}.", there)


def _distribution(each: Range | Choice) -> BaseDistribution:
    if isinstance(each, Choice):
        return CategoricalDistribution(each.values)
    if isinstance(each.low, int) and isinstance(each.high, int):
        return IntDistribution(each.low, each.high, log=each.log)
    return FloatDistribution(each.low, each.high, log=each.log)


def _trial(kept: FrozenTrial) -> Trial:
    state = STATES[kept.state]
    errors = tuple(kept.intermediate_values[epoch] for epoch in sorted(kept.intermediate_values))
    value = kept.value if state == "complete" else None
    return Trial(kept.number, kept.params, state, value, errors, kept.user_attrs.get(RUN, ""), kept.user_attrs.get(REASON, ""))
