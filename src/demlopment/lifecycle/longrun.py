"""Months of production with three ways to retrain beside each other: never, every night, and when something asks for it.

The third way is that of `turn`: the same condition, triggers, gate and stages decide, over an endpoint in memory. Fits are real
and brief. Everything follows from one seed; what is counted is told by nobody but the stream.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, Literal

import numpy as np

from demlopment import evaluation, training
from demlopment.archive import Archive
from demlopment.data import split
from demlopment.lifecycle import schooling
from demlopment.lifecycle.arena import Arena
from demlopment.lifecycle.eras import Rows, Stream, digits, opening, stream
from demlopment.lifecycle.history import Entry
from demlopment.lifecycle.packing import pack
from demlopment.lifecycle.production import DAY
from demlopment.lifecycle.warm import lineage
from demlopment.lifecycle.worth import Prices
from demlopment.records import Decision, Examples, Scores, Split, Verdict
from demlopment.settings import Settings

Policy = Literal["never", "every night", "when it asks"]
MODEL = "digits"
CLASSES = tuple("0123456789")
# A few hundred requests a day: a canary that waits for a hundred requests at a share of 0.01 would take a month.
FEW: Mapping[str, Any] = {
    "canary_steps": (0.1, 0.3),
    "canary_seconds": 6 * 3600.0,
    "canary_requests": 10,
    "shadow_labels": 1200,
    "split_labels": 100,
    "patience_days": 7.0,
    "recent": 400,
    "asked_labels": 100,
    "labels": 1000,
    "least_days": 2.0,
}


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


@dataclass(frozen=True, eq=False)
class Lived:
    """What came of one way."""

    policy: Policy
    accuracy: tuple[float, ...]  # of each day, over all its requests
    errors: int
    retrains: int  # fits after the first, whatever came of them
    champions: int  # after the first
    labels: int  # known by the end
    bought: int  # of them, that people were asked for
    money: Mapping[str, float]  # errors, retrains, labels, total
    verdicts: tuple[tuple[int, str, Decision, str, str], ...]  # day, kind, decision, subject, reason

    @property
    def mean(self) -> float:
        """The accuracy over all days."""
        return float(np.mean(self.accuracy))


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


def run(
    settings: Settings,
    days: int,
    per_day: float,
    seed: int,
    recipe: Recipe,
    heard: Callable[[str, int], None] = lambda *_: None,
) -> tuple[Stream, tuple[Lived, ...]]:
    """Every way through the same stream; `heard` is told of each day that is over, of those ways that this process lives.

    The way that fits most is lived in a process of its own beside the others. Raises DataError as `eras.stream`.
    """
    before, written = digits(seed)
    first, lived_through = opening(before, recipe.opening_rows, seed), stream(written, days, per_day, seed)
    rest = (lived_through, first, fewer(settings), recipe)
    with ProcessPoolExecutor(1, get_context("spawn")) as beside:
        nightly = beside.submit(lived, "every night", *rest)
        never, asked = (lived(policy, *rest, partial(heard, policy)) for policy in ("never", "when it asks"))
        return lived_through, (never, nightly.result(), asked)


def lived(
    policy: Policy,
    met: Stream,
    first: Examples,
    settings: Settings,
    recipe: Recipe,
    heard: Callable[[int], None] = lambda _: None,
) -> Lived:
    """Live through the stream; `heard` is told of each day that is over."""
    from demlopment.lifecycle.nights import Nights

    life, accuracy, errors = Life(met, first, settings, recipe), list[float](), 0
    nights = Nights(life)
    for day in range(met.days):
        rows, night = met.of_day(day), (day + 1) * DAY
        life.arena.answer(rows, night)
        wrong = _wrong(life.arena, rows)
        errors += wrong
        accuracy.append(1 - wrong / max(1, len(rows)))
        if policy == "every night":
            life.crown(life.retrained(), night)
        elif policy == "when it asks":
            nights.turn(night)
        heard(day + 1)
    return Lived(
        policy,
        tuple(accuracy),
        errors,
        life.fits,
        life.champions,
        len(life.known),
        life.bought,
        life.money(errors),
        tuple(
            (int(each.at // DAY), each.verdict.kind, each.verdict.decision, each.verdict.subject, each.verdict.reason)
            for each in life.entries
        ),
    )


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


def fewer(settings: Settings) -> Settings:
    """The settings, with what suits a few hundred requests a day."""
    return settings.model_copy(update={"retraining": settings.retraining.model_copy(update=FEW)})


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


def _wrong(arena: Arena, rows: Rows) -> int:
    return sum(CLASSES[arena.stream.classes[row]] != arena.predictions[row].label for row in rows.tolist())
