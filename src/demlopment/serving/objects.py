"""JSON objects as clients send them. Knows what a field may be called; knows no model and no plan."""

from collections.abc import Mapping, Sequence
from typing import Any

from demlopment.errors import RequestError


def refuse_unknown(what: str, values: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise RequestError for a field that `what` has not: a misspelt one would be passed over."""
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise RequestError(f"{what} has no field {unknown[0]!r:.60}.", f"Its fields are {', '.join(known)}.")
