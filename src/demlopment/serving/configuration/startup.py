"""Models that are registered before the endpoint starts: `load_models`, and a TorchServe snapshot. Knows no process."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demlopment.errors import RequestError
from demlopment.home import PARTIAL, Home, sweep
from demlopment.serving import registration, state
from demlopment.serving.configuration.snapshot import Preset
from demlopment.serving.registration import Registration, Terms
from demlopment.serving.state import MAX_WORKERS, State

if TYPE_CHECKING:
    from demlopment.settings import Endpoint

WORKERS = 1  # of a model that nobody said more about; TorchServe starts one for each core
ENDINGS = (".mar", ".tar.gz")  # of what "all" loads; folders, too


def prepare(place: Home, settings: "Endpoint", snapshot: tuple[Preset, ...], terms: Terms, tell: Callable[[str], None]) -> None:
    """Register in the state of `place` what is not registered yet, and `tell` what could not be.

    Stays in the state, like what a client registers. Whoever calls this holds `place.locked("serve")`.
    """
    path, store = state.path(place), settings.model_store or place.models
    sweep(store.glob(f"*{PARTIAL}"))  # of downloads that were interrupted; the store may lie outside the home
    before = state.load(path)
    after = with_models(before, snapshot, settings.load_models, store, terms, tell)
    if after != before:
        state.save(path, after)


def with_models(
    current: State, snapshot: tuple[Preset, ...], load_models: str, store: Path, terms: Terms, tell: Callable[[str], None]
) -> State:
    """The state with what a snapshot and `load_models` name, as far as it can be read; what cannot is told."""
    return _loaded(_restored(current, snapshot, store, terms, tell), load_models, store, terms, tell)


def lacking(current: State, snapshot: tuple[Preset, ...], load_models: str, store: Path) -> list[str]:
    """What they name and the state does not have: "model version" of a snapshot, else the file."""
    presets = [f"{each.model} {each.version}" for each in snapshot if not _has(current, each.model, each.version)]
    files = [str(values["url"]) for values in wanted(load_models, store) if not _registered(current, values)]
    return presets + files


def _loaded(current: State, load_models: str, store: Path, terms: Terms, tell: Callable[[str], None]) -> State:
    for path in _others(load_models, store):
        tell(f"{path.name} is not loaded: it is no folder and no {' or '.join(ENDINGS)} file.")
    for values in wanted(load_models, store):
        if _registered(current, values):
            continue
        new = _verified(values, store, terms, tell)
        if new is not None and not _has(current, new.name, new.number):
            current = current.register(new.name, new.number, _with_workers(new, terms).version)
    return current


def wanted(load_models: str, store: Path) -> Iterator[dict[str, Any]]:
    """What `load_models` names, as a client would register it: "all", or "a.mar,name=b.mar,name=https://..."."""
    if _everything(load_models):
        yield from ({"url": path.name} for path in _shown(store) if _loadable(path))
        return
    for part in (part.strip() for part in load_models.split(",")):
        if part:
            name, equals, url = part.partition("=")
            # A URL may have an equals sign of its own, in its query.
            yield {"url": url, "model_name": name} if equals and "/" not in name else {"url": part}


def _others(load_models: str, store: Path) -> list[Path]:
    """What "all" leaves out."""
    return [path for path in _shown(store) if not _loadable(path)] if _everything(load_models) else []


def _everything(load_models: str) -> bool:
    return load_models.strip().lower() == "all"


def _shown(store: Path) -> list[Path]:
    """What lies in the store, except what is hidden there, as upstream."""
    return [path for path in sorted(store.glob("*")) if not path.name.startswith(".")]


def _loadable(path: Path) -> bool:
    return path.is_dir() or path.name.endswith(ENDINGS)


def _restored(current: State, snapshot: tuple[Preset, ...], store: Path, terms: Terms, tell: Callable[[str], None]) -> State:
    for preset in snapshot:  # a model's default comes first, and so becomes it here
        if _has(current, preset.model, preset.version):
            continue
        new = _verified(preset.values, store, terms, tell)
        if new is None:
            continue
        if new.number != preset.version:
            tell(f"{preset.file} is version {new.number}, and the snapshot says {preset.version}: it is not loaded.")
            continue
        version = replace(new.version, max_workers=max(new.version.min_workers, preset.max_workers or 0))
        current = current.register(new.name, new.number, version)
    return current


def _verified(values: Mapping[str, Any], store: Path, terms: Terms, tell: Callable[[str], None]) -> Registration | None:
    try:
        new = registration.verified(values, store, MAX_WORKERS, terms)
    except RequestError as refused:
        tell(f"{values['url']} is not loaded: {refused}")
        return None
    for note in new.notes:
        tell(note)
    return new


def _with_workers(new: Registration, terms: Terms) -> Registration:
    preset = next((each for each in terms.presets if (each.model, each.version) == (new.name, new.number)), None)
    low = new.version.min_workers or WORKERS
    high = low
    if preset is not None and preset.min_workers is not None:
        low = min(preset.min_workers, MAX_WORKERS)
        high = min(max(low, preset.max_workers or 0), MAX_WORKERS)
    return replace(new, version=replace(new.version, min_workers=low, max_workers=high))


def _registered(current: State, values: Mapping[str, Any]) -> bool:
    """Whether an earlier run has registered the same, so that a URL is not fetched again."""
    return any(
        version.url == values["url"] and values.get("model_name", name) == name
        for name, model in current.models.items()
        for version in model.versions.values()
    )


def _has(current: State, name: str, number: str) -> bool:
    return name in current.models and number in current.models[name].versions
