"""Which requests a person should label next, and which ones by chance: arithmetic on what is known of each.

What a model is unsure of, what several versions answer otherwise and what is unlike anything it was made for teaches most. Of
that alone nobody could tell how often it is right, so a share is drawn by chance. Knows no journal, no lake and no model.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from demlopment.data.duplicates import near_duplicates
from demlopment.errors import DataError

UNSURE, DIFFERING, STRANGE, CHANCE = "unsure", "versions differ", "strange", "by chance"
WEIGHTS = {UNSURE: 1.0, DIFFERING: 0.5, STRANGE: 0.25}  # docs/lab-notes.md has what each of them is worth
FINALISTS = 4  # times as many as are picked: among the best of these, pictures that are unlike each other
LEAST = 1e-6  # a request of which nothing is remarkable is better than none
COARSE = 2  # pixels that become one before pictures are compared: a stroke that moved by one is no other writing

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pool:
    """Requests that could be asked about, (n,) rows that belong together; each share is 0 to 1."""

    pictures: npt.NDArray[np.uint8]  # (n, 28, 28)
    unsure: Shares
    differing: Shares
    strange: Shares

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Pick:
    """One request to be labelled."""

    row: int
    why: str
    score: float
    chance: float | None = None  # that it was drawn, 0 to 1; None where it was chosen


def doubt(probabilities: npt.NDArray[np.floating]) -> Shares:
    """How unsure calibrated answers (n, classes) are: 1 less the lead of the likeliest class over the next, or 1 for no number.

    >>> doubt(np.array([[0.5, 0.5, 0.0], [0.75, 0.25, 0.0], [1.0, 0.0, 0.0]])).tolist()
    [1.0, 0.5, 0.0]
    """
    first, second = np.sort(probabilities.astype(np.float64), axis=1)[:, ::-1][:, :2].T
    return np.asarray(np.nan_to_num(1 - (first - second), nan=1.0, posinf=1.0, neginf=1.0), np.float64)


def picks(pool: Pool, count: int, by_chance: float, rng: np.random.Generator) -> tuple[Pick, ...]:
    """Up to `count` requests, the most telling first, and at random places among them those that were drawn by chance.

    Chance    of all requests alike, at least the share `by_chance` of the picks: from these follows how often a model is
              right, whatever else was chosen.
    Chosen    are the others, in turn the one whose score, times its distance to the nearest that was chosen before, is the
              greatest; of near-duplicates only the one with the highest score.
    Raises    DataError unless `count` is at least 1 and `by_chance` is from 0 to 1.
    """
    if count < 1 or not 0 <= by_chance <= 1:
        raise DataError(
            f"{count} requests, of which a share of {by_chance:g} is drawn by chance, cannot be picked.",
            "Ask about one or more, with a share from 0 to 1.",
        )
    whole = min(count, len(pool))
    drawn = rng.choice(len(pool), ceil(whole * by_chance), replace=False)
    scores = score(pool)
    lots = [Pick(int(row), CHANCE, float(scores[row]), len(drawn) / len(pool)) for row in drawn]
    others = np.setdiff1d(np.arange(len(pool)), drawn)
    chosen = [
        Pick(int(row), _reason(pool, row), float(scores[row])) for row in _apart(pool, scores, others, whole - len(drawn))
    ]
    places = np.sort(rng.choice(len(lots) + len(chosen), len(lots), replace=False))
    for place, lot in zip(places.tolist(), lots, strict=True):
        chosen.insert(place, lot)
    return tuple(chosen)


def score(pool: Pool) -> Shares:
    """How much a label of each is likely to teach: (n,), above 0."""
    parts = [weight * part for weight, part in zip(WEIGHTS.values(), _parts(pool), strict=True)]
    return np.asarray(LEAST + np.sum(parts, axis=0), np.float64)


def _parts(pool: Pool) -> tuple[Shares, Shares, Shares]:
    return pool.unsure, pool.differing, pool.strange


def _reason(pool: Pool, row: int) -> str:
    """What speaks for it most."""
    parts = {name: WEIGHTS[name] * float(part[row]) for name, part in zip(WEIGHTS, _parts(pool), strict=True)}
    return max(parts, key=parts.__getitem__)


def _apart(pool: Pool, scores: Shares, rows: npt.NDArray[np.int64], count: int) -> list[int]:
    """So many of the rows, or as many as show different writing: the best first, then what is good and unlike the chosen."""
    best = rows[np.argsort(-scores[rows], kind="stable")]
    alone = best[near_duplicates(pool.pictures[best]) == np.arange(len(best))]
    finalists = alone[: FINALISTS * count]
    side = pool.pictures.shape[1] // COARSE
    coarse = pool.pictures[finalists].reshape(len(finalists), side, COARSE, side, COARSE).mean(axis=(2, 4), dtype=np.float32)
    seen, worth = coarse.reshape(len(finalists), side * side), scores[finalists]
    nearest = np.full(len(finalists), np.inf)
    chosen: list[int] = []
    while len(chosen) < min(count, len(finalists)):
        value = worth * nearest if chosen else worth.copy()
        value[chosen] = -1.0
        chosen.append(int(value.argmax()))
        nearest = np.minimum(nearest, np.sqrt(((seen - seen[chosen[-1]]) ** 2).sum(axis=1)))
    return [int(row) for row in finalists[chosen]]
