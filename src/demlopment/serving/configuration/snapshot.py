"""What TorchServe's keys `model_snapshot` and `models` say of single versions. Knows no archive and no state."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demlopment.serving.state import NUMBERS

OTHERS = {"defaultVersion", "marName", "runtimeType"}


@dataclass(frozen=True)
class Preset:
    """One version of a model as the file describes it; None where it says nothing."""

    model: str
    version: str
    default: bool = False
    file: str = ""  # in the model store
    min_workers: int | None = None
    max_workers: int | None = None
    batch_size: int | None = None
    max_batch_delay: int | None = None  # ms
    response_timeout: int | None = None  # s
    startup_timeout: int | None = None  # s
    unknown: tuple[str, ...] = ()  # keys that mean nothing to us

    @property
    def limits(self) -> dict[str, int]:
        """What it says of batches and time-outs, by the names that a client would use."""
        said = {
            "batch_size": self.batch_size,
            "max_batch_delay": self.max_batch_delay,
            "response_timeout": self.response_timeout,
            "startup_timeout": self.startup_timeout,
        }
        return {name: value for name, value in said.items() if value is not None}

    @property
    def values(self) -> dict[str, str | int]:
        """As a client would register it."""
        workers = {} if self.min_workers is None else {"initial_workers": self.min_workers}
        return {"url": self.file, "model_name": self.model, **workers, **self.limits}


def snapshot(text: str) -> tuple[Preset, ...]:
    """The versions that a `model_snapshot` names, the default one of each model first.

    Raises ValueError saying what is wrong with it.
    """
    document = _object(_parsed(text), "the snapshot")
    presets = models(json.dumps(document.get("models", {})))
    for preset in presets:
        if not preset.file:
            raise ValueError(f"{preset.model} {preset.version} has no marName")
    return tuple(sorted(presets, key=lambda preset: (preset.model, not preset.default)))


def models(text: str) -> tuple[Preset, ...]:
    """The versions that a `models` describes. Raises ValueError saying what is wrong with it."""
    return tuple(
        _preset(model, version, _object(said, f"{model} {version}"))
        for model, versions in _object(_parsed(text), "it").items()
        for version, said in _object(versions, model).items()
    )


def _preset(model: str, version: str, said: Mapping[str, Any]) -> Preset:
    numbers = {ours: said[theirs] for theirs, ours in NUMBERS.items() if theirs in said}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{model} {version} has the {name} {value!r}")
    file, default = said.get("marName", ""), said.get("defaultVersion", False)
    if not isinstance(file, str) or not isinstance(default, bool):
        raise ValueError(f"{model} {version} has the marName {file!r} and the defaultVersion {default!r}")
    unknown = tuple(sorted(set(said) - set(NUMBERS) - OTHERS))
    return Preset(model, version, default=default, file=file, unknown=unknown, **numbers)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as deep:
        raise ValueError("it is nested too deep") from deep


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")
    return value
