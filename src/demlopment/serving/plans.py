"""Traffic plans as clients send and see them. Knows JSON's values; chooses no arm."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from demlopment.errors import RequestError
from demlopment.records import TrafficPlan, Treatment
from demlopment.serving import canaries, traffic, units
from demlopment.serving.objects import refuse_unknown

FIELDS = ("control", "treatments", "shadows", "canary", "bandit", "salt", "unit", "starts", "ends", "a_a", "replaces")
MOST_SHADOWS = 4  # each answers everything once more
OF_A_TREATMENT = ("version", "share")


def plan_from(model: str, values: Mapping[str, Any]) -> TrafficPlan:
    """The plan for `model` that a client's JSON object describes; control is needed, and a treatment or a shadow.

    Raises RequestError naming the field that is missing, unknown or out of range.
    """
    refuse_unknown("A traffic plan", values, ("model", "number", "since", *FIELDS))
    if values.get("model", model) != model:
        raise RequestError(
            f"The plan names the model {values['model']!r:.140}, and the path names {model}.", "Send one of them."
        )
    canary = None if values.get("canary") is None else canaries.canary_from(values["canary"])
    control, treatments = _text(values, "control"), _treatments(values.get("treatments", ()), ramped=canary is not None)
    # Without a salt of its own an experiment still differs from the next one, which compares other versions.
    salt = ":".join((model, control, *(each.version for each in treatments)))
    plan = TrafficPlan(
        model=model,
        control=control,
        treatments=treatments,
        salt=_text(values, "salt", default=salt[:128]),
        unit=units.checked(_text(values, "unit", default=units.DEFAULT)),
        starts=_time(values, "starts"),
        ends=_time(values, "ends"),
        a_a=_flag(values, "a_a"),
        shadows=_shadows(values.get("shadows", ())),
        canary=canary,
        bandit=_flag(values, "bandit"),
    )
    if canary is not None:
        if plan.bandit:
            raise _contradicted("The plan is a canary's and a bandit's.", "Send one of them: each would move the shares.")
        if len(treatments) != 1:
            raise _contradicted(
                f"The plan has a canary and {len(treatments)} treatments.", "Send one: a canary is the only treatment."
            )
        plan = canaries.begun(plan)
    if len(plan.versions) == 1:
        raise _contradicted("The plan compares nothing.", "Send treatments or shadows.")
    _refuse_overfull(plan)
    if plan.starts is not None and plan.ends is not None and plan.starts >= plan.ends:
        raise _contradicted("The plan ends before it starts.", "Send an `ends` after `starts`.")
    return plan


def plan_shown(plan: TrafficPlan) -> dict[str, Any]:
    """A plan as JSON, which `plan_from` reads again."""
    return {
        "model": plan.model,
        "number": plan.number,
        "since": _shown(plan.since),
        "control": plan.control,
        "treatments": [{"version": each.version, "share": each.share} for each in plan.treatments],
        "shadows": list(plan.shadows),
        "salt": plan.salt,
        "unit": plan.unit,
        "starts": _shown(plan.starts),
        "ends": _shown(plan.ends),
        "a_a": plan.a_a,
        "bandit": plan.bandit,
        "canary": None if plan.canary is None else canaries.canary_shown(plan.canary),
    }


def replaced(values: Mapping[str, Any]) -> int | None:
    """The number of the plan that a client wants to replace, 0 for none at all; None: whichever is in force."""
    number = values.get("replaces")
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
        raise RequestError(f"The plan's replaces is {number!r:.60}.", "Send the number of the plan in force, or 0 for none.")
    return number


def numbered(query: Mapping[str, str]) -> int | None:
    """The number of the plan that a client wants to steer; None: whichever is in force."""
    given = query.get("number")
    if given is None:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", given):
        raise RequestError(f"The number of the plan is {given!r:.60}.", "Send that of the plan in force, or none.")
    return int(given)


def _treatments(values: object, *, ramped: bool) -> tuple[Treatment, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) > traffic.MOST:
        raise RequestError(
            f"The plan's treatments are {values!r:.60}.",
            f'Send a list of at most {traffic.MOST} objects such as {{"version": "2.0", "share": 0.1}}.',
        )
    found = tuple(_treatment(each, ramped=ramped) for each in values)
    twice = sorted({each.version for each in found if [other.version for other in found].count(each.version) > 1})
    if twice:
        raise _contradicted(f"The plan's treatments name the version {twice[0]} twice.", "Name each once.")
    return found


def _shadows(values: object) -> tuple[str, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) > MOST_SHADOWS:
        raise RequestError(f"The plan's shadows are {values!r:.60}.", f"Send a list of at most {MOST_SHADOWS} versions.")
    return tuple(_text({"shadow": each}, "shadow") for each in values)


def _treatment(values: object, *, ramped: bool) -> Treatment:
    """With `ramped` its share is the canary's business."""
    if not isinstance(values, Mapping):
        raise RequestError(f"A treatment of the plan is {values!r:.60}.", 'Send {"version": "2.0", "share": 0.1}.')
    refuse_unknown("A treatment", values, OF_A_TREATMENT)
    version = _text(values, "version")
    if values.get("share") is None and not ramped:
        raise _contradicted(f"The treatment {version} of the plan has no share.", "Send one from 0 to 1, or a canary.")
    return Treatment(version, 0.0 if ramped else _share(values["share"]))


def _refuse_overfull(plan: TrafficPlan) -> None:
    shares = [each.share for each in plan.treatments]
    if sum(shares) > 1 + 1e-9:
        raise _contradicted(
            f"The plan's shares add up to {sum(shares):g}.", "Send shares of together at most 1: the control has the rest."
        )
    if not traffic.fits(plan):
        raise _contradicted(
            f"With {len(shares)} treatments the shares {', '.join(f'{share:g}' for share in shares)} take each other's units.",
            "Let the first and the fourth have at most 0.5 together, and likewise the second and the third.",
        )


def _contradicted(problem: str, remedy: str) -> RequestError:
    """Of fields that are each fine: 409, because no schema can tell that they do not go together."""
    return RequestError(problem, remedy, status=409, kind="ConflictStatusException")


def _text(values: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = values.get(name, default)
    # Half of a surrogate pair is a text in JSON and nowhere else.
    if not isinstance(value, str) or not 0 < len(value) <= 128 or any("\ud800" <= each <= "\udfff" for each in value):
        raise RequestError(f"The plan's {name} is {value!r:.140}.", "Send a text of 1 to 128 characters.")
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RequestError(
            f"The plan's share is {value!r:.60}.", "Send a number from 0 (nobody gets the treatment) to 1 (everybody)."
        )
    return float(value)


def _flag(values: Mapping[str, Any], name: str) -> bool:
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(f"The plan's {name} is {value!r:.60}.", "Send true or false.")
    return value


def _time(values: Mapping[str, Any], name: str) -> float | None:
    """Seconds since 1970."""
    value = values.get(name)
    if value is None:
        return None
    try:
        read = datetime.fromisoformat(value)
        if read.tzinfo is not None:
            return read.astimezone(UTC).timestamp()  # which has no year 10,000 to show
    except (TypeError, ValueError, OverflowError):
        pass
    raise RequestError(f"The plan's {name} is {value!r:.60}.", "Send a time with its zone, such as 2027-01-31T12:00:00Z.")


def _shown(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
