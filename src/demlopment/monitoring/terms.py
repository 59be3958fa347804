"""How a test is judged: by which metric, from which effect on, and what must not get worse. Decides; measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from demlopment.errors import DataError
from demlopment.monitoring.grid import Places
from demlopment.monitoring.metrics import ACCURACY, Metric
from demlopment.monitoring.sequence import last, sequence
from demlopment.records import Decision, Interval, SideEffect


@dataclass(frozen=True)
class Terms:
    """What is asked of a version. Raises DataError for an effect, a limit or a confidence that cannot be."""

    metric: Metric = ACCURACY
    minimum_effect: float = 0.0  # less is of no interest, in the metric's unit; 0: nothing is too little
    limits: tuple[tuple[Metric, float], ...] = ()  # by how much each other metric may get worse, in its unit
    confidence: float = 0.95

    def __post_init__(self) -> None:
        named = [("minimum effect", self.minimum_effect), *((f"limit of {each.name}", limit) for each, limit in self.limits)]
        for name, value in named:
            if not 0 <= value < float("inf"):
                raise DataError(f"The {name} is {value:g}.", "Give a number that is not negative.")
        if not 0 < self.confidence < 1:
            raise DataError(f"The confidence is {self.confidence:g}.", "Give a share between 0 and 1, such as 0.95.")


def decide(interval: Interval, terms: Terms, sides: Sequence[SideEffect]) -> Decision:
    """A side effect beyond its limit keeps what is there, whatever else is known; a difference is a verdict, however small.

    >>> [decide(Interval(low, high), Terms(minimum_effect=0.01), ()) for low, high in ((0.001, 0.004), (-0.009, 0.009))]
    ['promote', 'stop']
    """
    if interval.high < 0 or any(side.breached for side in sides):
        return "keep"
    if interval.low > 0:
        return "promote"
    within = -terms.minimum_effect < interval.low and interval.high < terms.minimum_effect
    return "stop" if within else "continue"


def side_effect(
    metric: Metric, limit: float, places: Places, values: Sequence[float], effect: float, confidence: float
) -> SideEffect:
    """What these outcomes, each with the value that its place names, say of another metric."""
    low, high = last(sequence(places, values, confidence, metric.scale), metric.scale)
    interval = Interval(low, high, confidence)
    allowed = f"{metric.factor * limit:.3g} {metric.unit}"
    state = "worse than" if high < -limit else "no worse than" if low >= -limit else "perhaps worse than"
    said = f"{metric.name.capitalize()}: {metric.between(low, high)} on {len(places)} answers, {state} the {allowed} allowed."
    return SideEffect(metric.name, effect, interval, limit, len(places), said)


def breaches(sides: Sequence[SideEffect]) -> str:
    """Which metrics got worse than is allowed, as the end of a sentence."""
    return " and ".join(f"its {side.metric} is worse than is allowed" for side in sides if side.breached)
