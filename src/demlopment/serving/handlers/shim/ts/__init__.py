"""What handlers import from TorchServe, where its package is not installed. Our own code, by the API it has."""

__version__ = "0.12.0"
