"""What TorchServe's management port has changed: its own snapshots, brought back into the state. Knows no process.

TorchServe writes one at its start and after every change. The first of a run says what it began with, and the last one
what it was told to serve since; whoever starts the home next, with either engine, finds them, however the run ended.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from demlopment.errors import RequestError
from demlopment.home import Home
from demlopment.serving import registration
from demlopment.serving import state as states
from demlopment.serving.configuration.entries import MalformedError, entries
from demlopment.serving.configuration.properties import decoded
from demlopment.serving.configuration.snapshot import Preset, snapshot
from demlopment.serving.registration import Terms
from demlopment.serving.state import MAX_WORKERS, NUMBERS, State
from demlopment.serving.torchserve.places import Places

Key = tuple[str, str]  # model, version
WORKERS = ("min_workers", "max_workers")


def bring_back(place: Home, store: Path, terms: Terms, tell: Callable[[str], None]) -> None:
    """Write the last run's changes into the state of `place`, once; whoever calls this holds `place.locked("serve")`."""
    written = Places.of(place).snapshots
    found = [presets for path in sorted(written.glob("*.cfg")) if (presets := _read(path)) is not None]
    if found:
        path = states.path(place)
        before = states.load(path)
        after = changed(before, found[0], found[-1], store, terms, tell)
        if after != before:
            states.save(path, after)
    shutil.rmtree(written, ignore_errors=True)


def changed(
    current: State,
    first: Mapping[Key, Preset],
    last: Mapping[Key, Preset],
    store: Path,
    terms: Terms,
    tell: Callable[[str], None],
) -> State:
    """The state with what a run of TorchServe began with and ended with. What it was never given stays as it is."""
    for model, version in first.keys() - last.keys():
        current = _unregistered(current, model, version, tell)
    for (model, version), preset in last.items():
        current = _with(current, model, version, preset, store, terms, tell)
    for (model, version), preset in last.items():
        begun = first.get((model, version))
        if begun is not None and begun.default:  # of the run, which may not have been given the one of the state
            continue
        if preset.default and version in current.models.get(model, states.Model("", {})).versions:
            current = current if current.models[model].default == version else current.set_default(model, version)
    return current


def _read(path: Path) -> Mapping[Key, Preset] | None:
    """One snapshot, or None for what TorchServe was writing when it was killed."""
    try:
        said = {entry.key: entry.value for entry in entries(decoded(path.read_bytes()))}
        return {(preset.model, preset.version): preset for preset in snapshot(said["model_snapshot"])}
    except (OSError, KeyError, ValueError, MalformedError):
        return None


def _unregistered(current: State, model: str, version: str, tell: Callable[[str], None]) -> State:
    if model not in current.models or version not in current.models[model].versions:
        return current
    plan = current.models[model].plan
    if plan and version in plan.versions:
        tell(f"The traffic plan of {model} is over: TorchServe has unregistered its version {version}.")
    return current.forgotten(model, version)


def _with(
    current: State, model: str, version: str, preset: Preset, store: Path, terms: Terms, tell: Callable[[str], None]
) -> State:
    numbers = {name: value for name in NUMBERS.values() if (value := getattr(preset, name)) is not None}
    most = max(numbers.get(name, 0) for name in WORKERS)
    if most > MAX_WORKERS:
        tell(f"TorchServe gave {model} {version} up to {most} workers. It has {MAX_WORKERS} from now on, the most here.")
        numbers |= {name: min(numbers[name], MAX_WORKERS) for name in WORKERS if name in numbers}
    known = current.models[model].versions.get(version) if model in current.models else None
    if known is not None:
        new = replace(known, **numbers)
        return current if new == known else current.replaced(model, version, new)
    try:
        # TorchServe has run it already, and our own engine asks again whether it may.
        found = registration.verified(preset.values, store, MAX_WORKERS, replace(terms, allow_handlers=True))
    except RequestError as refused:
        tell(f"{model} {version} was registered in TorchServe and is not kept: {refused}")
        return current
    return current.register(model, version, replace(found.version, **numbers))
