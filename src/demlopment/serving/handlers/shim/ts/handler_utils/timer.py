"""As TorchServe's module of this name."""

from demlopment.serving.handlers.base import timed as timed
