"""What production says of a model: drift of its input, its accuracy with late labels or none, the reading of an experiment."""

from demlopment.monitoring.bandit import Record, shares
from demlopment.monitoring.drift import drift, windows
from demlopment.monitoring.experiment import read
from demlopment.monitoring.late import Realised, realised
from demlopment.monitoring.mix import ClassMix, class_mix
from demlopment.monitoring.outcomes import Outcome
from demlopment.monitoring.paired import Pair, PairedReading, paired
from demlopment.monitoring.promise import ErrorAlarm, error_alarm
from demlopment.monitoring.quality import accuracy
from demlopment.monitoring.reference import profile
from demlopment.monitoring.sizing import Size
from demlopment.monitoring.terms import Terms
from demlopment.monitoring.unlabelled import Estimate, estimated, trust

__all__ = [
    "ClassMix",
    "ErrorAlarm",
    "Estimate",
    "Outcome",
    "Pair",
    "PairedReading",
    "Realised",
    "Record",
    "Size",
    "Terms",
    "accuracy",
    "class_mix",
    "drift",
    "error_alarm",
    "estimated",
    "paired",
    "profile",
    "read",
    "realised",
    "shares",
    "trust",
    "windows",
]
