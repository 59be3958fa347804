"""Make a model of the store once more from what its card says, and compare the two. Keeps neither."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from demlopment import archive, evaluation, training
from demlopment.archive import Archive
from demlopment.data import Lake, split
from demlopment.errors import ArchiveError
from demlopment.home import Home
from demlopment.lifecycle import warm
from demlopment.lifecycle.provenance import PROCESSES, commit, environment
from demlopment.lifecycle.workshop import MODEL
from demlopment.records import Examples, Split
from demlopment.settings import Settings, Training

TOLERANCE = 0.01  # in probability, mean over the test rows: sums in another order grow to 0.008, another seed is 0.013 off


@dataclass(frozen=True)
class Reproduction:
    """What came of it: equal bytes, or how far the answers are apart on the test part."""

    version: str
    digest: str  # SHA-256 of the network that is served
    again: str  # of the one that was made now
    difference: float  # mean over the test rows of the largest difference of a probability
    changed: tuple[str, ...]  # what is not as it was then, in words

    @property
    def identical(self) -> bool:
        return self.digest == self.again

    @property
    def close(self) -> bool:
        """Whether it is the same model within what another machine or release may change; equal bits where nothing changed."""
        return self.identical or (bool(self.changed) and self.difference <= TOLERANCE)


def reproduced(
    home: Home,
    settings: Settings,
    version: str,
    progress: Callable[[int, int], None] = lambda *_: None,
    team: training.Team = training.ALONE,
) -> Reproduction:
    """Fit the recipe of a version again, to the same rows of the same snapshot, by as many processes as `team` has.

    Raises ArchiveError if its card does not say how it was made, or the champion that it began with is gone; DataError as
    Lake.load: where rows were forgotten it cannot be made again.
    """
    model = archive.read(archive.named(home.models, MODEL, version))
    recipe, rows = _recipe(model), int(model.card.lineage["examples"])
    parts = _parts(model, Lake.of(home, settings.data))
    train = parts.train.where(np.arange(min(rows, len(parts.train))))
    done = iter(range(1, recipe.epochs + 1))
    fitted = training.fit(
        train,
        parts.validation,
        len(model.card.classes),
        recipe,
        on_epoch=lambda _: progress(next(done), recipe.epochs),
        begin=warm.begun_with(home, model.card),
        team=team,
    )
    again = training.export(fitted)
    then, now = (hashlib.sha256(network).hexdigest() for network in (model.network, again))
    return Reproduction(version, then, now, _difference(model, fitted, parts.test), _changed(model.card.lineage, team.size))


def _recipe(model: Archive) -> Training:
    lineage = model.card.lineage
    if not {"recipe", "examples", "snapshot", "digest", "salt"} <= set(lineage):
        raise ArchiveError(f"The card of {model.card.title} does not say how it was made.", "Train it anew to be able to.")
    try:
        return Training(**lineage["recipe"])
    except ValidationError as error:
        raise ArchiveError(
            f"The recipe of {model.card.title} is of another release: {error.errors()[0]['msg']}.",
            f"Use the code of its commit, {lineage.get('commit', 'unknown')}.",
        ) from error


def _parts(model: Archive, lake: Lake) -> Split:
    lineage = model.card.lineage
    snapshot = lake.named(str(lineage["snapshot"]))
    if snapshot.digest != lineage["digest"]:
        raise ArchiveError(
            f"{model.card.title} learned from a snapshot {snapshot.name!r} of other rows than this lake has.",
            "Use the lake that it was trained from.",
        )
    return split(lake.load(snapshot), str(lineage["salt"]))


def _difference(model: Archive, fitted: training.Fitted, unseen: Examples) -> float:
    old, new = evaluation.reader(model)(unseen.images), training.evaluate("again", fitted, unseen).probabilities
    return float(np.abs(old - new).max(axis=1).mean())


def _changed(lineage: Mapping[str, Any], processes: int) -> tuple[str, ...]:
    now, then = environment() | {"commit": commit()}, {**lineage.get("environment", {}), "commit": lineage.get("commit")}
    changed = [f"{name} is {now[name]}, and was {then.get(name)}" for name in now if now[name] != then.get(name)]
    if (before := lineage.get(PROCESSES, 1)) != processes:
        changed.append(f"the number of processes that fit it is {processes}, and was {before}")
    if now["edited"] and then.get("edited"):
        changed.append("the code was edited then and is now, so nobody can say whether it is the same")
    return tuple(changed)
