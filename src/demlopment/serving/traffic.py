"""Choose the arm for a request. Knows nothing of models or HTTP; the same unit always gets the same answer."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from demlopment.errors import RequestError
from demlopment.records import Arm, TrafficPlan

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,64}")  # RFC 9110's token, in lower case as servers see it
MAX_UNIT = 128  # bytes, as long as a request id: the journal holds it in every row
PLAN_FIELDS = ("control", "treatment", "share", "salt", "unit_header")


def unit(given: bytes, request_id: str) -> str:
    """Who asks: what the plan's header says, or the request itself. A long one is journalled as its digest.

    >>> unit(b"ada", "r"), unit(b"", "r"), len(unit(b"x" * 1000, "r"))
    ('ada', 'r', 64)
    """
    if len(given) > MAX_UNIT:
        return hashlib.sha256(given).hexdigest()
    return given.decode("latin-1") or request_id


def assign(unit: str, plan: TrafficPlan) -> Arm:
    """The arm for `unit`, the same on every machine and in every process. Raising `plan.share` moves units one way only.

    >>> assign("ada", TrafficPlan("digits", "1.0", "2.0", share=1.0, salt="s"))
    'treatment'
    >>> assign("ada", TrafficPlan("digits", "1.0", "2.0", share=0.0, salt="s"))
    'control'
    """
    digest = hashlib.blake2b(f"{plan.salt}:{unit}".encode(), digest_size=6).digest()
    point = int.from_bytes(digest, "big") / 2**48  # 48 bits fit a float exactly, so 1.0 is never reached
    return "treatment" if point < plan.share else "control"


def plan_from(model: str, values: Mapping[str, Any]) -> TrafficPlan:
    """The plan for `model` that a client's JSON object describes; control, treatment and share are needed.

    Raises RequestError naming the field that is missing, unknown or out of range.
    """
    unknown = sorted(set(values) - {"model", *PLAN_FIELDS})
    if unknown:
        raise RequestError(f"A traffic plan has no field {unknown[0]!r}.", f"Its fields are {', '.join(PLAN_FIELDS)}.")
    if values.get("model", model) != model:
        raise RequestError(f"The plan names the model {values['model']!r}, and the path names {model}.", "Send one of them.")
    control, treatment = _text(values, "control"), _text(values, "treatment")
    return TrafficPlan(
        model=model,
        control=control,
        treatment=treatment,
        share=_share(values.get("share")),
        # Without a salt of its own an experiment still differs from the next one, which compares other versions.
        salt=_text(values, "salt", default=f"{model}:{control}:{treatment}"),
        unit_header=_header(_text(values, "unit_header", default=TrafficPlan.unit_header)),
    )


def _text(values: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = values.get(name, default)
    # Half of a surrogate pair is a text in JSON and nowhere else.
    if not isinstance(value, str) or not 0 < len(value) <= 128 or any("\ud800" <= each <= "\udfff" for each in value):
        raise RequestError(f"The plan's {name} is {value!r}.", "Send a text of 1 to 128 characters.")
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RequestError(
            f"The plan's share is {value!r}.", "Send a number from 0 (nobody gets the treatment) to 1 (everybody)."
        )
    return float(value)


def _header(name: str) -> str:
    lowered = name.lower()
    if not HEADER_NAME.fullmatch(lowered):
        raise RequestError(f"The plan's unit_header is {name!r}.", "Send the name of an HTTP header, such as x-unit-id.")
    return lowered
