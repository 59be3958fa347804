"""The endpoint: answers TorchServe's clients, splits traffic, and journals every answer before it leaves."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from demlopment.serving.addresses import Addresses, running
    from demlopment.serving.embedded import Model, predict
    from demlopment.serving.plans import plan_shown
    from demlopment.serving.recorded import join, read
    from demlopment.serving.supervisor import serve
    from demlopment.serving.tokens import credentials
    from demlopment.serving.traffic import assign

__all__ = ["Addresses", "Model", "assign", "credentials", "join", "plan_shown", "predict", "read", "running", "serve"]
# Imported when first used: serving processes and workers import this package too, and have no use for most of it.
HOMES = {
    "Addresses": "addresses",
    "Model": "embedded",
    "assign": "traffic",
    "credentials": "tokens",
    "join": "recorded",
    "plan_shown": "plans",
    "predict": "embedded",
    "read": "recorded",
    "running": "addresses",
    "serve": "supervisor",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
