"""As TorchServe's module of this name, as far as handlers use it."""

from types import ModuleType

from demlopment.serving.handlers.base import load_label_mapping as load_label_mapping
from demlopment.serving.handlers.base import map_class_to_label as map_class_to_label
from demlopment.serving.handlers.loader import classes_of


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
