"""A TorchServe's models brought into a home: archives copied, versions registered. Knows its files; starts nothing."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from demlopment import home as homes
from demlopment.home import Home
from demlopment.serving import state as states
from demlopment.serving.configuration import startup
from demlopment.serving.configuration.snapshot import Preset
from demlopment.serving.fetch import Rules
from demlopment.serving.registration import Terms
from demlopment.serving.state import State, Version

Key = tuple[str, str]  # model, version


@dataclass(frozen=True)
class Source:
    """What a TorchServe serves, by its files."""

    store: Path
    snapshot: tuple[Preset, ...] = ()
    load_models: str = ""


@dataclass(frozen=True)
class Migration:
    """What has come over, or would."""

    before: State
    after: State
    lacking: tuple[str, ...]  # versions or files that could not be brought over

    @property
    def brought(self) -> dict[Key, Version]:
        """The versions that were not here before."""
        return {key: version for key, version in self.after.versions.items() if key not in self.before.versions}


def migrate(place: Home, store: Path, source: Source, terms: Terms, tell: Callable[[str], None], *, dry: bool) -> Migration:
    """Bring a TorchServe's models into the home and the model store `store`; what is here stays as it is.

    Each archive is verified before anything is written, copied whole, and only then registered, all at once: a second run goes
    on where one was killed. With `dry` nothing is written. Raises HomeError where an endpoint uses the home.
    """
    terms = replace(terms, fetching=Rules())  # an archive that TorchServe had fetched lies in its store
    if dry:
        return _planned(states.load(states.path(place)), store, source, terms, tell)
    with homes.explained(place.endpoint):
        place.endpoint.mkdir(parents=True, exist_ok=True)
    with place.locked("serve"):
        found = _planned(states.load(states.path(place)), store, source, terms, tell)
        for version in found.brought.values():
            _copy(source.store / version.file, store / version.file)
        if found.after != found.before:
            states.save(states.path(place), found.after)
        return found


def _planned(before: State, store: Path, source: Source, terms: Terms, tell: Callable[[str], None]) -> Migration:
    after = startup.with_models(before, source.snapshot, source.load_models, source.store, terms, tell)
    for (model, number), version in after.versions.items():
        if (model, number) in before.versions:
            continue
        if not _same(source.store / version.file, store / version.file):
            tell(f"{model} {number} is not brought over: {store / version.file} is another file of that name.")
            after = after.forgotten(model, number)
    after = _with_defaults(before, after, source.snapshot, tell)
    return Migration(before, after, tuple(startup.lacking(after, source.snapshot, source.load_models, source.store)))


def _with_defaults(before: State, after: State, snapshot: tuple[Preset, ...], tell: Callable[[str], None]) -> State:
    for preset in snapshot:
        if not preset.default or preset.model not in after.models:
            continue
        here = after.models[preset.model].default
        if here == preset.version:
            continue
        if preset.model in before.models or preset.version not in after.models[preset.model].versions:
            tell(f"{preset.model} answers with {here} here by default, and with {preset.version} there.")
        else:
            after = after.set_default(preset.model, preset.version)
    return after


def _same(source: Path, target: Path) -> bool:
    """Whether a file may be copied there: nothing is there, or the same."""
    if not target.exists() or source.resolve() == target.resolve():
        return True
    return _content(source) == _content(target)


def _content(path: Path) -> dict[str, bytes]:
    if not path.is_dir():
        return {"": path.read_bytes()}
    return {str(each.relative_to(path)): each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        return
    if source.is_dir():
        with homes.new_folder(target) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
        return
    partial = target.with_name(f"{target.name}{homes.ending()}")
    with homes.explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
