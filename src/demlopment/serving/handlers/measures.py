"""What a handler measures: TorchServe's `context.metrics`. Knows no worker; the worker sends what it collects.

A measurement is a name, a kind and a value. Units and dimensions are accepted and dropped: every series is counted under
its model and version.
"""

import enum
from collections.abc import Sequence
from typing import Any

TIME_UNITS = ("ms", "s")
SIZE_UNITS = ("MB", "kB", "GB", "B")


class MetricTypes(enum.Enum):
    """How a metric's values are put together."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Dimension:
    """A label of a metric."""

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"


class Metric:
    """One metric that a handler keeps."""

    def __init__(self, name: str, kind: str, measures: "Measures") -> None:
        self.metric_name = name
        self._kind, self._measures = kind, measures

    def add_or_update(self, value: float, dimension_values: Sequence[str] = (), request_id: str = "") -> None:
        self._measures.note(self.metric_name, self._kind, value)

    def update(self, value: float, request_id: str = "", dimensions: Sequence[Any] = ()) -> None:
        self.add_or_update(value)


class Measures:
    """The verbs that handlers call; `kind` is TorchServe's default for each."""

    def __init__(self, model_name: str = "") -> None:
        self.model_name = model_name
        self.request_ids: Any = None
        self._noted: list[tuple[str, str, float]] = []

    def note(self, name: str, kind: str, value: Any) -> None:
        """Keep a measurement; what is no number, or a counter that would sink, is dropped as upstream drops it."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            return
        if kind != "counter" or number >= 0:
            self._noted.append((str(name), kind, number))

    def taken(self) -> list[tuple[str, str, float]]:
        """Name, kind and value of everything noted since the last call."""
        noted, self._noted = self._noted, []
        return noted

    def set_request_ids(self, request_ids: Any) -> None:
        self.request_ids = request_ids

    def add_metric(
        self,
        name: str,
        value: float,
        unit: str = "",
        idx: Any = None,
        dimensions: Any = None,
        metric_type: Any = MetricTypes.COUNTER,
    ) -> None:
        self.note(name, _kind(metric_type), value)

    def add_counter(self, name: str, value: float, idx: Any = None, dimensions: Any = None) -> None:
        self.note(name, "counter", value)

    def add_time(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "ms",
        dimensions: Any = None,
        metric_type: Any = MetricTypes.GAUGE,
    ) -> None:
        if unit not in TIME_UNITS:
            raise ValueError(f"The unit of the time {name} is {unit!r}; it can be one of {TIME_UNITS}.")
        self.note(name, _kind(metric_type), value)

    def add_size(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "MB",
        dimensions: Any = None,
        metric_type: Any = MetricTypes.GAUGE,
    ) -> None:
        if unit not in SIZE_UNITS:
            raise ValueError(f"The unit of the size {name} is {unit!r}; it can be one of {SIZE_UNITS}.")
        self.note(name, _kind(metric_type), value)

    def add_percent(
        self, name: str, value: float, idx: Any = None, dimensions: Any = None, metric_type: Any = MetricTypes.GAUGE
    ) -> None:
        self.note(name, _kind(metric_type), value)

    def add_error(self, name: str, value: float, dimensions: Any = None) -> None:
        self.note(name, "counter", value)

    def get_metric(self, metric_name: str, metric_type: Any = MetricTypes.COUNTER) -> Metric:
        return Metric(metric_name, _kind(metric_type), self)

    def add_metric_to_cache(
        self, metric_name: str, unit: str = "", dimension_names: Any = None, metric_type: Any = MetricTypes.COUNTER
    ) -> Metric:
        return self.get_metric(metric_name, metric_type)


def _kind(metric_type: Any) -> str:
    # The enumeration may be that of the real package.
    return str(getattr(metric_type, "value", metric_type))
