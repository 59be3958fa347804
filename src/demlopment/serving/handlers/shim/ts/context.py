"""As TorchServe's module of this name."""

from demlopment.serving.handlers.context import Context as Context
from demlopment.serving.handlers.context import RequestProcessor as RequestProcessor
