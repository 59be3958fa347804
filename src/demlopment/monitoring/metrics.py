"""What an answer can lose: nothing at best. Knows what is recorded of an answer; knows no arm and no interval."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from demlopment.errors import DataError


class Answered(NamedTuple):
    """What is recorded of one answer."""

    right: bool | None  # None while no label came back
    accepted: bool = True  # whether it needed no human
    slow: bool = False  # whether it took longer than is allowed


@dataclass(frozen=True)
class Metric:
    """A loss that has a few values, so that its mean can be bounded at every look (betting.py)."""

    name: str
    losses: tuple[float, ...]  # ascending from 0 to 1, as shares of `scale`
    place: Callable[[Answered], int | None]  # which of the losses an answer has; None as long as that is not known
    labelled: bool = True  # whether it is known only once a label came back
    scale: float = 1.0  # what the largest loss is
    factor: float = 100.0  # a difference times this is what people are told
    unit: str = "points"
    mean: str = "{:.1%}"  # how people are told what is lost in the mean

    def between(self, low: float, high: float) -> str:
        """A difference as people are told it; more is better.

        >>> ACCURACY.between(0.01, 0.0225)
        'between +1.0 and +2.2 points'
        """
        return f"between {self.factor * low:+.1f} and {self.factor * high:+.1f} {self.unit}"


ACCURACY = Metric("accuracy", (0.0, 1.0), lambda given: None if given.right is None else int(not given.right))
ABSTENTION = Metric("abstention", (0.0, 1.0), lambda given: int(not given.accepted), labelled=False, mean="{:.1%} not accepted")
LATENCY = Metric("latency", (0.0, 1.0), lambda given: int(given.slow), labelled=False, mean="{:.1%} slow")


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

    def place(given: Answered) -> int | None:
        if given.right is None:
            return None
        lost = review if not given.accepted else 0.0 if given.right else error
        return losses.index(lost / dearest)

    unit = "per thousand requests"
    return Metric("cost", losses, place, scale=dearest, factor=1000.0, unit=unit, mean="a cost of {:.4g} each")
