"""A canary's way through its plan: what a client may ask for, and what comes after what. Knows no process and no request.

Whatever goes wrong leads to the control: a canary has a share only while it ramps, waits at a step, or is through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from demlopment.errors import RequestError
from demlopment.records import Canary, Guardrails, TrafficPlan
from demlopment.serving.objects import refuse_unknown

STEPS = (0.01, 0.05, 0.2, 0.5)
DWELL = 300.0  # s: five minutes of traffic show what only a busy minute in ten does
REQUESTS = 100  # with fewer, hardly a guardrail could have been passed
MOST_STEPS = 20
LONGEST = 30 * 86400.0  # s
SERVED = ("ramping", "paused", "complete")  # the states in which it answers
MOVING = ("ramping", "paused")  # of these, those that are not through
OVER = ("rolled back", "aborted")  # for good: only another plan begins anew
FIELDS = ("steps", "dwell", "requests", "guardrails")
TOLD = ("state", "step", "reason")  # what only the endpoint says
AT_MOST = {"slow_ms": 3.6e6, "memory_mb": 1e6}  # every other guardrail is a share


def canary_from(values: object) -> Canary:
    """The canary that a client's JSON object describes. Raises RequestError naming the field that is wrong."""
    if not isinstance(values, Mapping):
        raise RequestError(f"The plan's canary is {values!r:.60}.", f"Send an object with any of {', '.join(FIELDS)}.")
    refuse_unknown("A canary", values, (*FIELDS, *TOLD))
    return Canary(
        steps=_steps(values.get("steps", STEPS)),
        dwell=_number("dwell", values.get("dwell", DWELL), LONGEST),
        requests=int(_number("requests", values.get("requests", REQUESTS), 1e9)),
        guardrails=_guardrails(values.get("guardrails", {})),
    )


def canary_shown(canary: Canary) -> dict[str, Any]:
    """A canary as JSON, which `canary_from` reads again, from its beginning."""
    return asdict(canary) | {"steps": list(canary.steps)}


def share(canary: Canary) -> float:
    """Of the units, that meet it where it stands."""
    return canary.steps[canary.step] if canary.state in SERVED else 0.0


def begun(plan: TrafficPlan) -> TrafficPlan:
    """The same plan at its canary's first step."""
    return _at(plan, replace(_canary(plan), state="ramping", step=0, reason=""))


def advanced(plan: TrafficPlan) -> TrafficPlan:
    """One step on; after the last one the canary is through, and keeps its share."""
    canary = _canary(plan)
    if canary.state != "ramping":
        raise _cannot("go on", canary)
    last = canary.step == len(canary.steps) - 1
    return _at(plan, replace(canary, state="complete") if last else replace(canary, step=canary.step + 1))


def paused(plan: TrafficPlan) -> TrafficPlan:
    """It keeps the share that it has."""
    canary = _canary(plan)
    if canary.state != "ramping":
        raise _cannot("be paused", canary)
    return _at(plan, replace(canary, state="paused", reason="somebody paused it"))


def resumed(plan: TrafficPlan) -> TrafficPlan:
    """It ramps again, from the step where it stood."""
    canary = _canary(plan)
    if canary.state not in ("paused", "halted"):
        raise _cannot("be resumed", canary)
    return _at(plan, replace(canary, state="ramping", reason=""))


def halted(plan: TrafficPlan, reason: str) -> TrafficPlan:
    """The control answers everybody, until somebody resumes it."""
    return _at(plan, replace(_canary(plan), state="halted", reason=reason))


def rolled_back(plan: TrafficPlan, reason: str) -> TrafficPlan:
    """The control answers everybody, for good."""
    canary = _canary(plan)
    if canary.state not in SERVED:
        raise _cannot("be rolled back", canary)
    return _at(plan, replace(canary, state="rolled back", reason=reason))


def aborted(plan: TrafficPlan) -> TrafficPlan:
    """Likewise, because somebody wants it."""
    canary = _canary(plan)
    if canary.state in OVER:
        raise _cannot("be aborted", canary)
    return _at(plan, replace(canary, state="aborted", reason="somebody aborted it"))


COMMANDS = {"pause": paused, "resume": resumed, "abort": aborted}


def _at(plan: TrafficPlan, canary: Canary) -> TrafficPlan:
    return replace(plan, treatments=(replace(plan.treatments[0], share=share(canary)),), canary=canary)


def _canary(plan: TrafficPlan) -> Canary:
    if plan.canary is None:
        raise RequestError(
            f"The traffic plan of model {plan.model} has no canary.",
            "Replace the plan, or send one with a canary.",
            status=409,
            kind="ConflictStatusException",
        )
    return plan.canary


def _cannot(what: str, canary: Canary) -> RequestError:
    state = f"{canary.state} ({canary.reason})" if canary.reason else canary.state
    remedy = "Send the plan again to begin anew." if canary.state in OVER else "Look at its plan."
    return RequestError(f"A canary cannot {what} that is {state}.", remedy, status=409, kind="ConflictStatusException")


def _steps(values: object) -> tuple[float, ...]:
    if isinstance(values, Sequence) and not isinstance(values, str) and 0 < len(values) <= MOST_STEPS:
        numbers = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
        # The last step keeps some control: it is what the canary is compared with.
        if len(numbers) == len(values) and all(0 < each < 1 for each in numbers):
            if numbers != sorted(set(numbers)):
                problem, remedy = f"The canary's steps are {numbers!r:.60}, which do not rise.", "Send rising shares."
                raise RequestError(problem, remedy, status=409, kind="ConflictStatusException")
            return tuple(map(float, numbers))
    raise RequestError(
        f"The canary's steps are {values!r:.60}.", f"Send up to {MOST_STEPS} shares between 0 and 1, such as [0.01, 0.1, 0.5]."
    )


def _guardrails(values: object) -> Guardrails:
    known = {each.name: each.default for each in fields(Guardrails)}
    if not isinstance(values, Mapping):
        raise RequestError(f"The canary's guardrails are {values!r:.60}.", f"Send an object with any of {', '.join(known)}.")
    refuse_unknown("A canary's guardrails", values, tuple(known))
    found: dict[str, Any] = {}
    for name, value in values.items():
        if value is None and name not in ("slow_ms", "alpha"):
            found[name] = None
            continue
        found[name] = _number(name, value, AT_MOST.get(name, 0.99), least=1e-6 if name == "alpha" else 0)
    return Guardrails(**found)


def _number(name: str, value: object, most: float, least: float = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise RequestError(f"The canary's {name} is {value!r:.60}.", f"Send a number from {least:g} to {most:g}.")
    return float(value)
