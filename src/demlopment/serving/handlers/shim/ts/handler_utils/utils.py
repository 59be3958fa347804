"""As TorchServe's module of this name."""

from collections.abc import Sequence
from typing import Any


def send_intermediate_predict_response(ret: Sequence[Any], req_id_map: Any, message: str, code: int, context: Any) -> None:
    """Send one part of the stream to every request of the batch."""
    if context.part is not None:
        context.part(ret)
