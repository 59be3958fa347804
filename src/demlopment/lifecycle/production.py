"""Production whose truth is known, in memory or over HTTP: who sends what and when, and what changes at a stated request.

`script` decides everything from one seed and draws nothing; `requests` gives what an endpoint sees, `labels` what comes
back later, and `letters` both for whoever sends them (`simulate.send`). The script itself is for the scorer: no monitor is
shown it. Knows scribes and strangers, and no monitor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import pi
from typing import Literal

import numpy as np
import numpy.typing as npt

from demlopment import images
from demlopment.errors import DataError
from demlopment.evaluation import strangers
from demlopment.evaluation.behaviour import LETTERS
from demlopment.lifecycle.scribes import Device, Guild, Scribe, sent
from demlopment.lifecycle.simulate import Letter
from demlopment.records import Examples

# none: nothing. pen, scanner, writers: pictures are of another kind. labels: some classes come more often. concept: one class
# is written as another was. quality: broken cameras. outliers: letters and blanks. attack: one picture again and again.
Kind = Literal["none", "pen", "scanner", "writers", "labels", "concept", "quality", "outliers", "attack"]
Course = Literal["abrupt", "gradual", "recurring"]

DAY = 86_400.0  # s
STRANGER = -1  # the class of what has none
DEVICES: tuple[Device, ...] = ("canvas", "scanner", "photo")
REGULARS, NEWCOMERS = Guild(), Guild(slant=(0.35, 0.1), size=(0.7, 0.08), pen=(0.5, 0.3))
NEW_PEN = 0.75  # prepared pixels that it is thicker at each edge


@dataclass(frozen=True)
class Change:
    """What changes, and from which request on."""

    kind: Kind = "none"
    course: Course = "abrupt"
    at: int = 0  # index of the first request that it can touch
    length: int = 500  # requests until a gradual change is whole; of each time that a recurring one is there, and is not
    share: float = 1.0  # of the requests that it touches when it is whole
    more: tuple[int, ...] = (1, 7)  # kind labels: the classes that come `times` as often
    times: float = 3.0
    concept: tuple[int, int] = (4, 9)  # the class that is written another way, and the one whose pictures it takes

    def strength(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """0 to 1 for each index of a request: the chance that it is touched.

        >>> Change("pen", "gradual", at=2, length=4).strength(np.arange(8)).tolist()
        [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
        """
        since = places - self.at
        if self.kind == "none":
            return np.zeros(len(places))
        if self.course == "gradual":
            return np.asarray(self.share * np.clip((since + 1) / self.length, 0, 1), np.float64)
        there = since >= 0
        if self.course == "recurring":
            there &= since // self.length % 2 == 0
        return np.asarray(self.share * there, np.float64)


@dataclass(frozen=True)
class Setting:
    """A stretch of production, before anybody has lived it."""

    requests: int = 4000
    seed: int = 1
    writers: int = 300
    guild: Guild = REGULARS
    devices: tuple[float, ...] = (0.5, 0.3, 0.2)  # shares of canvas, scanner, photo
    mix: tuple[float, ...] | None = None  # shares of the classes; None is that of the examples
    per_day: float = 2000.0  # requests
    rhythm: float = 0.8  # 0 to 1: how much more comes at noon than on average, and how much less at midnight
    delay: float = 0.25 * DAY  # s, from a request to its label, on average
    lost: float = 0.25  # share of the labels that never come
    change: Change = Change()


@dataclass(frozen=True, eq=False)
class Script:
    """The truth about each request of a stretch, in their order: (n,) each."""

    setting: Setting
    at: npt.NDArray[np.float64]  # s since the stretch began
    classes: npt.NDArray[np.int64]  # what the writer meant; -1 for a letter or a blank
    rows: npt.NDArray[np.int64]  # the example that is written; -1 likewise
    writers: npt.NDArray[np.int64]
    devices: npt.NDArray[np.str_]
    touched: npt.NDArray[np.bool_]  # by the change
    label_at: npt.NDArray[np.float64]  # s since the stretch began; infinite where no label comes


@dataclass(frozen=True)
class Request:
    """What a client sends."""

    at: float  # s since the stretch began
    unit: str
    picture: bytes  # PNG or JPEG


@dataclass(frozen=True)
class Label:
    """What a client says later."""

    at: float  # s since the stretch began
    request: int  # index
    meant: int  # class


def script(labels: npt.NDArray[np.int64], setting: Setting) -> Script:
    """All that happens, from examples with these labels (n,).

    Raises DataError where a share, a length or the class of a change makes no sense.
    """
    _check(labels, setting)
    change, n = setting.change, setting.requests
    # A stream of its own for each part, so that a change leaves everything else as it would have been.
    streams = iter(np.random.default_rng([setting.seed, 0]).spawn(8))
    at = _moments(next(streams), setting)
    strength = change.strength(np.arange(n))
    touched = np.asarray(next(streams).random(n) < strength, np.bool_)
    classes = _classes(next(streams), labels, setting, touched & (change.kind == "labels"))
    written = np.where(touched & (change.kind == "concept") & (classes == change.concept[0]), change.concept[1], classes)
    rows = _rows(next(streams), labels, written)
    writers = next(streams).integers(setting.writers, size=n)
    devices = next(streams).choice(np.array(DEVICES, np.str_), n, p=setting.devices).astype(np.dtype("<U16"))
    label_at, lost = at + (draw := next(streams)).exponential(setting.delay, n), draw.random(n) < setting.lost
    if change.kind == "outliers":
        classes, rows = (np.where(touched, STRANGER, each) for each in (classes, rows))
    if change.kind == "attack" and touched.any():
        first = int(touched.argmax())
        for column in (classes, rows, writers, devices):
            column[touched] = column[first]
    if change.kind in ("scanner", "quality"):
        devices[touched] = "other scanner" if change.kind == "scanner" else "broken camera"
    unknown = lost | (classes == STRANGER)
    return Script(setting, at, classes, rows, writers, devices, touched, np.where(unknown, np.inf, label_at))


def requests(plan: Script, examples: Examples) -> Iterator[Request]:
    """What the endpoint is sent, one after the other; a request's picture depends on the seed and its own index alone."""
    hands, newcomers = (_hands(plan.setting, guild) for guild in (plan.setting.guild, NEWCOMERS))
    kind = plan.setting.change.kind
    for index in range(len(plan.at)):
        touched = bool(plan.touched[index])
        new = touched and kind == "writers"
        hand = (newcomers if new else hands)[plan.writers[index]]
        if touched and kind == "pen":
            hand = Scribe(hand.slant, hand.size, hand.pen + NEW_PEN, hand.pressure)
        alike = int(plan.touched.argmax()) if touched and kind == "attack" else index
        rng = np.random.default_rng([plan.setting.seed, 1, alike])
        unit = f"{'newcomer' if new else 'user'}-{plan.writers[index]:04d}"
        yield Request(float(plan.at[index]), unit, _picture(plan, index, examples, hand, rng))


def labels(plan: Script) -> Sequence[Label]:
    """The labels that come back, in the order in which they do."""
    order = np.argsort(plan.label_at, kind="stable")
    come = order[np.isfinite(plan.label_at[order])].tolist()
    return [Label(float(plan.label_at[index]), index, int(plan.classes[index])) for index in come]


def letters(plan: Script, examples: Examples, classes: Sequence[str]) -> list[Letter]:
    """Everything that clients send, in order: of each label, after which request it is said. What has no class has none."""
    heard = np.searchsorted(plan.at, plan.label_at, side="right") - 1  # the last request before the label
    known = np.isfinite(plan.label_at)
    return [
        Letter(
            each.unit,
            each.picture,
            "" if plan.classes[index] == STRANGER else classes[plan.classes[index]],
            int(heard[index]) if known[index] else None,
        )
        for index, each in enumerate(requests(plan, examples))
    ]


def _picture(plan: Script, index: int, examples: Examples, hand: Scribe, rng: np.random.Generator) -> bytes:
    row = plan.rows[index]
    if row != STRANGER:
        return sent(examples.images[row], hand, str(plan.devices[index]), rng)  # type: ignore[arg-type]  # drawn from them
    kinds = [strangers.blank, *(strangers.letter(name) for name in LETTERS)]
    return images.encode_png(kinds[int(rng.integers(len(kinds))) if rng.random() < 0.5 else 0](rng))


def _hands(setting: Setting, guild: Guild) -> list[Scribe]:
    return guild.drawn(np.random.default_rng([setting.seed, 2]), setting.writers)


def _moments(rng: np.random.Generator, setting: Setting) -> npt.NDArray[np.float64]:
    """Arrivals of a Poisson process whose rate follows the day: evenly running time, bent by the inverse of its integral."""
    even = np.cumsum(rng.exponential(DAY / setting.per_day, setting.requests))
    moments = np.arange(0, even[-1] + 2 * DAY, 60.0)
    passed = moments - setting.rhythm * DAY / (2 * pi) * np.sin(2 * pi * moments / DAY)
    return np.asarray(np.interp(even, passed, moments), np.float64)


def _classes(
    rng: np.random.Generator, labels: npt.NDArray[np.int64], setting: Setting, moved: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    counts = np.bincount(labels).astype(np.float64)
    usual = counts if setting.mix is None else np.asarray(setting.mix)
    other = usual.copy()
    other[list(setting.change.more)] *= setting.change.times
    points = rng.random(setting.requests)
    now, then = (np.searchsorted(np.cumsum(mix) / mix.sum(), points, side="right") for mix in (usual, other))
    return np.asarray(np.minimum(np.where(moved, then, now), len(counts) - 1), np.int64)


def _rows(rng: np.random.Generator, labels: npt.NDArray[np.int64], written: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """An example of each class that is written, any of them alike."""
    order, counts = np.argsort(labels, kind="stable"), np.bincount(labels)
    starts = np.cumsum(counts) - counts
    return np.asarray(order[starts[written] + np.floor(rng.random(len(written)) * counts[written]).astype(np.int64)], np.int64)


def _check(labels: npt.NDArray[np.int64], setting: Setting) -> None:
    change, classes = setting.change, int(labels.max(initial=-1)) + 1
    mix = (1.0,) * classes if setting.mix is None else setting.mix
    wrong = [
        (setting.requests < 1, f"The stretch has {setting.requests} requests", "Give at least one."),
        (change.length < 1, f"A change has the length {change.length}", "Give at least one request."),
        (not 0 <= change.share <= 1, f"A change touches the share {change.share}", "Give a number from 0 to 1."),
        (not 0 <= setting.lost <= 1, f"The share {setting.lost} of the labels is lost", "Give a number from 0 to 1."),
        (not 0 <= setting.rhythm < 1, f"The rhythm of the day is {setting.rhythm}", "Give a number from 0 to below 1."),
        (len(mix) != classes, f"The mix has {len(mix)} classes and the examples {classes}", "Give each class a share."),
        (not all(np.bincount(labels, minlength=classes)), "A class has no example", "Give at least one of each."),
        (
            max(*change.more, *change.concept) >= classes,
            f"A change names a class beyond {classes - 1}",
            "Name one that exists.",
        ),
    ]
    for found, what, advice in wrong:
        if found:
            raise DataError(f"{what}.", advice)
