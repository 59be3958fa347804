"""Choose the arm for a request. Knows nothing of models or HTTP; the same unit always gets the same answer."""

import hashlib
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from demlopment.records import Arm, TrafficPlan
from demlopment.serving import units
from demlopment.serving.units import Asker

MOST = 4  # treatments: as many as can grow, each from an end or from the middle, without taking a unit from another


class Assigned(NamedTuple):
    """Who answers a unit."""

    arm: Arm
    version: str


class Span(NamedTuple):
    """The points from `start` up to `end` meet a version."""

    start: float
    end: float
    version: str


class Split:
    """A plan in force, ready to be asked."""

    def __init__(self, plan: TrafficPlan) -> None:
        self.plan = plan
        self._spans = [(start, end, Assigned("treatment", version)) for start, end, version in spans(plan)]
        self._given: Callable[[Asker], bytes] = units.reader(plan.unit)
        self._control = Assigned("control", plan.control)
        self._outside = Assigned("direct", plan.control)

    @property
    def of_a_field(self) -> bool:
        """Whether the unit may stand in a form."""
        return self.plan.unit.startswith("field:")

    def unit(self, asker: Asker, request_id: str) -> str:
        """Who asks."""
        return units.unit(self._given(asker), request_id)

    def chosen(self, unit: str, at: float) -> Assigned:
        """Who answers at a time (seconds since 1970): before its start and from its end on the control, in no experiment."""
        return self.assigned(unit) if self.plan.runs(at) else self._outside

    def assigned(self, unit: str) -> Assigned:
        """Who answers while the plan is in force."""
        point = _point(unit, self.plan.salt)
        for start, end, treatment in self._spans:
            if start <= point < end:
                return treatment
        return self._control


def assign(unit: str, plan: TrafficPlan) -> Assigned:
    """The arm for `unit` while the plan is in force, the same on every machine and in every process.

    Raising one share moves units one way only: from the control to that treatment.

    >>> from demlopment.records import Treatment
    >>> assign("ada", TrafficPlan("digits", "1.0", (Treatment("2.0", 1.0),), salt="s"))
    Assigned(arm='treatment', version='2.0')
    >>> assign("ada", TrafficPlan("digits", "1.0", (Treatment("2.0", 0.0),), salt="s")).arm
    'control'
    """
    return Split(plan).assigned(unit)


def spans(plan: TrafficPlan) -> tuple[Span, ...]:
    """Where each treatment's units lie between 0 and 1.

    The first grows from 0 upwards, the second from 1 downwards, the third from the middle upwards, the fourth from the middle
    downwards. So no share moves another's units, nor does a treatment that is added; with more than two it follows that
    first and fourth have half of all units between them at most, and likewise second and third. More than that, with shares
    as free, is impossible for any rule that knows the plan alone.
    """
    shares = [each.share for each in plan.treatments]
    ends = ((0.0, share) if place == 0 else _grown(place, share) for place, share in enumerate(shares))
    return tuple(Span(*end, each.version) for end, each in zip(ends, plan.treatments, strict=True))


def fits(plan: TrafficPlan) -> bool:
    """Whether the treatments' units lie beside each other, to within rounding."""
    ordered = sorted(span for span in spans(plan) if span.end > span.start)
    inside = all(span.start >= -1e-9 and span.end <= 1 + 1e-9 for span in ordered)
    return inside and all(one.end <= other.start + 1e-9 for one, other in pairwise(ordered))


def _grown(place: int, share: float) -> tuple[float, float]:
    return {1: (1 - share, 1.0), 2: (0.5, 0.5 + share), 3: (0.5 - share, 0.5)}[place]


def _point(unit: str, salt: str) -> float:
    digest = hashlib.blake2b(f"{salt}:{unit}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48  # 48 bits fit a float exactly, so 1.0 is never reached
