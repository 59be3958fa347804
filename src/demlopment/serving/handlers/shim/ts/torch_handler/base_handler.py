"""As TorchServe's module of this name."""

from demlopment.serving.handlers import base


class BaseHandler(base.BaseHandler):
    """Of this module, so that an archive can name it as its handler."""
