"""As TorchServe's module of this name."""

import importlib
from collections.abc import Sequence
from typing import Any


def send_intermediate_predict_response(ret: Sequence[Any], req_id_map: Any, message: str, code: int, context: Any) -> None:
    """Send one part of the stream to every request of the batch."""
    if context.part is not None:
        context.part(ret)


def import_class(class_name: str, module_prefix: str | None = None) -> Any:
    """The class that "module.Class" or "Class" names, below the package `module_prefix` if there is one.

    Raises ImportError if there is none.
    """
    module, _, name = class_name.rpartition(".")
    path = ".".join(part for part in (module_prefix, module) if part)
    found = getattr(importlib.import_module(path), name, None) if path else None
    if found is None:
        raise ImportError(f"class:{class_name} not found in module:{path}.")
    return found
