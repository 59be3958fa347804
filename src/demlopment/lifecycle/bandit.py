"""Move a plan's shares towards the versions that are right more often. Composes the journal, the bandit and the endpoint."""

from collections import Counter
from dataclasses import dataclass, replace

from demlopment import monitoring
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle import observe
from demlopment.lifecycle.compact import DAY_SECONDS
from demlopment.lifecycle.rollout import Rollout
from demlopment.monitoring import Record
from demlopment.records import TrafficPlan, Treatment

MOST_TREATMENTS = 2  # their shares are free; those of more take each other's units, see serving/traffic.py


@dataclass(frozen=True)
class Move:
    """What the shares are now, and on what evidence."""

    plan: TrafficPlan
    records: dict[str, Record]

    @property
    def sentence(self) -> str:
        shares = {self.plan.control: 1 - sum(each.share for each in self.plan.treatments)}
        shares |= {each.version: each.share for each in self.plan.treatments}
        said = (
            f"{version} gets {share:.1%} ({self.records[version].right} of {self.records[version].labelled} right)"
            for version, share in shares.items()
        )
        return f"Plan {self.plan.number}: {', '.join(said)}."


def move(home: Home, rollout: Rollout, model: str, floor: float, days: float, now: float) -> Move:
    """Read the labels of the last days and give each version of the plan in force the share that they earn it.

    Raises DataError for a model without a plan, or with one that has a canary or too many treatments, and for a floor that not
    all can have; NotReadyError if somebody else has replaced the plan meanwhile.
    """
    plan = _plan(home, model)
    traffic = observe.journalled(home, model, now - days * DAY_SECONDS)
    labelled, right = Counter[str](), Counter[str]()
    for answer in traffic.predictions:
        truth = traffic.truth.get(answer.request_id)
        if answer.arm != "direct" and truth is not None:
            labelled[answer.version] += 1
            right[answer.version] += truth == answer.label
    arms = (plan.control, *(each.version for each in plan.treatments))
    records = {version: Record(labelled[version], right[version]) for version in arms}
    earned = monitoring.shares(records, floor)
    treatments = tuple(Treatment(each.version, earned[each.version]) for each in plan.treatments)
    moved = replace(plan, treatments=treatments, bandit=True)
    return Move(replace(moved, number=rollout.split(moved, replaces=plan.number)), records)


def _plan(home: Home, model: str) -> TrafficPlan:
    plan = observe.plan(home, model)
    if plan.canary is not None or not 0 < len(plan.treatments) <= MOST_TREATMENTS:
        what = "a canary" if plan.canary is not None else f"{len(plan.treatments)} treatments"
        raise DataError(
            f"The traffic plan of model {model} has {what}, and a bandit moves the shares of one or two treatments.",
            "Begin such a plan: demlopment traffic split.",
        )
    return plan
