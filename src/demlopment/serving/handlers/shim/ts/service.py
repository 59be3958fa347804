"""As TorchServe's module of this name, as far as a handler can use it."""

from collections.abc import Callable
from typing import Any

from ts.context import Context  # type: ignore[import-not-found]  # this very package, once it is on the path
from ts.utils.util import PredictionException as PredictionException  # type: ignore[import-not-found]  # likewise
from ts.utils.util import get_yaml_config
from ts.version import __version__  # type: ignore[import-not-found]  # likewise

PREDICTION_METRIC = "PredictionTime"


class Service:
    """An entry point and its context; what feeds it here is the worker."""

    def __init__(
        self,
        model_name: str,
        model_dir: str,
        manifest: dict[str, Any] | None,
        entry_point: Callable[..., Any],
        gpu: int | None,
        batch_size: int,
        limit_max_image_pixels: bool = True,  # noqa: FBT001, FBT002  # TorchServe's signature
        metrics_cache: Any = None,
    ) -> None:
        named = (manifest or {}).get("model", {}).get("configFile")
        config = get_yaml_config(f"{model_dir}/{named}") if named else {}
        self._context = Context(
            model_name, model_dir, manifest, batch_size, gpu, __version__, limit_max_image_pixels, metrics_cache, config
        )
        self._entry_point = entry_point

    @property
    def context(self) -> Any:
        return self._context
