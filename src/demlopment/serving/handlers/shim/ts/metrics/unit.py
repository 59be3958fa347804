"""As TorchServe's module of this name."""

from demlopment.serving.handlers.legacy import Units as Units
