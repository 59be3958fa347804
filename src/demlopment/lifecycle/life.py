"""One way to retrain, while it is lived through in memory: who is champion, who was, what is known, and what it has cost.

Fits are real and brief. Decides nothing but what the gate says of a candidate; knows no way by its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from demlopment import evaluation, training
from demlopment.archive import Archive
from demlopment.data import split
from demlopment.lifecycle import schooling
from demlopment.lifecycle.arena import Arena
from demlopment.lifecycle.eras import Rows, Stream
from demlopment.lifecycle.history import Entry
from demlopment.lifecycle.packing import pack
from demlopment.lifecycle.warm import lineage
from demlopment.lifecycle.worth import Prices
from demlopment.records import Examples, Scores, Split, Verdict
from demlopment.settings import Settings

MODEL = "digits"
CLASSES = tuple("0123456789")


@dataclass(frozen=True)
class Recipe:
    """How both that retrain do it."""

    opening_epochs: int = 14  # of the first champion, which begins anew
    epochs: int = 3  # of every other, which begins with the champion's weights
    opening_rows: int = 300  # calm requests with labels that there are to begin with
    lessons: int = 1500  # newest labelled requests that are learned from, beside what there was to begin with


@dataclass(frozen=True, eq=False)
class Made:
    """A fitted network with what it learned from."""

    archive: Archive
    parts: Split
    scores: Scores  # on the test part
    labels: int  # that were known when it was fitted

    @property
    def version(self) -> str:
        return self.archive.card.version

    @property
    def title(self) -> str:
        return self.archive.card.title


class Life:
    """One way, while it is lived: who is champion, who was, and what it has cost."""

    def __init__(self, met: Stream, first: Examples, settings: Settings, recipe: Recipe) -> None:
        self.stream, self.opening, self.settings, self.recipe = met, first, settings, recipe
        self.fits = self.champions = self.bought = 0
        self.live = 0.0
        self.before: Made | None = None
        self.entries: list[Entry] = []
        self.known: list[int] = []
        self.champion = self._fitted("1.0", None)
        self.arena = Arena(met, self.champion.archive)
        self.known = self.arena.known

    def retrained(self) -> Made:
        """Fitted to what there was and to the newest labelled requests, from the champion's weights on."""
        self.fits += 1
        return self._fitted(f"{self.fits + 1}.0", self.champion)

    def crown(self, made: Made, at: float) -> None:
        """It answers every request from now on."""
        self.arena.models[made.version] = made.archive
        self.arena.hand_over(made.version)
        self.before, self.champion, self.live = self.champion, made, at
        self.champions += 1

    def ask(self, at: float) -> None:
        """People read the latest requests of which nobody knows what was meant."""
        for row in self.arena.unlabelled(self.settings.retraining.asked_labels):
            self.arena.tell(row, at)
            self.bought += 1

    def record(self, verdict: Verdict, at: float) -> None:
        """As the history has it."""
        self.entries.append(Entry(len(self.entries) + 1, at, verdict))

    def money(self, errors: int) -> dict[str, float]:
        """What it cost by the settings' prices."""
        prices = Prices.of(self.settings)
        spent = {"errors": errors * prices.error, "retrains": self.fits * prices.retrain, "labels": self.bought * prices.label}
        return spent | {"total": sum(spent.values())}

    def _fitted(self, version: str, begin: Made | None) -> Made:
        lessons = np.array(self.known[-self.recipe.lessons :], np.int64)
        parts = split(_joined(self.opening, self.stream, lessons), self.settings.data.salt)
        epochs = self.recipe.opening_epochs if begin is None else self.recipe.epochs
        recipe = self.settings.training.model_copy(update={"epochs": epochs, "device": "cpu"})
        weights = None if begin is None else begin.archive.network
        fitted = training.fit(parts.train, parts.validation, len(CLASSES), recipe, begin=weights)
        scores = training.evaluate(f"{MODEL} {version}", fitted, parts.test)
        origin = {"recipe": recipe.model_dump(mode="json")} | lineage(None if begin is None else begin.archive)
        archive = pack(MODEL, version, fitted, parts, CLASSES, scores, parts.train, origin)
        return Made(archive, parts, scores, len(self.known))


def gate(made: Made, champion: Made, settings: Settings) -> Verdict:
    """As the gate of every candidate: better on the same rows, no worse in any slice, calibrated, and as the fit left it.

    What named cases and corruptions say is not asked: that would take longer than the fit.
    """
    parts = made.parts
    theirs = evaluation.evaluate_archive(champion.archive, parts.test, CLASSES)
    slices, margin = evaluation.slices(parts.test, CLASSES), settings.gate.slice_margin
    checks = (
        schooling.as_left(made.archive, parts.validation, CLASSES),
        schooling.calibrated(made.archive, parts.validation, CLASSES),
        *evaluation.non_inferiority(made.scores, theirs, slices, margin),
    )
    return training.held_to(training.judge(made.scores, theirs, settings.gate), checks)


def _joined(first: Examples, met: Stream, known: Rows) -> Examples:
    """What there was to begin with, and those requests with their labels; a picture counts once."""
    pairs: Sequence[Any] = (
        (first.keys, met.keys[known]),
        (first.images, met.pictures[known]),
        (first.labels, met.classes[known]),
        (first.sources, np.full(len(known), "feedback")),
        (first.writers, np.full(len(known), "")),
    )
    whole = Examples(*(np.concatenate(pair) for pair in pairs))
    _, places = np.unique(whole.keys, return_index=True)
    return whole.where(np.sort(places))
