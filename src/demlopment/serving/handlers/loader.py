"""Find the handler that an archive names: a function, a class, or one of TorchServe's own. Runs the archive's code."""

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from demlopment.serving.handlers.context import Context

SHIM = Path(__file__).parent / "shim"
BUILT_IN = "ts.torch_handler"
MANIFEST = "MAR-INF/MANIFEST.json"

Handle = Callable[[Any, Context], Any]
Initialize = Callable[[Context], Any]


def make_importable(folder: Path, packages: Path) -> None:
    """Put the archive's modules first, then what its requirements installed; our `ts` serves where the real one is missing."""
    sys.path[:0] = [str(folder), str(packages)]
    if importlib.util.find_spec("ts") is None:
        sys.path.append(str(SHIM))


def found(handler: str) -> tuple[Handle, Initialize]:
    """What is called with a batch, and what is called once before. Raises what the code raises, ImportError, ValueError."""
    path, _, function = handler.partition(":")
    module = _module(path.rpartition("/")[2].removesuffix(".py"))
    named = getattr(module, function or "handle", None)
    if named is not None:
        # TorchServe calls a function once without data, where it loads its model.
        return named, lambda context: named(None, context)
    instance = _class(module)()
    return instance.handle, getattr(instance, "initialize", lambda _: None)


def lacking(error: BaseException) -> str:
    """What to do about an import from TorchServe that our `ts` does not have; nothing about any other error."""
    name = (error.name or "") if isinstance(error, ImportError) else ""
    module = sys.modules.get("ts")
    if name.partition(".")[0] != "ts" or not str(getattr(module, "__file__", "")).startswith(str(SHIM)):
        return ""
    return (
        f"{type(error).__name__}: {name} of TorchServe, or what is imported from it, is not built in here. "
        "Install the real package torchserve beside the endpoint, with what that module needs: it is used when it is installed"
    )


def manifest(folder: Path, model: str, version: str, handler: str) -> dict[str, Any]:
    """The archive's own, or the least that a handler can expect."""
    path = folder / MANIFEST
    if path.is_file():
        values: dict[str, Any] = json.loads(path.read_bytes())
        return values
    return {"runtime": "python", "model": {"modelName": model, "modelVersion": version, "handler": handler}}


def configuration(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The model-config.yaml that a manifest names, with the endpoint's keys in it, as TorchServe hands it over."""
    named = values.get("model", {}).get("configFile")
    if not named:
        return {}
    import yaml  # only a worker whose archive has one pays for it

    path = next(path for path in (folder / named, folder / Path(named).name) if path.is_file())
    return yaml.safe_load(path.read_bytes()) or {}


def classes_of(module: ModuleType) -> list[type]:
    """The classes that a module defines itself."""
    return [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:  # the handler is there, and something that it imports is not
            raise
    try:
        return importlib.import_module(f"{BUILT_IN}.{name}")
    except ModuleNotFoundError as missing:
        if missing.name != f"{BUILT_IN}.{name}":
            raise
        raise ImportError(
            f"The archive has no module {name!r}, and it is no handler of ours. "
            "If it is one of TorchServe's own, install the package torchserve beside the endpoint."
        ) from missing


def _class(module: ModuleType) -> type[Any]:
    classes = [each for each in classes_of(module) if hasattr(each, "handle")]
    if len(classes) != 1:
        names = [each.__name__ for each in classes]
        raise ValueError(f"{module.__name__} needs one function or one class with a method `handle`, and has {names}.")
    return classes[0]
