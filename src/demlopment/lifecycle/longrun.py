"""Months of production with three ways to retrain beside each other: never, every night, and when something asks for it.

The third way is that of `turn`: the same condition, triggers, gate and stages decide, over an endpoint in memory. Fits are real
and brief. Everything follows from one seed; what is counted is told by nobody but the stream.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, Literal

import numpy as np

from demlopment.lifecycle.arena import Arena
from demlopment.lifecycle.eras import Rows, Stream, digits, opening, stream
from demlopment.lifecycle.life import CLASSES, Life, Recipe
from demlopment.lifecycle.nights import Nights
from demlopment.lifecycle.production import DAY
from demlopment.records import Decision, Examples
from demlopment.settings import Settings

Policy = Literal["never", "every night", "when it asks"]
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


def fewer(settings: Settings) -> Settings:
    """The settings, with what suits a few hundred requests a day."""
    return settings.model_copy(update={"retraining": settings.retraining.model_copy(update=FEW)})


def _wrong(arena: Arena, rows: Rows) -> int:
    return sum(CLASSES[arena.stream.classes[row]] != arena.predictions[row].label for row in rows.tolist())
