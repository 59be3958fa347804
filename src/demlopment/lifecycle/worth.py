"""What a worse champion costs, and what it is worth to know more. Arithmetic on a condition and on prices; decides nothing.

What is believed of the loss of accuracy is a normal law: its mean and spread come from measured shares with their intervals.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Literal

from demlopment.lifecycle.condition import Condition, Gauge
from demlopment.records import Interval
from demlopment.settings import Settings

LEAST_LABELS = 30  # fewer say less than confidences do: an accuracy of 0.95 is then known to 0.08
# By how much the accuracy that confidences tell may be off beyond its interval: half as much again as the largest mean error
# of benchmarks/results/drift.md where pens, scanners, writers or the mix of classes change, 0.8 points. Where a class means
# something else, or pictures cannot be read, it is off by far more.
OFF = 0.012
STANDARD = NormalDist()


@dataclass(frozen=True)
class Prices:
    """All in one currency."""

    error: float  # an answer that is wrong
    label: float  # a picture that a person reads
    retrain: float
    days: float  # for which a gain is counted

    @classmethod
    def of(cls, settings: Settings) -> "Prices":
        """Those of the settings."""
        asked, wanted = settings.evaluation, settings.retraining
        return cls(asked.price_of_error, asked.price_of_review, wanted.price, wanted.horizon_days)

    def stake(self, requests_per_day: float) -> float:
        """What it would cost within the days if every answer were wrong."""
        return requests_per_day * self.days * self.error


@dataclass(frozen=True)
class Loss:
    """By how much less often the champion is right now than at its examination."""

    mean: float  # of accuracy: 0.02 are two points
    spread: float  # standard deviation
    doubt: float  # the part of it that is about the accuracy now, which labels would reduce
    accuracy: float  # now
    source: Literal["labels", "confidence"]

    @property
    def interval(self) -> Interval:
        """Of 95 %."""
        reach = STANDARD.inv_cdf(0.975) * self.spread
        return Interval(self.mean - reach, self.mean + reach)


def loss(condition: Condition) -> Loss | None:
    """What labels say of it, or where there are few, what confidences say; None where neither does."""
    realised, estimated = condition.realised, condition.estimated
    if realised is not None and (estimated is None or realised.answers >= LEAST_LABELS):
        return _lost(condition.examined, realised, _spread(realised.interval), "labels")
    if estimated is not None:
        return _lost(condition.examined, estimated, sqrt(_spread(estimated.interval) ** 2 + OFF**2), "confidence")
    return None


def value_of_labels(lost: Loss, labels: int, stake: float, price: float) -> float:
    """What so many labels are worth before one decides whether to pay `price` for a gain of the loss times the stake.

    The expected value of sample information: a label in n is a draw with the variance of the accuracy, the belief a normal
    law, and the decision is made on its mean.
    Source   H. Raiffa and R. Schlaifer, "Applied Statistical Decision Theory", Harvard 1961, chapter 5.
    """
    draw = max(lost.accuracy * (1 - lost.accuracy), 1e-4)  # of a share that looks like 1, labels still tell something
    moved = lost.doubt * sqrt(labels * lost.doubt**2 / (draw + labels * lost.doubt**2))
    if not (stake > 0 and moved > 0):
        return 0.0
    over = lost.mean - price / stake
    z = over / moved
    return max(0.0, stake * (over * STANDARD.cdf(z) + moved * STANDARD.pdf(z) - max(over, 0.0)))


def _lost(examined: Gauge, now: Gauge, doubt: float, source: Literal["labels", "confidence"]) -> Loss:
    spread = sqrt(_spread(examined.interval) ** 2 + doubt**2)
    return Loss(examined.accuracy - now.accuracy, spread, doubt, now.accuracy, source)


def _spread(interval: Interval) -> float:
    """The standard deviation of a normal law with that interval."""
    return (interval.high - interval.low) / (2 * STANDARD.inv_cdf((1 + interval.confidence) / 2))
