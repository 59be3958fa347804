"""From examples to a judged network: fit, evaluate, judge, export, track. Knows not where examples come from."""

from demlopment.training.evaluate import embed, evaluate
from demlopment.training.export import export
from demlopment.training.fit import Fitted, fit
from demlopment.training.gate import held_to, judge
from demlopment.training.tracking import MlflowTracker, Tracker

__all__ = ["Fitted", "MlflowTracker", "Tracker", "embed", "evaluate", "export", "fit", "held_to", "judge"]
