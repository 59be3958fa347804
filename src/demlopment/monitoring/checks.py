"""May the labels of an experiment be believed? Whether its effect lasts, and how the labels come back to both arms."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median, quantiles

from demlopment.monitoring.grid import Places
from demlopment.monitoring.metrics import Metric
from demlopment.monitoring.outcomes import Outcome
from demlopment.monitoring.ratio import sample_ratio, unit_arms
from demlopment.monitoring.sequence import at_once
from demlopment.records import Arm, Interval, Novelty, Returns

FIRST = 32  # labels: fewer say nothing of an effect
USUAL = 0.9  # of the labels that came


def novelty(places: Places, values: Sequence[float], metric: Metric, confidence: float) -> Novelty | None:
    """The effect of the earlier labels beside that of the later ones, None while there are not 64.

    They part at 32, 64, 128, ... labels, the last of these that leaves as many. The k-th parting has the k-th share of the
    error, 1/2, 1/6, 1/12, ..., half of it for each side, so that over all looks a change where there is none is told with a
    chance of at most 1 - confidence.
    """
    if len(places) < 2 * FIRST:
        return None
    parting, k = FIRST, 1
    while 4 * parting <= len(places):
        parting, k = 2 * parting, k + 1
    allowed = 1 - (1 - confidence) / (k * (k + 1)) / 2
    early, late = (_bounded(part, values, allowed, metric, confidence) for part in (places[:parting], places[parting:]))
    told = Novelty(parting, early, len(places) - parting, late, "")
    state = "The effect has changed" if told.changed else "Nothing says that the effect changes"
    said = (
        f"{state}: {metric.between(early.low, early.high)} in the first {parting} {metric.counts}, "
        f"{metric.between(late.low, late.high)} in the {len(places) - parting} since."
    )
    return replace(told, sentence=said)


def returns(rows: Sequence[Outcome], share: float, now: float | None) -> Returns:
    """How the labels came back until `now` (seconds since 1970; None is when the last of them came).

    If whether a label comes does not depend on the arm, the units that have one are divided as the plan says, in the order
    in which their first labels came; so the test of the split is that of the labels too, and valid at every look.
    """
    now = max((row.at for row in rows), default=0.0) if now is None else now
    labelled = sorted((row for row in rows if row.correct is not None), key=lambda row: row.at)
    delays = {arm: _delays(row for row in labelled if row.arm == arm) for arm in ("control", "treatment")}
    every = sorted([*delays["control"], *delays["treatment"]])
    usual = quantiles(every, n=10, method="inclusive")[-1] if len(every) > 1 else every[0] if every else None
    outstanding = [row for row in rows if row.correct is None]
    waiting = sum(usual is None or now - row.came <= usual for row in outstanding)
    found = Returns(
        _share_labelled(rows, "control"),
        _share_labelled(rows, "treatment"),
        sample_ratio(unit_arms(labelled), share),
        _middle(delays["control"]),
        _middle(delays["treatment"]),
        usual,
        waiting,
        len(outstanding) - waiting,
        "",
    )
    return replace(found, sentence=_said(found))


def _bounded(part: Places, values: Sequence[float], allowed: float, metric: Metric, confidence: float) -> Interval:
    low, high = at_once(part, values, allowed)
    return Interval(metric.scale * low, metric.scale * high, confidence)


def _said(found: Returns) -> str:
    late = " and ".join(
        f"{_time(delay)} after the {arm}'s requests"
        for arm, delay in (("control", found.control_delay), ("treatment", found.treatment_delay))
        if delay is not None
    )
    if found.usual_delay is None:
        return f"No label came back; {found.waiting} requests wait for theirs."
    return (
        f"Labels come back for {found.control_share:.0%} of the control's units and {found.treatment_share:.0%} of the "
        f"treatment's, in the middle {late}; of {found.waiting + found.missing} requests without one, {found.waiting} are "
        f"younger than the usual {_time(found.usual_delay)} and so not missing yet."
    )


def _time(seconds: float) -> str:
    """
    >>> [_time(seconds) for seconds in (0.2, 90, 7200, 200_000)]
    ['0.2 s', '1.5 min', '2 h', '2.3 days']
    """
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} s"


def _share_labelled(rows: Iterable[Outcome], arm: Arm) -> float:
    """Of the units, or of requests that are units of their own."""
    named = [(row.unit or f"request {place}", row.correct is not None) for place, row in enumerate(rows) if row.arm == arm]
    units = {unit for unit, _ in named}
    return len({unit for unit, known in named if known}) / len(units) if units else 0.0


def _delays(rows: Iterable[Outcome]) -> list[float]:
    # A label that is known before its request is one of a clock that was set back, or of a client that knew.
    return [max(0.0, row.at - row.came) for row in rows]


def _middle(delays: Sequence[float]) -> float | None:
    return median(delays) if delays else None
