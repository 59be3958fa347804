"""As TorchServe's module of this name."""

from demlopment.serving.handlers.measures import CachingMetric as CachingMetric
