"""The real TorchServe as the engine behind the three ports: its server is started here, and answers everything itself."""
