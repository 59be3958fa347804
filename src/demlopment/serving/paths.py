"""Which model a path of the inference port asks, and what for. Knows TorchServe's paths; knows no model and no HTTP."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from demlopment.serving.http import wire

Verb = Literal["predict", "explain"]
# Whose clients use such a path. The last, SageMaker's and the oldest ones, send the query as inputs too.
Dialect = Literal["torchserve", "kserve-v1", "kserve-v2", "query"]


class Target(NamedTuple):
    """One version of a model, and what it is to do; a tuple, because every request makes one."""

    model: str | None  # None: the query or a form names it
    version: str | None = None  # None: the default one, or the traffic plan's choice
    verb: Verb = "predict"
    dialect: Dialect = "torchserve"
    rest: str = ""  # of the path behind the version, which a handler may read

    @property
    def marks(self) -> dict[str, str]:
        """The headers that TorchServe adds for a handler."""
        explain = {"explain": "True" if self.verb == "explain" else "False"}
        if self.dialect == "query":
            return {}
        return explain if self.dialect != "torchserve" else {**explain, "url_path": self.rest}


# Clients ask a few paths again and again. How many are remembered is little: a path may be as long as all headers.
@lru_cache(maxsize=64)
def asked(path: str) -> Target | None:
    """As `target`, for the path itself."""
    return target(wire.segments(path))


def target(parts: Sequence[str]) -> Target | None:
    """What the segments of a path ask for; None if they ask for no answer of a model.

    >>> target(["predictions", "digits", "2.0"])
    Target(model='digits', version='2.0', verb='predict', dialect='torchserve', rest='')
    >>> target(["v1", "models", "digits:explain"])
    Target(model='digits', version=None, verb='explain', dialect='kserve-v1', rest='')
    >>> target(["ping"])
    """
    match parts:
        case ["predictions", name]:
            return Target(name)
        case ["predictions", name, version, *rest]:
            return Target(name, version, rest="/".join(rest))
        case ["explanations", name]:
            return Target(name, verb="explain")
        case ["explanations", name, version, *rest]:
            return Target(name, version, "explain", rest="/".join(rest))
        case ["v1", "models", call] if ":predict" in call or ":explain" in call:
            return Target(call.partition(":")[0], None, "predict" if ":predict" in call else "explain", "kserve-v1")
        case ["v2", "models", name, "infer" | "explain" as verb]:
            return Target(name, None, "predict" if verb == "infer" else "explain", "kserve-v2")
        case ["v2", "models", name, "versions", version, "infer" | "explain" as verb]:
            return Target(name, version, "predict" if verb == "infer" else "explain", "kserve-v2")
        case _:
            return _with_query(parts)


def _with_query(parts: Sequence[str]) -> Target | None:
    match parts:
        case ["invocations"]:
            return Target(None, dialect="query")
        case ["models", name, "invoke"]:
            return Target(name, dialect="query")
        case ["predictions" | "explanations" | "invocations", *_] | ["models", _, _]:
            return None  # TorchServe takes these for its own, whatever follows
        case [name, "predict"]:
            return Target(name, dialect="query")
        case [name, version, "predict"]:
            return Target(name, version, dialect="query")
        case _:
            return None
