"""Would a shadow have answered better than those who answered? Both saw the same pictures, so few labels say much.

Each labelled request counts what the others lost on it less what the shadow did: of accuracy 1 where the shadow alone was
right, -1 where it alone was wrong, else 0; the mean is the effect. Knows outcomes; changes no traffic and stores nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from demlopment.monitoring import checks
from demlopment.monitoring.grid import Numbers, places
from demlopment.monitoring.metrics import ACCURACY, PLAIN, Metric, Recorded
from demlopment.monitoring.sequence import Points, last, sequence
from demlopment.monitoring.terms import Terms, breaches, decide, side_effect
from demlopment.records import Decision, Interval, Novelty, SideEffect

ACCURATE = Terms()


FEW = 8  # losses whose differences are all told apart


def values(metric: Metric) -> tuple[float, ...]:
    """What the others may lose less what the shadow may lose, nothing first."""
    if len(metric.losses) > FEW:
        return (*metric.losses, *(-loss for loss in metric.losses[1:]))
    return tuple(dict.fromkeys(told - shadow for shadow in metric.losses for told in metric.losses))


VALUES = values(ACCURACY)  # of the requests on which both agree, which the shadow wins, and which it loses


@dataclass(frozen=True)
class Pair:
    """A request that a client and a shadow were answered."""

    told: bool | None  # whether what the client was told is right; None while no label came back
    shadow: bool | None
    at: float  # seconds since 1970: when the label came, or the request where none did
    unit: str = ""  # who asked; "" where each request is a unit of its own
    asked: float | None = None  # seconds since 1970, when the request came; None is `at`
    told_recorded: Recorded = PLAIN
    shadow_recorded: Recorded = PLAIN

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
    differences = _differences(known, metric)
    found_at = places(differences, values(metric))
    points = sequence(found_at, values(metric), confidence, metric.scale)
    interval = Interval(*last(points, metric.scale), confidence)
    sides = tuple(_side(each, limit, pairs, confidence) for each, limit in terms.limits if not each.timed)
    found = PairedReading(
        version=version,
        labelled=len(labelled),
        both=sum(bool(pair.told and pair.shadow) for pair in labelled),
        won=sum(bool(pair.shadow and not pair.told) for pair in labelled),
        lost=sum(bool(pair.told and not pair.shadow) for pair in labelled),
        effect=_mean(differences, metric),
        interval=interval,
        sequence=points,
        decision=decide(interval, terms, sides),
        sentence="",
        metric=metric.name,
        minimum_effect=terms.minimum_effect,
        sides=sides,
        novelty=checks.novelty(found_at, values(metric), metric, confidence),
    )
    return replace(found, sentence=_sentence(found, known, metric))


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
    return metric.loss(pair.told, pair.told_recorded), metric.loss(pair.shadow, pair.shadow_recorded)


def _differences(known: Sequence[Pair], metric: Metric) -> Numbers:
    """What the others lost on each pair less what the shadow did."""
    both = (_losses(pair, metric) for pair in known)
    return np.array([(told or 0.0) - (shadow or 0.0) for told, shadow in both], np.float64)


def _mean(differences: Numbers, metric: Metric) -> float:
    return metric.scale * float(differences.sum()) / max(1, len(differences))


def _side(metric: Metric, limit: float, pairs: Sequence[Pair], confidence: float) -> SideEffect:
    differences, of = _differences(_first(pairs, metric), metric), values(metric)
    return side_effect(metric, limit, places(differences, of), of, _mean(differences, metric), confidence)


def _sentence(found: PairedReading, known: Sequence[Pair], metric: Metric) -> str:
    worse = breaches(found.sides)
    if not known and not worse:
        lacking = "has a label" if metric.labelled else "says anything of it"
        return f"No conclusion yet: no request that the shadow {found.version} was asked about {lacking}."
    conclusion = {
        "promote": "is better",
        "keep": f"must not be promoted, for {worse}" if worse else "is worse",
        "stop": f"makes no difference of interest ({metric.factor * found.minimum_effect:g} {metric.unit})",
    }.get(found.decision, "may be either")
    return (
        f"The shadow {found.version} {conclusion}: {_beside(found, known, metric)}, a difference "
        f"{metric.between(found.interval.low, found.interval.high)} "
        f"({found.interval.confidence:.0%} confidence, valid at every look)."
    )


def _beside(found: PairedReading, known: Sequence[Pair], metric: Metric) -> str:
    """The shadow beside the others, in the metric's words."""
    if metric is ACCURACY:
        return f"alone right on {found.won} of {found.labelled} labelled requests and alone wrong on {found.lost}"
    both = np.array([_losses(pair, metric) for pair in known], np.float64).reshape(-1, 2).sum(axis=0) / max(1, len(known))
    told, shadow = (metric.mean(metric.scale * float(loss)) for loss in both)
    return f"{shadow} against {told} on {len(known)} requests"
