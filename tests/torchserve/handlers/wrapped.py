"""A handler behind an envelope: it answers with what each item was, which may be anything."""

from typing import Any


class Wrapped:
    def initialize(self, context: Any) -> None:
        self.loaded = True

    def handle(self, data: list[Any], context: Any) -> list[Any]:
        return [self._answer(item) for item in data]

    def _answer(self, item: Any) -> Any:
        if isinstance(item, (bytes, bytearray)):
            return bytes(item).decode() + " was packed"
        if isinstance(item, dict) and "datatype" in item:
            return len(item["data"])
        if isinstance(item, dict):
            return {name: self._answer(value) for name, value in item.items()}
        return item
