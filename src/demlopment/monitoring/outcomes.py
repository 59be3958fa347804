"""What became of the requests of an experiment, and which of them count. Knows no interval."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from demlopment.monitoring.metrics import PLAIN, Metric, Recorded
from demlopment.records import Arm


@dataclass(frozen=True)
class Outcome:
    """What became of one request of an experiment."""

    arm: Arm
    version: str
    correct: bool | None  # None while no label came back
    at: float  # seconds since 1970: when the label came, or the request where none did
    unit: str = ""  # whom the arm sticks to; "" where each request is a unit of its own
    asked: float | None = None  # seconds since 1970, when the request came; None is `at`
    recorded: Recorded = PLAIN

    @property
    def came(self) -> float:
        """When the request did."""
        return self.at if self.asked is None else self.asked


class Counted(NamedTuple):
    """One answer that counts."""

    treated: bool
    loss: float  # 0 to 1, as a share of the metric's scale


def first_labels(ordered: Sequence[Outcome]) -> list[Outcome]:
    """The same outcomes, with the labels of each unit but its first forgotten; without a unit each stands for itself."""
    heard: set[str] = set()
    kept = []
    for row in ordered:
        again = row.unit in heard
        if row.correct is not None and row.unit:
            heard.add(row.unit)
        kept.append(replace(row, correct=None) if again else row)
    return kept


def counted(rows: Iterable[Outcome], metric: Metric) -> list[Counted]:
    """The first answer of each unit whose loss is known: in the order of labels, or of requests where none is needed."""
    heard: set[str] = set()
    kept = []
    for row in sorted(rows, key=lambda row: row.at if metric.labelled else row.came):
        loss = metric.loss(row.correct, row.recorded)
        if loss is not None and row.unit not in heard:
            kept.append(Counted(row.arm == "treatment", loss))
            heard |= {row.unit} - {""}
    return kept


def of_both(known: Sequence[Counted]) -> Sequence[Counted]:
    """The same, or nothing while one arm has none: what is not known of an arm (a Python handler's confidence) is no 0."""
    return known if len({each.treated for each in known}) == 2 else ()
