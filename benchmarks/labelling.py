"""How many labels people need not give if they are asked about what teaches most: the queue's picks against picks by chance.

Production of lifecycle/production.py changes; a network that learnt from calm requests is fitted again, batch after batch, with
those that are labelled, and reads other changed requests. Both ways begin with the same network and see the same requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from benchmarks.rendering import rendered, shuffled
from benchmarks.result import RESULTS, write
from demlopment import training
from demlopment.data.ranking import Pool, doubt, picks
from demlopment.lifecycle.production import Change, Kind
from demlopment.lifecycle.strangeness import strangeness
from demlopment.monitoring import profile
from demlopment.records import Examples, Prediction
from demlopment.settings import Data, Training
from demlopment.training import Fitted
from demlopment.training.network import outputs

# What changes, and for what share of the requests.
CHANGES: Sequence[tuple[Kind, float]] = (("writers", 0.5), ("pen", 1.0), ("scanner", 1.0), ("quality", 1.0))
SEEDS = 5  # of each; each a draw of digits, requests, initial weights and chance
TAUGHT, CHECKED = 300, 200  # calm requests that teach, and for the temperature
OPEN, READ = 2000, 3000  # changed requests that may be asked about, and those that tell the accuracy
BATCH, BATCHES = 50, 6
EPOCHS = 15
BY_CHANCE = Data().asked_by_chance  # the queue's share of chance is part of what it costs
ASKED, CHANCE = "asked", "by chance"


@dataclass(frozen=True)
class Size:
    """Of one run."""

    seeds: int = SEEDS
    taught: int = TAUGHT
    open: int = OPEN
    read: int = READ
    batch: int = BATCH
    batches: int = BATCHES
    epochs: int = EPOCHS


@dataclass(frozen=True, eq=False)
class World:
    """One stretch of production, and a network that has not seen it."""

    lessons: Examples
    checked: Examples
    open: Examples
    read: Examples
    champion: Fitted
    shadow: Fitted  # of another seed, asked as well
    seed: int
    epochs: int


def run(changes: Sequence[tuple[Kind, float]] = CHANGES, size: Size | None = None) -> Path:
    """Simulate, and write the result and its table."""
    size = size or Size()
    figures = {"size": vars(size), "by_chance": BY_CHANCE, "changes": [compared(kind, share, size) for kind, share in changes]}
    (RESULTS / "labelling.md").write_text(table(figures))
    return write("labelling", figures)


def compared(kind: Kind, share: float, size: Size) -> dict[str, Any]:
    """The accuracy after each batch, both ways, for each seed; and the labels that the queue saved in each."""
    curves: dict[str, list[list[float]]] = {ASKED: [], CHANCE: []}
    for seed in range(1, size.seeds + 1):
        world = made(Change(kind, share=share), seed, size)
        for way, each in curves.items():
            each.append(learnt(world, size, 1.0 if way == CHANCE else BY_CHANCE))
        print(kind, seed, {way: [round(value, 3) for value in each[-1]] for way, each in curves.items()}, flush=True)
    labels = [size.batch * number for number in range(size.batches + 1)]
    saved = [savings(labels, *pair) for pair in zip(curves[ASKED], curves[CHANCE], strict=True)]
    low, middle, high = np.quantile(saved, [0.0, 0.5, 1.0]).tolist()
    return {
        "kind": kind,
        "share": share,
        "labels": labels,
        "accuracy": curves,
        "saved": {"each": saved, "least": low, "median": middle, "greatest": high},
    }


def savings(labels: Sequence[int], asked: Sequence[float], by_chance: Sequence[float]) -> float:
    """Which share of the labels that chance needs the queue need not have, for what both reach; below 0 if it needs more.

    A curve is the best so far, for nobody serves a worse candidate, and straight between its points. Both begin alike.

    >>> savings([0, 50, 100], [0.8, 0.9, 0.95], [0.8, 0.85, 0.9])
    0.5
    """
    curves = [np.maximum.accumulate(each) for each in (asked, by_chance)]
    theirs, usual = (_needed(labels, curve, float(min(each[-1] for each in curves))) for curve in curves)
    return 1 - theirs / usual if usual else 0.0


def _needed(labels: Sequence[int], curve: npt.NDArray[np.float64], accuracy: float) -> float:
    """After how many labels a rising curve first has that accuracy, which it reaches."""
    place = int((curve >= accuracy).argmax())
    if not place:
        return float(labels[0])
    before, after = curve[place - 1], curve[place]
    return float(labels[place - 1] + (labels[place] - labels[place - 1]) * (accuracy - before) / (after - before))


def made(change: Change, seed: int, size: Size) -> World:
    """Digits that teach, those that production writes, and those that tell the accuracy have nothing in common."""
    digits = shuffled()
    order = np.random.default_rng([seed, 1]).permutation(len(digits))
    ends = np.cumsum([size.taught, CHECKED, (len(order) - size.taught - CHECKED) // 2])
    taught, checked, asked, read = (digits.where(part) for part in np.split(order, ends))
    lessons, others = rendered(taught, size.taught, 10 * seed), rendered(checked, CHECKED, 10 * seed + 1)
    open_ = rendered(asked, size.open, 10 * seed + 2, change)
    unseen = rendered(read, size.read, 10 * seed + 3, change)
    fits = [training.fit(lessons, others, 10, Training(epochs=size.epochs, seed=each)) for each in (seed, seed + 1000)]
    return World(lessons, others, open_, unseen, fits[0], fits[1], seed, size.epochs)


def learnt(world: World, size: Size, by_chance: float) -> list[float]:
    """The accuracy before the first and after each batch of labels."""
    rng, recipe = np.random.default_rng([world.seed, 2]), Training(epochs=world.epochs, seed=world.seed)
    champion, left, known = world.champion, np.arange(len(world.open)), np.empty(0, np.int64)
    curve = [_accuracy(champion, world.read)]
    for _ in range(size.batches):
        rows = left[[each.row for each in picks(pool(world, champion, left), size.batch, by_chance, rng)]]
        left, known = np.setdiff1d(left, rows), np.concatenate([known, rows])
        lessons = _together(world.lessons, world.open.where(known))
        champion = training.fit(lessons, world.checked, 10, recipe)
        curve.append(_accuracy(champion, world.read))
    return curve


def pool(world: World, champion: Fitted, left: npt.NDArray[np.int64]) -> Pool:
    """As `lifecycle.asking` makes it of a journal."""
    asked = world.open.where(left)
    probabilities, embeddings = answers(champion, asked)
    differing = probabilities.argmax(axis=1) != answers(world.shadow, asked)[0].argmax(axis=1)
    usual = profile(world.checked.images, *answers(champion, world.checked))
    told = [
        Prediction("", 0.0, "digits", "1.0", "direct", "", image, "", answer, embedding, 0.0, "")
        for image, answer, embedding in zip(asked.images, probabilities, embeddings, strict=True)
    ]
    return Pool(asked.images, doubt(probabilities), differing.astype(np.float64), strangeness(usual, told))


def answers(fitted: Fitted, examples: Examples) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    logits, embeddings = outputs(fitted.network, examples.images)
    return softmax(logits.astype(np.float64) / fitted.temperature, axis=1).astype(np.float32), embeddings


def _accuracy(fitted: Fitted, examples: Examples) -> float:
    return float((answers(fitted, examples)[0].argmax(axis=1) == examples.labels).mean())


def _together(one: Examples, other: Examples) -> Examples:
    return Examples(*(np.concatenate([getattr(part, name) for part in (one, other)]) for name in vars(one)))


def table(figures: dict[str, Any]) -> str:
    """As Markdown."""
    size = figures["size"]
    lines = [
        f"Medians of {size['seeds']} seeds: {size['batches']} times {size['batch']} labels after {size['taught']} calm ones.",
        "",
        "| change | before | asked, at the end | by chance, at the end | labels saved (least to greatest) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in figures["changes"]:
        asked, chance = (np.median(row["accuracy"][way], axis=0) for way in (ASKED, CHANCE))
        saved = row["saved"]
        ends = f"{asked[0]:.1%} | {asked[-1]:.1%} | {chance[-1]:.1%}"
        spread = f"{saved['median']:.0%} ({saved['least']:.0%} to {saved['greatest']:.0%})"
        lines.append(f"| {row['kind']}, {row['share']:.0%} | {ends} | {spread} |")
    return "\n".join(lines) + "\n"
