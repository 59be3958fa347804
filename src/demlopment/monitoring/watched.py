"""What it is to be watched: objectives, a signal, an alert. Records; knows no series and no file."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "seconds", "bytes", "per second", "number"]
Severity = Literal["page", "ticket"]  # a page wakes somebody, a ticket waits for the morning


@dataclass(frozen=True)
class Objectives:
    """What the service promises, and how old things may be; the settings have the defaults."""

    job: str  # under which Prometheus scrapes the endpoint
    availability: float  # share of requests that are not answered with 5xx
    slow_seconds: float  # an answer that took longer is slow; one of the histogram's bounds
    fast: float  # share of answers that are not slow
    champion_days: float
    label_days: float
    journal_hours: float
    runbooks: str  # where the page is that has a section for each alert


@dataclass(frozen=True)
class Signal:
    """One figure over time. What is `recorded` has a name in Prometheus, under which alerts and panels find it."""

    title: str  # signals with the same one are drawn together
    unit: Unit
    expression: str
    legend: str = ""  # in Grafana's {{label}}
    recorded: str = ""
    limit: float | None = None  # beyond it an alert rings

    @property
    def series(self) -> str:
        """How to ask for it."""
        return self.recorded or self.expression

    @property
    def beyond(self) -> str:
        """Whether it is over its limit."""
        assert self.limit is not None, f"{self.title} has no limit"
        return f"{self.series} > {self.limit:.6g}"


@dataclass(frozen=True)
class Alert:
    """A rule that tells a person. Texts may name labels as Prometheus's templates do."""

    name: str
    expression: str
    lasting: str  # how long it must be true first
    severity: Severity
    meaning: str
    budget: str  # when it rings, in words that its receiver can hold against it
    remedy: str
