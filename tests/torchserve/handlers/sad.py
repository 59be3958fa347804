"""A handler that cannot be loaded."""

from typing import Any


class Sad:
    def initialize(self, context: Any) -> None:
        raise RuntimeError("the weights are missing")

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[str]:
        return ["never"] * len(data)
