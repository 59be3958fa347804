"""As TorchServe's module of this name, as far as handlers use it."""

import enum
import logging
import re
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from demlopment.serving.handlers.base import load_label_mapping as load_label_mapping
from demlopment.serving.handlers.base import map_class_to_label as map_class_to_label
from demlopment.serving.handlers.loader import classes_of

logger = logging.getLogger(__name__)

CLEANUP_REGEX = re.compile("<.*?>|&([a-z0-9]+|#[0-9]{1,6}|#x[0-9a-f]{1,6});")


class PT2Backend(enum.StrEnum):
    """What torch.compile can be told to use."""

    EAGER = "eager"
    AOT_EAGER = "aot_eager"
    INDUCTOR = "inductor"
    NVFUSER = "nvfuser"
    AOT_NVFUSER = "aot_nvfuser"
    AOT_CUDAGRAPHS = "aot_cudagraphs"
    OFI = "ofi"
    FX2TRT = "fx2trt"
    ONNXRT = "onnxrt"
    IPEX = "ipex"
    TORCHXLA_TRACE_ONCE = "torchxla_trace_once"
    OPENVINO = "openvino"
    TENSORRT = "tensorrt"
    HPU_BACKEND = "hpu_backend"


class PredictionException(Exception):  # noqa: N818  # TorchServe's name
    """A refusal with a status of the handler's own."""

    def __init__(self, message: str, error_code: int = 500) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code

    def __str__(self) -> str:
        return f"{self.message} : {self.error_code}"


def list_classes_from_module(module: ModuleType, parent_class: type | None = None) -> list[type]:
    return [each for each in classes_of(module) if parent_class is None or issubclass(each, parent_class)]


def check_valid_pt2_backend(backend: str) -> bool:
    known = backend in list(PT2Backend)
    if not known:
        logger.warning("%s is not a supported backend", backend)
    return known


def get_yaml_config(yaml_file_path: str) -> Any:
    import yaml  # only who asks pays for it

    return yaml.safe_load(Path(yaml_file_path).read_bytes())


def deprecated(
    version: str, replacement: str = "", klass: type[Warning] = PendingDeprecationWarning
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def deprecator(func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(f"{func.__name__} is deprecated in {version} and moved to {replacement}", klass, stacklevel=2)
            return func(*args, **kwargs)

        return wrapper

    return deprecator
