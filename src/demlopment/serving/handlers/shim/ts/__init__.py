"""What handlers import from TorchServe, where its package is not installed. Our own code, by the API it has."""

from ts.version import __version__ as __version__  # type: ignore[import-not-found]  # this very package
