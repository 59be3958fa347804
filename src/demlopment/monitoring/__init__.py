"""What production says of a model: drift of its input, its accuracy from late labels, and the reading of an experiment."""

from demlopment.monitoring.bandit import Record, shares
from demlopment.monitoring.drift import drift, windows
from demlopment.monitoring.experiment import read
from demlopment.monitoring.outcomes import Outcome
from demlopment.monitoring.paired import Pair, PairedReading, paired
from demlopment.monitoring.quality import accuracy
from demlopment.monitoring.reference import profile
from demlopment.monitoring.sizing import Size
from demlopment.monitoring.terms import Terms

__all__ = [
    "Outcome",
    "Pair",
    "PairedReading",
    "Record",
    "Size",
    "Terms",
    "accuracy",
    "drift",
    "paired",
    "profile",
    "read",
    "shares",
    "windows",
]
