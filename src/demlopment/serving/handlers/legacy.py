"""TorchServe's older ways to measure, which handlers may still import: `Metric` and `MetricsStore`. Knows no worker.

Upstream they print lines that the server reads. Here they note what they measure with the metrics of this worker's context.
"""

import time
from collections.abc import Sequence
from typing import Any

from demlopment.serving.handlers.measures import UNITS, CachingMetric, Dimension, Measures, MetricTypes, Noted

_sinks: list[Measures] = []


def share(measures: Measures) -> None:
    """Where this process notes what the older classes measure: they know no context."""
    _sinks[:] = [measures]


def _note(noted: Noted) -> None:
    for sink in _sinks:
        sink.note(noted)


class Metric:
    """One counter with its dimensions."""

    def __init__(
        self,
        name: str,
        value: float,
        unit: str,
        dimensions: Sequence[Dimension],
        request_id: str | None = None,
        metric_method: str | None = None,
    ) -> None:
        self.name, self.value, self.dimensions = name, value, dimensions
        self.request_id, self.metric_method = request_id, metric_method
        self.metric_type = MetricTypes.COUNTER
        self.dimension_names = [each.name for each in dimensions]
        self.dimension_values = [each.value for each in dimensions]
        self._metric = CachingMetric(name, unit, self.dimension_names, self.metric_type, _note)
        self.unit = self._metric.unit

    def update(self, value: float) -> None:
        self._metric.add_or_update(value, self.dimension_values)

    def reset(self) -> None:
        self._metric.add_or_update(0, self.dimension_values)

    def __str__(self) -> str:
        return f"{self.name}.{self.unit}:{self.value}|#{','.join(map(str, self.dimensions))}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "MetricName": self.name,
            "Value": self.value,
            "Unit": self.unit,
            "Dimensions": self.dimensions,
            "Timestamp": int(time.time()),
            "RequestId": self.request_id,
        }


class MetricsStore(Measures):
    """What `context.metrics` once was."""

    def __init__(self, request_ids: Any, model_name: str) -> None:
        super().__init__(model_name)
        self.request_ids = request_ids

    def note(self, noted: Noted) -> None:
        _note(noted)


class Units:
    """The names of units by their signs."""

    def __init__(self) -> None:
        self.units = dict(UNITS)
