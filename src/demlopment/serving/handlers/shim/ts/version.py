"""As TorchServe's module of this name."""

from demlopment.serving.handlers.context import SERVER_VERSION

__version__ = SERVER_VERSION
