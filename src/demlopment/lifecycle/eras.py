"""Months of production in memory: one era after the other, each with its own change, and what was true of every request.

All of it follows from one seed. Composes production.py; knows no model.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from demlopment import images
from demlopment.data import packaged_digits
from demlopment.errors import DataError
from demlopment.lifecycle.production import DAY, Change, Setting, requests, script
from demlopment.records import Examples

BEFORE = 2000  # digits that were written before the stream
WRITERS = 20_000  # of an era: each writes about once, as of a test between versions each counts once
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Era:
    """A stretch of days in which one thing changes."""

    name: str
    share: float  # of all days
    change: Change  # from its first day on; `length` is a share of its requests where the course is gradual or recurring
    length: float = 1.0


PROGRAMME = (
    Era("calm", 0.12, Change()),
    Era("thicker pens, more and more", 0.16, Change("pen", "gradual"), 0.5),
    Era("ones and sevens come more often", 0.08, Change("labels")),
    Era("foul cameras", 0.2, Change("quality", share=0.3)),
    Era("other hands, off and on", 0.12, Change("writers", "recurring"), 0.25),
    Era("another scanner", 0.16, Change("scanner")),
    Era("fours are written as nines were", 0.16, Change("concept")),
)


@dataclass(frozen=True, eq=False)
class Stream:
    """Every request in the order of time: (n,) each."""

    days: int
    eras: tuple[tuple[str, int], ...]  # name, first day
    at: npt.NDArray[np.float64]  # s since the stream began
    units: tuple[str, ...]
    pictures: images.Grey  # (n, 28, 28), prepared
    keys: npt.NDArray[np.str_]  # SHA-256 of these
    classes: Rows  # what was meant
    label_at: npt.NDArray[np.float64]  # s; infinite where no label comes by itself

    def of_day(self, day: int) -> Rows:
        """The requests of a day, from 0."""
        return np.flatnonzero((self.at >= day * DAY) & (self.at < (day + 1) * DAY))


def stream(written: Examples, days: int, per_day: float, seed: int, programme: Sequence[Era] = PROGRAMME) -> Stream:
    """So many days, divided as the programme says. Raises DataError for fewer days than it has eras."""
    if days < len(programme):
        raise DataError(f"A run of {days} days has no room for {len(programme)} eras.", f"Give at least {len(programme)} days.")
    grown = np.cumsum([era.share for era in programme])
    ends = np.rint(grown / grown[-1] * days).astype(int).tolist()
    starts = [0, *ends[:-1]]
    parts = [
        _lived(written, era, end - start, start, per_day, seed * len(programme) + number)
        for number, (era, start, end) in enumerate(zip(programme, starts, ends, strict=True))
    ]
    pictures = np.concatenate([part.images for part, *_ in parts])
    return Stream(
        days,
        tuple((era.name, start) for era, start in zip(programme, starts, strict=True)),
        np.concatenate([at for _, at, _, _ in parts]),
        tuple(unit for *_, units in parts for unit in units),
        pictures,
        keys_of(pictures),
        np.concatenate([part.labels for part, *_ in parts]),
        np.concatenate([label_at for _, _, label_at, _ in parts]),
    )


def digits(seed: int) -> tuple[Examples, Examples]:
    """The packaged digits, in a random order: those that were written before the stream, and those that are written in it."""
    frame = packaged_digits().frame
    shown = [np.frombuffer(pixels, np.uint8).reshape(images.SIDE, images.SIDE) for pixels in frame["image"]]
    pictures, labels = np.stack([images.prepare(each) for each in shown]), np.array([int(each) for each in frame["label"]])
    nothing = np.full(len(labels), "")
    order = np.random.default_rng(seed).permutation(len(labels))
    whole = Examples(keys_of(pictures), pictures, labels, nothing, nothing).where(order)
    return whole.where(np.arange(BEFORE)), whole.where(np.arange(BEFORE, len(whole)))


def opening(written: Examples, rows: int, seed: int) -> Examples:
    """So many calm requests with their labels, from before the stream: what there is to begin with."""
    found, *_ = _lived(written, PROGRAMME[0], 1, 0, rows, seed)
    return found


def keys_of(pictures: images.Grey) -> npt.NDArray[np.str_]:
    """What rows are called by."""
    return np.array([hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures], np.str_)


def _lived(
    written: Examples, era: Era, days: int, start: int, per_day: float, seed: int
) -> tuple[Examples, npt.NDArray[np.float64], npt.NDArray[np.float64], list[str]]:
    """Pictures with what was meant, when they came, when their labels do, and who sent them."""
    number = max(1, round(days * per_day))
    change = replace(era.change, length=max(1, round(era.length * number)))
    setting = Setting(requests=number, seed=seed, writers=WRITERS, per_day=per_day, change=change)
    plan = script(written.labels, setting)
    sent = list(requests(plan, written))
    pictures = np.stack([images.prepare(each.picture) for each in sent])
    even = days * DAY / (plan.at[-1] + DAY / per_day)  # so that it is as long as it should be, whatever chance says
    at = start * DAY + plan.at * even
    nothing, source = np.full(number, ""), np.full(number, "feedback")
    units = [f"{start}-{each.unit}" for each in sent]
    return Examples(keys_of(pictures), pictures, plan.classes, source, nothing), at, at + (plan.label_at - plan.at), units
