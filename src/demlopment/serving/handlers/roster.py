"""Which pools a state asks for: the archives of its handler versions, read and unpacked. Knows no process and no HTTP."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from demlopment.errors import DemlopmentError
from demlopment.serving.handlers import manifest
from demlopment.serving.handlers.spec import Key, Spec
from demlopment.serving.state import State, Version

if TYPE_CHECKING:
    from demlopment.settings import Endpoint


@dataclass(eq=False)
class Roster:
    """Remembers what it has read, so that a change of one version opens one archive, until it is told to forget."""

    store: Path
    root: Path  # of unpacked archives
    settings: "Endpoint"
    _read: dict[tuple[Key, Version], "Unpacked"] = field(default_factory=dict)

    async def specs(self, state: State) -> tuple[dict[Key, Spec], dict[Key, str]]:
        """One spec for each handler version that is served, and the reason for each that cannot have one."""
        specs: dict[Key, Spec] = {}
        failed: dict[Key, str] = {}
        for key, version in state.served.items():
            if version.kind == "handler":
                try:
                    specs[key] = await asyncio.to_thread(self._spec, key, version)
                except DemlopmentError as error:
                    failed[key] = str(error)
        return specs, failed

    def forget(self, state: State) -> list[Path]:
        """Forget the versions that `state` does not have. The folders that nothing here needs any more."""
        dropped = [self._read.pop(same) for same in self._read.keys() - {_known_by(*each) for each in state.versions.items()}]
        kept = {unpacked.digest for unpacked in self._read.values()}
        packages = [manifest.installed(each.digest, self.root) for each in dropped if each.digest not in kept]
        return [*(each.spec.folder for each in dropped), *packages]

    def _spec(self, key: Key, version: Version) -> Spec:
        same = _known_by(key, version)
        if same not in self._read:
            self._read[same] = self._fresh(key, version)
        return replace(
            self._read[same].spec, min_workers=version.min_workers, max_workers=max(version.min_workers, version.max_workers)
        )

    def _fresh(self, key: Key, version: Version) -> "Unpacked":
        settings, limit = self.settings, self.settings.max_archive_bytes
        if not settings.allow_handlers:
            raise DemlopmentError("It has a Python handler, and handlers are not allowed.", "Set endpoint.allow_handlers.")
        foreign = manifest.read(
            self.store / version.file,
            limit,
            name=key[0],
            handler=version.handler,
            packages=manifest.packages(settings),
            strict=settings.strict,
        )
        return Unpacked(Spec.of(key, version, foreign, manifest.unpack(foreign, self.root, limit), settings), foreign.digest)


@dataclass(frozen=True)
class Unpacked:
    """A version that can be started, and the SHA-256 of its archive."""

    spec: Spec
    digest: str


def _known_by(key: Key, version: Version) -> tuple[Key, Version]:
    """What a registration is known by: its numbers of workers change without its archive being read again."""
    return key, replace(version, min_workers=1, max_workers=1)
