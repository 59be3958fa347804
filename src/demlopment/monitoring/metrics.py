"""What an answer can lose: nothing at best. Knows what is recorded of an answer; knows no arm and no interval."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import NamedTuple

import numpy as np

from demlopment.errors import DataError

MOST_NATS = 5.0  # of the logarithmic loss: more counts as this, which is a probability of 0.7 % for what was so
# What a loss that can be any number from 0 to 1 is rounded to (grid.py): finer where it is small, as most are.
ANY = (0.0, *np.geomspace(1e-4, 1, 32).tolist())


class Recorded(NamedTuple):
    """What the journal and the model's card say of one answer; None where they do not."""

    accepted: bool = True  # whether it needed no human
    confidence: float | None = None  # probability of the class that was answered
    likelihood: float | None = None  # probability that it gave to the label which came back
    milliseconds: float | None = None


PLAIN = Recorded()
Right = bool | None  # whether an answer is right; None while no label came back
Loss = Callable[[Right, Recorded], float | None]


@dataclass(frozen=True)
class Metric:
    """A loss from 0 to 1 that has a few values, or is rounded to some, so that its mean can be bounded at every look."""

    name: str
    loss: Loss  # None as long as it is not known
    losses: tuple[float, ...] = (0.0, 1.0)  # ascending from 0 to 1: what it can be, as a share of `scale`, or is rounded to
    labelled: bool = True  # whether it is known only once a label came back
    timed: bool = False  # whether it is how long an answer took
    scale: float = 1.0  # what the largest loss is
    factor: float = 100.0  # a difference times this is what people are told
    unit: str = "points"
    digits: int = 1  # of that, after the point
    mean: Callable[[float], str] = "{:.1%}".format  # how people are told what is lost in the mean

    def between(self, low: float, high: float) -> str:
        """A difference as people are told it; more is better.

        >>> ACCURACY.between(0.01, 0.0225)
        'between +1.0 and +2.2 points'
        """
        return f"between {self.told(low)} and {self.told(high)} {self.unit}"

    def told(self, difference: float) -> str:
        """The number alone."""
        return f"{self.factor * difference:+.{self.digits}f}"

    @property
    def called(self) -> str:
        """Its name as a word."""
        return self.name.replace("_", " ")

    @property
    def counts(self) -> str:
        """What it has a value for each of."""
        return "labels" if self.labelled else "answers"


def _kept(loss: float) -> str:
    return f"{1 - loss:.1%}"


ACCURACY = Metric("accuracy", lambda right, _: None if right is None else float(not right), mean=_kept)
ABSTENTION = Metric("abstention", lambda _, of: float(not of.accepted), labelled=False, mean="{:.1%} not accepted".format)
CONFIDENCE = Metric(
    "confidence",
    lambda _, of: None if of.confidence is None else 1 - min(of.confidence, 1.0),
    ANY,
    labelled=False,
    mean=lambda loss: f"a confidence of {_kept(loss)}",
)


def _nats(right: Right, of: Recorded) -> float | None:
    if right is None or of.likelihood is None:
        return None
    # Rounding in the journal's 4 bytes can make a probability a little more than 1.
    return min(MOST_NATS, max(0.0, -log(of.likelihood))) / MOST_NATS if of.likelihood > 0 else 1.0


LOG_LOSS = Metric(
    "log_loss", _nats, ANY, scale=MOST_NATS, factor=1.0, unit="nats", digits=3, mean="a loss of {:.3f} nats".format
)


def latency(slow: float) -> Metric:
    """The share of the answers that take longer than `slow` milliseconds.

    >>> [latency(100).loss(None, Recorded(milliseconds=taken)) for taken in (100, 101)]
    [0.0, 1.0]
    """

    def late(_: Right, of: Recorded) -> float | None:
        return None if of.milliseconds is None else float(of.milliseconds > slow)

    return Metric("latency", late, labelled=False, timed=True, mean="{:.1%} slow".format)


def milliseconds(most: float) -> Metric:
    """How long an answer takes; longer than `most` milliseconds counts as that.

    >>> [milliseconds(100).loss(None, Recorded(milliseconds=taken)) for taken in (25, 1000)]
    [0.25, 1.0]
    """

    def taken(_: Right, of: Recorded) -> float | None:
        return None if of.milliseconds is None else min(most, max(0.0, of.milliseconds)) / most

    return Metric(
        "milliseconds",
        taken,
        ANY,
        labelled=False,
        timed=True,
        scale=most,
        factor=1.0,
        unit="milliseconds",
        digits=2,
        mean="{:.2f} ms".format,
    )


def cost(error: float, review: float) -> Metric:
    """Money per request: an accepted answer that is wrong costs `error`, one that is not accepted a person who reads the field.

    Raises DataError unless both are prices, one of them above 0.

    >>> cost(error=2.0, review=0.05).losses
    (0.0, 0.025, 1.0)
    """
    dearest = max(error, review)
    if not (min(error, review) >= 0 and 0 < dearest < float("inf")):
        raise DataError(
            f"An error costs {error:g} and a review {review:g}, so there is no cost to compare.",
            "Set evaluation.price_of_error or evaluation.price_of_review above 0.",
        )
    losses = tuple(sorted({0.0, review / dearest, error / dearest}))

    def paid(right: Right, of: Recorded) -> float | None:
        if right is None:
            return None
        return (review if not of.accepted else 0.0 if right else error) / dearest

    mean, unit = "a cost of {:.4g} each".format, "per thousand requests"
    return Metric("cost", paid, losses, scale=dearest, factor=1000.0, unit=unit, mean=mean)
