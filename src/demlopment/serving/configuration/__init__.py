"""TorchServe's configuration: its properties, its snapshots, and the models that they name. Starts nothing."""
