"""One look at a traffic plan: what the labels say of each of its versions, recorded as verdicts. Composes only."""

from dataclasses import dataclass
from datetime import UTC, datetime

from demlopment.home import Home
from demlopment.lifecycle import observe, policy
from demlopment.lifecycle.history import Entry, History
from demlopment.lifecycle.judging import judging
from demlopment.monitoring import PairedReading
from demlopment.monitoring.metrics import Metric
from demlopment.records import Reading, TrafficPlan
from demlopment.settings import Settings


@dataclass(frozen=True)
class Seen:
    """One version of the plan."""

    found: Reading | PairedReading
    entry: Entry  # of the history
    details: tuple[str, ...]  # what stands behind the sentence, in plain words


@dataclass(frozen=True)
class Look:
    """All versions of the plan, treatments first."""

    plan: TrafficPlan
    requests: int
    labelled: int
    elsewhere: int  # labels for no request of it: before its time, of another model, or of an id that nobody was given
    seen: tuple[Seen, ...]
    unread: str  # why treatments are not read, or not met just now, if so
    metric: Metric  # by which all were read


def look(home: Home, settings: Settings, model: str, metric: str, minimum: float | None, now: float) -> Look:
    """Read the plan in force by a metric, with a minimum effect (None is the settings'), and record the verdicts.

    Raises DataError if the model has no plan, or for terms that cannot be.
    """
    plan, terms = observe.plan(home, model), judging(home, settings, model, metric, minimum)
    traffic, history, told = observe.journalled(home, model, plan.since), History(home.history), terms.terms.metric
    # A canary without traffic is in no experiment, and of a bandit's labels some count more often than others.
    met = [each.version for each in plan.treatments if each.share and not plan.bandit]
    readings = [observe.reading(plan, traffic, version, judging=terms, now=now) for version in met]
    beside = () if told.timed else plan.shadows  # a shadow is asked when there is time, so its own says nothing
    shadows = [observe.shadowed(version, traffic, judging=terms) for version in beside]
    verdicts = [*(policy.of_experiment(each, plan) for each in readings), *(policy.of_shadow(each, plan) for each in shadows)]
    found: list[Reading | PairedReading] = [*readings, *shadows]
    seen = tuple(
        Seen(each, history.record(verdict, now), _details(each, told)) for each, verdict in zip(found, verdicts, strict=True)
    )
    elsewhere = len({said.request_id for said in traffic.feedback} - {each.request_id for each in traffic.predictions})
    return Look(
        plan,
        len(traffic.predictions),
        len(traffic.truth),
        elsewhere,
        seen,
        _unread(plan, met, told, now),
        told,
    )


def _unread(plan: TrafficPlan, met: list[str], metric: Metric, now: float) -> str:
    if plan.since > now:
        since = datetime.fromtimestamp(plan.since, UTC)
        return f"The clock was set back: the plan is in force since {since:%Y-%m-%d %H:%M:%S} UTC, and nothing before is read."
    if not plan.runs(now):
        return "It is not the time of this plan: the control answers everybody, in no experiment."
    left = [each.version for each in plan.treatments if each.version not in met]
    if not left:
        unasked = metric.timed and plan.shadows
        return "A shadow is asked when there is time, so there is no verdict on how long it takes." if unasked else ""
    if plan.bandit:
        return "A bandit moves the shares of this plan, so there is no verdict on its treatments."
    return f"There is no verdict on {', '.join(left)}, which has no share of the traffic."


def _details(found: Reading | PairedReading, metric: Metric) -> tuple[str, ...]:
    checks = (found.novelty, found.returns if isinstance(found, Reading) else None)
    between = metric.between(found.interval.low, found.interval.high)
    return (
        f"Effect: {metric.told(found.effect)} {metric.unit}, {between}.",
        *(side.sentence for side in found.sides),
        *(check.sentence for check in checks if check is not None),
    )
