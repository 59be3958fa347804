"""Which pools a state asks for: the archives of its handler versions, read and unpacked. Knows no process and no HTTP."""

import asyncio
from collections.abc import Mapping
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
    """Remembers what it has read, so that a change of one version opens one archive."""

    store: Path
    root: Path  # of unpacked archives
    settings: "Endpoint"
    _read: dict[tuple[Key, Version], Spec] = field(default_factory=dict)

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
        self._forget(state.served)
        return specs, failed

    def _spec(self, key: Key, version: Version) -> Spec:
        # Its numbers of workers change without its archive being read again.
        same = key, replace(version, min_workers=1, max_workers=1)
        if same not in self._read:
            self._read[same] = self._fresh(key, version)
        return replace(
            self._read[same], min_workers=version.min_workers, max_workers=max(version.min_workers, version.max_workers)
        )

    def _fresh(self, key: Key, version: Version) -> Spec:
        settings, limit = self.settings, self.settings.max_archive_bytes
        if not settings.allow_handlers:
            raise DemlopmentError("It has a Python handler, and handlers are not allowed.", "Set endpoint.allow_handlers.")
        foreign = manifest.read(
            self.store / version.file,
            limit,
            name=key[0],
            handler=version.handler,
            requirements=settings.allow_requirements,
            strict=settings.strict,
        )
        return Spec.of(key, version, foreign, manifest.unpack(foreign, self.root, limit), settings)

    def _forget(self, served: Mapping[Key, Version]) -> None:
        self._read = {same: spec for same, spec in self._read.items() if same[0] in served}
