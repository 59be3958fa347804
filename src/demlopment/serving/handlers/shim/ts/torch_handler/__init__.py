"""As TorchServe's package of this name, which has many handlers where we have the one they extend."""
