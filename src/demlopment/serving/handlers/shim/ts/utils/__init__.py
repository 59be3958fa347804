"""As TorchServe's package of this name."""
