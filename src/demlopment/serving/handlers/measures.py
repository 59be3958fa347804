"""What a handler measures: TorchServe's `context.metrics`. Knows no worker; the worker sends what it collects.

The names, the errors and what is dropped without a word are TorchServe's: a metric has a name, a kind, a unit and names of
dimensions, and every measurement a value for each dimension.
"""

import enum
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

TIME_UNITS = ("ms", "s")
SIZE_UNITS = ("MB", "kB", "GB", "B")
UNITS = {
    "ms": "Milliseconds",
    "s": "Seconds",
    "percent": "Percent",
    "count": "Count",
    "MB": "Megabytes",
    "GB": "Gigabytes",
    "kB": "Kilobytes",
    "B": "Bytes",
    "": "unit",
    None: "unit",
}
# Of all measurements between two answers, so that they fit into one frame: some thousand of the usual length.
ROOM = 50_000  # characters
OVERHEAD = 20  # characters, of a measurement beside its texts

logger = logging.getLogger(__name__)

Labels = tuple[tuple[str, str], ...]
Noted = tuple[str, str, str, float, Labels]  # name, kind, unit, value and labels


class MetricTypes(enum.Enum):
    """How a metric's values are put together."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class MetricsCacheKeyError(KeyError):
    """No metric of that name and kind has been added."""


class MetricsCacheTypeError(TypeError):
    """An argument is of no type that a metric can have."""


class MetricsCacheValueError(ValueError):
    """An argument has no value that a metric can have."""


class Dimension:
    """A label of a metric."""

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"


class CachingMetric:
    """One metric that a handler keeps; `note` takes its measurements."""

    def __init__(
        self,
        metric_name: str,
        unit: str,
        dimension_names: Sequence[str] | None = None,
        metric_type: MetricTypes = MetricTypes.COUNTER,
        note: Callable[[Noted], None] | None = None,
    ) -> None:
        self.metric_name = metric_name
        self.unit = UNITS.get(unit, unit)
        self.dimension_names = list(dimension_names or [])
        self.metric_type = metric_type
        self._note = note

    def add_or_update(self, value: float, dimension_values: Sequence[str] = (), request_id: str = "") -> None:
        """Measure; without a value for each dimension, or a counter that would sink, it is only logged."""
        names = self.dimension_names
        if dimension_values is None or len(dimension_values) != len(names):
            logger.error("%s has the dimensions %s, not %s.", self.metric_name, names, dimension_values)
            return
        kind = str(self.metric_type.value)
        number = _number(value)
        if not math.isfinite(number) or (kind == "counter" and number < 0):
            logger.error("%s is a %s and cannot be updated by %s.", self.metric_name, kind, value)
            return
        labels = tuple((str(name), str(text)) for name, text in zip(names, dimension_values, strict=True))
        if self._note is not None:
            self._note((self.metric_name, kind, str(self.unit), number, labels))

    def update(self, value: float, request_id: str = "", dimensions: Sequence[Dimension] = ()) -> None:
        """As before there were names of dimensions."""
        self.dimension_names = [each.name for each in dimensions]
        self.add_or_update(value, [each.value for each in dimensions], request_id)


class Measures:
    """The verbs that handlers call; the kinds and units are TorchServe's defaults for each."""

    def __init__(self, model_name: str = "") -> None:
        self.model_name = model_name
        self.request_ids: Any = None
        self.store: list[Any] = []  # what nobody fills any more, also upstream
        self.cache: dict[MetricTypes, dict[str, CachingMetric]] = {}
        self._noted: list[Noted] = []
        self._room = ROOM
        for name in ("HandlerTime", "PredictionTime"):  # of TorchServe's metrics.yaml
            self.add_metric_to_cache(name, "ms", ["ModelName", "Level"], MetricTypes.GAUGE)

    def note(self, noted: Noted) -> None:
        """Keep a measurement for the worker to send; those that come when the room is filled are dropped."""
        name, _, unit, _, labels = noted
        self._room -= OVERHEAD + len(name) + len(unit) + sum(len(label) + len(text) for label, text in labels)
        if self._room >= 0:
            self._noted.append(noted)

    def taken(self) -> list[Noted]:
        """Everything noted since the last call."""
        if self._room < 0:
            logger.warning("More was measured than one answer can carry; what came last is dropped.")
        noted, self._noted, self._room = self._noted, [], ROOM
        return noted

    def set_request_ids(self, request_ids: Any) -> None:
        self.request_ids = request_ids

    def add_metric(
        self,
        name: str,
        value: float,
        unit: str = "",
        idx: Any = None,
        dimensions: Iterable[Dimension] | None = None,
        metric_type: Any = MetricTypes.COUNTER,
    ) -> None:
        self._add(name, value, unit, dimensions, metric_type)

    def add_counter(self, name: str, value: float, idx: Any = None, dimensions: Iterable[Dimension] | None = None) -> None:
        self._add(name, value, "count", dimensions, MetricTypes.COUNTER)

    def add_time(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "ms",
        dimensions: Iterable[Dimension] | None = None,
        metric_type: Any = MetricTypes.GAUGE,
    ) -> None:
        if unit not in TIME_UNITS:
            raise MetricsCacheValueError(f"The unit of the time {name} is {unit!r}; it can be one of {TIME_UNITS}.")
        self._add(name, value, unit, dimensions, metric_type)

    def add_size(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "MB",
        dimensions: Iterable[Dimension] | None = None,
        metric_type: Any = MetricTypes.GAUGE,
    ) -> None:
        if unit not in SIZE_UNITS:
            raise ValueError(f"The unit of the size {name} is {unit!r}; it can be one of {SIZE_UNITS}.")
        self._add(name, value, unit, dimensions, metric_type)

    def add_percent(
        self,
        name: str,
        value: float,
        idx: Any = None,
        dimensions: Iterable[Dimension] | None = None,
        metric_type: Any = MetricTypes.GAUGE,
    ) -> None:
        self._add(name, value, "percent", dimensions, metric_type)

    def add_error(self, name: str, value: float, dimensions: Iterable[Dimension] | None = None) -> None:
        self._add(name, value, "", dimensions, MetricTypes.COUNTER, level="Error")

    def get_metric(self, metric_name: str, metric_type: Any = MetricTypes.COUNTER) -> CachingMetric:
        """A metric that was added before. Raises MetricsCacheKeyError if it was not."""
        _check(metric_name, "metric_name")
        try:
            return self.cache[_kind(metric_type)][metric_name]
        except KeyError:
            raise MetricsCacheKeyError(f"Metric of type '{metric_type}' and name '{metric_name}' doesn't exist") from None

    def add_metric_to_cache(
        self,
        metric_name: str,
        unit: str = "",
        dimension_names: Sequence[str] = (),
        metric_type: Any = MetricTypes.COUNTER,
    ) -> CachingMetric:
        """A new metric, instead of one of the same name and kind. Raises MetricsCacheTypeError."""
        _check(metric_name, "metric_name")
        _check(unit, "unit")
        kind = _kind(metric_type)
        metric = CachingMetric(metric_name, unit, dimension_names, kind, self.note)
        self.cache.setdefault(kind, {})[metric_name] = metric
        return metric

    def _add(
        self,
        name: str,
        value: float,
        unit: str,
        dimensions: Iterable[Dimension] | None,
        metric_type: Any,
        level: str = "",
    ) -> None:
        labels = {each.name: each.value for each in dimensions or ()}
        if self.request_ids is None or level:
            labels.setdefault("Level", level or "Error")  # as upstream takes what belongs to no request
        else:
            labels.setdefault("ModelName", self.model_name)
            labels.setdefault("Level", "Model")
        try:
            metric = self.get_metric(name, metric_type)
        except MetricsCacheKeyError:
            metric = self.add_metric_to_cache(name, unit, list(labels), metric_type)
        metric.add_or_update(value, list(labels.values()))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _check(value: Any, name: str) -> None:
    if not isinstance(value, str):
        raise MetricsCacheTypeError(f"`{name}` must be a str")


def _kind(metric_type: Any) -> MetricTypes:
    # The enumeration may be that of the real package.
    try:
        return MetricTypes(getattr(metric_type, "value", metric_type))
    except ValueError:
        raise MetricsCacheTypeError("`metric_type` must be a MetricTypes enum") from None
