"""One HTTP connection: bytes to ASGI and back, within limits. Knows no path and no model."""
