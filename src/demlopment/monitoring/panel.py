"""All monitors of one version, looked at together: what each says, and which of them alarm, within one budget.

A monitor that crashes is told as broken, and the others are looked at all the same. Knows no table, no file and no retraining.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.errors import DemlopmentError
from demlopment.monitoring.evidence import Evidence
from demlopment.monitoring.late import periods
from demlopment.monitoring.reference import check_format
from demlopment.monitoring.sweep import counted, drifts, length
from demlopment.monitoring.told import (
    Finding,
    changes_of_errors,
    classes,
    estimate,
    of_accuracy,
    of_windows,
    outside,
    promised_errors,
    soundness,
)
from demlopment.records import DriftReport

# Of the false alarms that all monitors may raise together. Most goes to the tests of windows, which are the first to see a
# change; a hundredth of the budget more or less moves their thresholds hardly at all.
SHARES = {"drift": 0.8, "estimated accuracy": 0.1, "errors": 0.1}


@dataclass(frozen=True)
class Budget:
    """How often monitors may alarm for nothing, all of them together.

    Thirty windows a month of a day each and a rate of 1 / 30 are one false alarm a month.
    """

    window: int  # answers
    false_alarm_rate: float  # for each window, when nothing has changed
    seconds: float = 0.0  # how long a window is; 0 where answers are counted instead

    def of(self, monitor: str) -> float:
        """The share of one monitor, for each window."""
        return SHARES[monitor] * self.false_alarm_rate

    def windows(self, at: npt.NDArray[np.float64]) -> list[slice]:
        """Those of answers at these times (seconds since 1970), sorted: whole ones only."""
        return list(periods(at, self.seconds)) if self.seconds else counted(len(at), length(len(at), self.window))

    def longest(self, at: npt.NDArray[np.float64]) -> int:
        """The most answers that a window has had so far."""
        if not self.seconds:
            return self.window
        return int(np.unique(np.floor(at / self.seconds), return_counts=True)[1].max(initial=1))


@dataclass(frozen=True, eq=False)
class Panel:
    """What one look found."""

    windows: tuple[DriftReport, ...]  # that no look before had tested
    findings: tuple[Finding, ...]

    @property
    def alarms(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.alarm)

    @property
    def broken(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.broken)


def panel(reference: Mapping[str, Any], evidence: Evidence, budget: Budget, promised: float | None) -> Panel:
    """Look at everything. `promised` is the largest share of errors that is as it should be; None where nobody said so.

    Each window is tested at the first look after it was full and at none later, so how often one looks adds no alarm.
    """
    windows: list[DriftReport] = []

    def drift() -> Finding:
        check_format(reference)
        # With what is dated later, the next look would believe that it had tested all up to then.
        fresh = evidence.stretch.where(slice(evidence.fresh, len(evidence) - evidence.ahead))
        found = budget.windows(fresh.at)
        windows.extend(drifts(reference, fresh, found, false_alarm_rate=budget.of("drift"), start=evidence.fresh))
        return of_windows(windows)

    monitors: dict[str, Callable[[], Finding]] = {
        "drift": drift,
        "no class": lambda: outside(reference, evidence),
        "mix of classes": lambda: classes(reference, evidence),
        "estimated accuracy": lambda: estimate(
            reference, evidence, promised, budget.of("estimated accuracy") if windows else None
        ),
        "realised accuracy": lambda: of_accuracy(evidence),
        "changes of errors": lambda: changes_of_errors(evidence),
        "data": lambda: soundness(evidence),
    }
    if promised is not None:
        # For each label: there are no more of them than answers.
        most, rate = promised, budget.of("errors") / budget.longest(evidence.stretch.at)
        monitors["errors"] = lambda: promised_errors(evidence, most, rate)
    findings = tuple(_safely(name, monitor) for name, monitor in monitors.items())
    return Panel(tuple(windows), findings)


def conclusion(title: str, looked: Panel, answers: int) -> str:
    """The plain sentence, the first thing that a person reads."""
    if looked.alarms:
        said = " ".join(each.sentence for each in looked.alarms)
        first = f"{title} needs attention. {said}"
    elif not answers:
        first = f"Nothing has been asked of {title}, so nothing can be said of it."
    else:
        first = f"Nothing says that anything has changed for {title}: {len(looked.windows)} new windows, {answers} answers."
    broken = ", ".join(each.monitor for each in looked.broken)
    return f"{first} Broken: {broken}." if broken else first


def _safely(name: str, monitor: Callable[[], Finding]) -> Finding:
    try:
        return replace(monitor(), monitor=name)
    except DemlopmentError as error:
        return Finding(name, str(error), broken=True)
    except Exception as error:  # noqa: BLE001  whatever one monitor does, the others are looked at, and it is told
        return Finding(name, f"It failed with {type(error).__name__}: {error}.", broken=True)
