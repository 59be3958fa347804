"""A handler as a function of another name, with a state of its own."""

from typing import Any

loaded: list[str] = []


def entry(data: list[dict[str, Any]] | None, context: Any) -> list[str] | None:
    if data is None:
        loaded.append(context.model_name)
        return None
    return [f"{name} is loaded" for name in loaded] * len(data)
