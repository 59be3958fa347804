"""A handler as a function: it answers with what it was given."""

from typing import Any


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[dict[str, Any]] | None:
    if data is None:  # TorchServe calls the function once when it loads it
        return None
    return [
        {
            "fields": {name: _seen(value) for name, value in sorted(row.items())},
            "headers": dict(sorted(context.get_all_request_header(number).items())),
        }
        for number, row in enumerate(data)
    ]


def _seen(value: Any) -> list[Any]:
    plain = bytes(value).decode("latin-1") if isinstance(value, (bytes, bytearray)) else value
    return [type(value).__name__, plain]
