"""Count what one process did: counters, last values, histograms. Knows no format; metrics.py writes them out.

A tally travels as JSON from a serving process to the supervisor, which adds the tallies of all lives.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Series = tuple[str, ...]  # the family's name, then the value of each of its labels

# Seconds: from a lone request on an idle core to a client's usual patience, about three a decade.
BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ANSWERED = {2: "Requests2XX", 4: "Requests4XX"}  # by the first digit of a status


@dataclass
class Histogram:
    """How often an observation fell between two bounds."""

    counts: list[int] = field(default_factory=list)  # one for each bound, and the last one is above every bound
    total: float = 0.0
    bounds: tuple[float, ...] = BOUNDS

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, *values: float) -> None:
        for value in values:
            self.counts[bisect_left(self.bounds, value)] += 1
        self.total += sum(values)

    def include(self, other: "Histogram") -> None:
        """Add the observations of another one with the same bounds."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


@dataclass
class Tally:
    """What happened so far, in one process or in many."""

    counters: dict[Series, float] = field(default_factory=dict)
    gauges: dict[Series, tuple[float, float]] = field(default_factory=dict)  # (value, when it was seen)
    histograms: dict[Series, Histogram] = field(default_factory=dict)

    def add(self, *series: str, amount: float = 1.0) -> None:
        self.counters[series] = self.counters.get(series, 0.0) + amount

    def gauge(self, *series: str, value: float) -> None:
        self.gauges[series] = (value, time.time())

    def observe(self, *series: str, value: float) -> None:
        self.histogram(*series).observe(value)

    def histogram(self, *series: str, bounds: tuple[float, ...] = BOUNDS) -> Histogram:
        """For whoever has many observations of one series."""
        found = self.histograms.get(series)
        if found is None:
            found = self.histograms[series] = Histogram(bounds=bounds)
        return found

    def answered(self, status: int) -> None:
        """One response of any port; TorchServe counts whatever is not 2xx or 4xx as 5xx."""
        self.add(ANSWERED.get(status // 100, "Requests5XX"), "Host")

    def as_json(self) -> dict[str, Any]:
        """For a line. Its histograms have the usual bounds: others are counted by the supervisor alone."""
        return {
            "counters": [[series, value] for series, value in self.counters.items()],
            "gauges": [[series, *seen] for series, seen in self.gauges.items()],
            "histograms": [[series, each.counts, each.total] for series, each in self.histograms.items()],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Tally":
        return cls(
            {tuple(series): value for series, value in values["counters"]},
            {tuple(series): (value, at) for series, value, at in values["gauges"]},
            {tuple(series): Histogram(counts, total) for series, counts, total in values["histograms"]},
        )


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them together: counts add up, and of the last values the latest stands."""
    everything = Tally()
    for tally in tallies:
        for series, value in tally.counters.items():
            everything.add(*series, amount=value)
        for series, seen in tally.gauges.items():
            everything.gauges[series] = max(seen, everything.gauges.get(series, seen), key=lambda each: each[1])
        for series, histogram in tally.histograms.items():
            everything.histogram(*series, bounds=histogram.bounds).include(histogram)
    return everything
