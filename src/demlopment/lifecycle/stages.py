"""How a candidate comes to answer: as a shadow, as a canary, then with a share. Each stage says whether to wait, go on or stop.

Puts the plan of its stage in force where it is not; promotes nobody, and stores nothing. Knows any floor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from demlopment.errors import NotReadyError
from demlopment.lifecycle import observe, policy
from demlopment.lifecycle.compact import DAY_SECONDS
from demlopment.lifecycle.floor import Floor
from demlopment.lifecycle.judging import Judging
from demlopment.monitoring.ratio import UNPLANNED
from demlopment.records import Canary, Decision, Guardrails, Reading, TrafficPlan, Treatment, Verdict
from demlopment.settings import Retraining

MOST_RESUMED = 3  # restarts of the endpoint that a canary may live through: more look like its own fault
# A candidate is there because the champion errs: that it reads otherwise, and is surer, is its purpose, and the shadow has
# shown which of both is right. What is left are the faults that only answering shows.
GUARDRAILS = Guardrails(classes=None, abstained=None, disagreement=None)


@dataclass(frozen=True)
class Pair:
    """Who is compared, and under which name."""

    model: str
    champion: str  # version
    candidate: str
    salt: str


@dataclass(frozen=True)
class Found:
    """What a stage has found."""

    next: Literal["wait", "go", "stop"]
    sentence: str
    verdict: Verdict | None = None  # to be recorded
    ending: Decision = "keep"  # what a stop comes to
    promising: bool = False  # whether the candidate is certainly better
    resumed: bool = False  # whether the canary was resumed


def shadow(pair: Pair, floor: Floor, judging: Judging, rules: Retraining, now: float) -> Found:
    """The candidate is asked what the champion is asked, and nobody hears it."""
    plan = _in_force(floor, TrafficPlan(pair.model, pair.champion, (), pair.salt, shadows=(pair.candidate,)))
    found = observe.shadowed(pair.candidate, floor.traffic(plan.since), judging=judging)
    verdict = policy.of_shadow(found, plan)
    if found.decision in ("keep", "stop"):
        return Found("stop", found.sentence, verdict, found.decision)
    if found.decision == "promote" or found.labelled >= rules.shadow_labels:
        return Found("go", found.sentence, verdict, promising=found.decision == "promote")
    said = f"The shadow {pair.candidate} waits for labels: {found.labelled} of {rules.shadow_labels} came back."
    return _patiently(said, verdict, plan, rules, now)


def canary(pair: Pair, floor: Floor, rules: Retraining, now: float, resumed: int) -> Found:
    """The candidate answers few, then more, as long as it keeps its guardrails; it was resumed so often before."""
    ramp = Canary(rules.canary_steps, rules.canary_seconds, rules.canary_requests, GUARDRAILS)
    wanted = TrafficPlan(pair.model, pair.champion, (Treatment(pair.candidate, 0.0),), pair.salt, canary=ramp)
    plan = _in_force(floor, wanted)
    assert plan.canary is not None, "a canary's plan has one"
    state, because = plan.canary.state, plan.canary.reason
    verdict = _of_canary(pair, plan.canary)
    if state == "complete":
        return Found("go", verdict.reason, verdict)
    if state in ("rolled back", "aborted") or (state == "halted" and resumed >= MOST_RESUMED):
        return Found("stop", verdict.reason, verdict, "refuse")
    if state == "halted":
        floor.resume(plan.number)
        return Found("wait", f"The canary {pair.candidate} goes on: it was halted ({because}).", resumed=True)
    said = f"The canary {pair.candidate} is {state} with a share of {plan.treatments[0].share:g}."
    return _patiently(said, verdict, plan, rules, now)


def split(pair: Pair, floor: Floor, judging: Judging, rules: Retraining, now: float, *, promising: bool) -> Found:
    """The candidate answers its share of the units for as long as it takes to know who is right more often."""
    plan = _in_force(floor, TrafficPlan(pair.model, pair.champion, (Treatment(pair.candidate, rules.split_share),), pair.salt))
    found = observe.reading(plan, floor.traffic(plan.since), pair.candidate, judging=judging, now=now)
    verdict = policy.of_experiment(found, plan)
    if found.decision in ("keep", "stop"):
        return Found("stop", found.sentence, verdict, found.decision)
    if found.decision == "promote":
        return Found("go", found.sentence, verdict, promising=True)
    labelled = found.control.labelled + found.treatment.labelled
    if promising and labelled >= rules.split_labels and not _void(found):
        said = f"As a shadow it was certainly better, and {labelled} labels of the split do not say otherwise."
        return Found("go", f"{found.sentence} {said}", verdict, promising=True)
    said = f"The split waits for labels: {labelled} came back for both arms. {found.sentence}"
    return _patiently(said, verdict, plan, rules, now)


def _in_force(floor: Floor, wanted: TrafficPlan) -> TrafficPlan:
    """The wanted plan as it stands, put in force if it is not. Raises NotReadyError where somebody else's is."""
    current = floor.plan()
    if current is not None and _shape(current) == _shape(wanted):
        return current
    if current is not None and current.salt != wanted.salt:
        raise NotReadyError(
            f"Plan {current.number} of model {wanted.model} is somebody else's, and a turn replaces none but its own.",
            f"End it, or wait until it is over: demlopment traffic end {wanted.model}.",
        )
    floor.split(wanted, 0 if current is None else current.number)
    begun = floor.plan()
    assert begun is not None, "a plan that was acknowledged is in force"
    return begun


def _shape(plan: TrafficPlan) -> tuple[str, str, Sequence[str], Sequence[str], bool]:
    """What tells the plans of the stages apart; a share may move."""
    return plan.salt, plan.control, [each.version for each in plan.treatments], list(plan.shadows), plan.canary is not None


def _patiently(said: str, verdict: Verdict, plan: TrafficPlan, rules: Retraining, now: float) -> Found:
    days = (now - plan.since) / DAY_SECONDS
    if days < rules.patience_days:
        return Found("wait", said)
    return Found("stop", f"After {days:.0f} days there is no evidence that would promote it. {said}", verdict, "stop")


def _void(found: Reading) -> bool:
    return found.sample_ratio_p < UNPLANNED or (found.returns is not None and found.returns.ratio_p < UNPLANNED)


def _of_canary(pair: Pair, found: Canary) -> Verdict:
    decision: Decision = "continue" if found.state == "complete" else "refuse"
    because = f", because {found.reason}" if found.reason else ""
    reason = f"The canary {pair.candidate} is {found.state}{because}."
    evidence = {"state": found.state, "steps": list(found.steps), "step": found.step, "reason": found.reason}
    return Verdict("serving", decision, f"{pair.model} {pair.candidate}", f"{pair.model} {pair.champion}", reason, evidence)
