"""A handler that needs more memory than there is."""

from typing import Any


class Starved:
    def initialize(self, context: Any) -> None:
        raise MemoryError

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[str]:
        return ["never"] * len(data)
