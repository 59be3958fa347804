"""Would a shadow have answered better than those who answered? Both saw the same pictures, so few labels say much.

Each labelled request counts what the others lost on it less what the shadow did: of accuracy 1 where the shadow alone was
right, -1 where it alone was wrong, else 0; the mean is the effect. Knows outcomes; changes no traffic and stores nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from demlopment.monitoring import checks
from demlopment.monitoring.metrics import ACCURACY, LATENCY, Answered, Metric
from demlopment.monitoring.sequence import Points, last, sequence
from demlopment.monitoring.terms import Terms, breaches, decide, side_effect
from demlopment.records import Decision, Interval, Novelty, SideEffect

ACCURATE = Terms()


def values(metric: Metric) -> tuple[float, ...]:
    """What the others may lose less what the shadow may lose, nothing first."""
    return tuple(dict.fromkeys(told - shadow for shadow in metric.losses for told in metric.losses))


VALUES = values(ACCURACY)  # of the requests on which both agree, which the shadow wins, and which it loses


@dataclass(frozen=True)
class Pair:
    """A request that a client and a shadow were answered."""

    told: bool | None  # whether what the client was told is right; None while no label came back
    shadow: bool | None
    at: float  # seconds since 1970: when the label came, or the request where none did
    unit: str = ""  # who asked; "" where each request is a unit of its own
    told_accepted: bool = True  # whether the answer needed no human
    shadow_accepted: bool = True
    asked: float | None = None  # seconds since 1970, when the request came; None is `at`

    @property
    def came(self) -> float:
        """When the request did."""
        return self.at if self.asked is None else self.asked


@dataclass(frozen=True)
class PairedReading:
    """A shadow as it stands beside what clients were told: the effect is its accuracy minus theirs, on the same requests."""

    version: str
    labelled: int  # pairs that count
    both: int  # that both read rightly
    won: int  # that the shadow alone did
    lost: int  # that the others alone did
    effect: float  # in the metric's unit
    interval: Interval  # of the effect, always valid: may be looked at after every label
    sequence: Points  # (labels seen, low, high) over time
    decision: Decision
    sentence: str  # the plain conclusion
    metric: str = "accuracy"
    minimum_effect: float = 0.0
    sides: tuple[SideEffect, ...] = ()
    novelty: Novelty | None = None


def paired(version: str, pairs: Sequence[Pair], *, terms: Terms = ACCURATE) -> PairedReading:
    """The shadow `version` beside what clients were told, in the order of labels.

    Interval   always valid, see betting.py. It assumes that the labelled requests of different units are independent, and
               that what the shadow was not asked about (a busy endpoint drops some) does not depend on the picture.
    Labels     the first one of each unit counts, as in an experiment.
    Decision   as in an experiment. How long it took is not compared: a shadow is asked when there is time.
    """
    metric, confidence = terms.metric, terms.confidence
    known, labelled = _first(pairs, metric), _first(pairs, ACCURACY)
    places = _places(known, metric)
    points = sequence(places, values(metric), confidence, metric.scale)
    interval = Interval(*last(points, metric.scale), confidence)
    sides = tuple(_side(each, limit, pairs, confidence) for each, limit in terms.limits if each.name != LATENCY.name)
    found = PairedReading(
        version=version,
        labelled=len(labelled),
        both=sum(bool(pair.told and pair.shadow) for pair in labelled),
        won=sum(bool(pair.shadow and not pair.told) for pair in labelled),
        lost=sum(bool(pair.told and not pair.shadow) for pair in labelled),
        effect=_mean(places, metric),
        interval=interval,
        sequence=points,
        decision=decide(interval, terms, sides),
        sentence="",
        metric=metric.name,
        minimum_effect=terms.minimum_effect,
        sides=sides,
        novelty=checks.novelty(places, values(metric), metric, confidence),
    )
    return replace(found, sentence=_sentence(found, metric))


def _first(pairs: Sequence[Pair], metric: Metric) -> list[Pair]:
    """The first pair of each unit of which both losses are known: its later ones are no new draw."""
    heard: set[str] = set()
    kept = []
    for pair in sorted(pairs, key=lambda pair: pair.at if metric.labelled else pair.came):
        if None not in _losses(pair, metric) and pair.unit not in heard:
            kept.append(pair)
            heard |= {pair.unit} - {""}
    return kept


def _losses(pair: Pair, metric: Metric) -> tuple[float | None, float | None]:
    both = Answered(pair.told, pair.told_accepted), Answered(pair.shadow, pair.shadow_accepted)
    told, shadow = (None if place is None else metric.losses[place] for place in map(metric.place, both))
    return told, shadow


def _places(known: Sequence[Pair], metric: Metric) -> list[int]:
    """Which of the values each pair has."""
    of = values(metric)
    return [of.index((told or 0.0) - (shadow or 0.0)) for told, shadow in (_losses(pair, metric) for pair in known)]


def _mean(places: Sequence[int], metric: Metric) -> float:
    of = values(metric)
    return metric.scale * sum(of[place] for place in places) / max(1, len(places))


def _side(metric: Metric, limit: float, pairs: Sequence[Pair], confidence: float) -> SideEffect:
    places = _places(_first(pairs, metric), metric)
    return side_effect(metric, limit, places, values(metric), _mean(places, metric), confidence)


def _sentence(found: PairedReading, metric: Metric) -> str:
    worse = breaches(found.sides)
    if not found.labelled and not worse:
        return f"No conclusion yet: no request that the shadow {found.version} was asked about has a label."
    conclusion = {
        "promote": "is better",
        "keep": f"must not be promoted, for {worse}" if worse else "is worse",
        "stop": f"makes no difference of interest ({metric.factor * found.minimum_effect:g} {metric.unit})",
    }.get(found.decision, "may be either")
    return (
        f"The shadow {found.version} {conclusion}: alone right on {found.won} of {found.labelled} labelled requests and alone "
        f"wrong on {found.lost}, a difference {metric.between(found.interval.low, found.interval.high)} "
        f"({found.interval.confidence:.0%} confidence, valid at every look)."
    )
