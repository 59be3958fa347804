"""As TorchServe's module of this name, as far as handlers can meet them."""

from demlopment.serving.handlers.measures import MetricsCacheKeyError as MetricsCacheKeyError
from demlopment.serving.handlers.measures import MetricsCacheTypeError as MetricsCacheTypeError
from demlopment.serving.handlers.measures import MetricsCacheValueError as MetricsCacheValueError
