"""Search for a recipe on a pinned snapshot, and find the best one again by the search's name. Composes data and training."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from demlopment.data import Lake
from demlopment.home import Home
from demlopment.lifecycle.collect import pinned
from demlopment.lifecycle.provenance import commit, edited
from demlopment.lifecycle.workshop import Workshop
from demlopment.records import Snapshot, Trial
from demlopment.settings import PLACES, Settings, Training
from demlopment.training import draws, studies
from demlopment.training.search import Budget, Fitting, Watcher, search
from demlopment.training.space import Space, recipe

FREE = {*PLACES, "demo_epochs", "warm_start"}  # settings that change no trial


@dataclass(frozen=True)
class Searched:
    """A search as it stands."""

    name: str
    snapshot: Snapshot
    base: Training  # of every trial, but for what was searched
    space: Space
    sampler: draws.Sampler
    trials: tuple[Trial, ...]
    importances: Mapping[str, float]  # shares of 1; empty where too few trials say anything
    unexpected: tuple[str, ...] = ()  # what of the snapshot is not as the settings expect it, in words

    @property
    def best(self) -> Trial:
        """Raises DataError if no trial is complete."""
        return studies.best_of(self.name, self.trials)


def tune(
    home: Home,
    settings: Settings,
    name: str,
    space: Space,
    budget: Budget,
    watch: Watcher,
    *,
    sampler: draws.Sampler = "tpe",
    workers: int = 1,
    now: Callable[[], float] = time.time,
) -> Searched:
    """Run the search called `name`, or go on with it, on the snapshot `search-NAME`, which is pinned when it begins.

    Every trial is fitted to the training part and judged on the validation part; nobody looks at the test part.
    Raises DataError if it was begun otherwise, or if the snapshot is not as expected and the settings say to stop there.
    """
    studies.refuse_unusable(name)
    lake, own, workshop = Lake.of(home, settings.data), f"search-{name}", Workshop(home, settings, now)
    snapshot = lake.snapshots().get(own) or lake.pin(own, settings.data.salt, commit=commit())
    collected = workshop.take(pinned(lake, settings.data, snapshot))
    parts = collected.split
    base = settings.training
    plan = {"sampler": sampler, "generation": draws.GENERATION, "snapshot": snapshot.digest, "salt": snapshot.salt}
    plan |= base.model_dump(mode="json", exclude=FREE | set(space))
    objective = Fitting(parts.train, parts.validation, len(lake.classes), base)
    with studies.opened(home, base.studies, name, space, plan) as study:
        search(study, objective, budget, workshop.tracker, workers=workers, watch=watch, commit=commit(), edited=edited())
        return Searched(name, snapshot, base, space, sampler, study.trials(), study.importances(), collected.unexpected)


def recommended(home: Home, settings: Settings, study: str | None) -> tuple[Settings, dict[str, Any]]:
    """The settings with the best recipe of a search in them, and where it came from; as they are if there is no search.

    Raises DataError if there is no such search, or none of its trials is complete.
    """
    if study is None:
        return settings, {}
    best = studies.best(home, settings.training.studies, study)
    chosen = recipe(settings.training, best.parameters)
    return settings.model_copy(update={"training": chosen}), {"study": study, "trial": best.number}
