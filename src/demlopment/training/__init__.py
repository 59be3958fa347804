"""From examples to a judged network: fit, evaluate, judge, export, track. Knows not where examples come from."""

from demlopment.training.evaluate import embed, evaluate
from demlopment.training.export import export
from demlopment.training.fit import Fitted, fit, join
from demlopment.training.gate import held_to, judge
from demlopment.training.team import ALONE, Team, gathered
from demlopment.training.tracking import MlflowTracker, Tracker

__all__ = [
    "ALONE",
    "Fitted",
    "MlflowTracker",
    "Team",
    "Tracker",
    "embed",
    "evaluate",
    "export",
    "fit",
    "gathered",
    "held_to",
    "join",
    "judge",
]
