"""The state in force, and the one way to change it: tried out, written down, put in force. Knows no HTTP."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from demlopment.errors import ArchiveError, DemlopmentError
from demlopment.serving import state as states
from demlopment.serving.fleet import Fleet
from demlopment.serving.slot import Key
from demlopment.serving.state import State, Version


class Registry:
    """Changes come one after another; each reaches every serving process, or none and not the disk either."""

    def __init__(self, path: Path, fleet: Fleet, processes: int) -> None:
        self.state = states.load(path)
        self.at_startup = frozenset(_versions(self.state))
        self._path, self._fleet, self._processes = path, fleet, processes
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Bring up the processes with what earlier runs registered."""
        await self._fleet.start(self.state, self._count(self.state))

    async def change(self, edit: Callable[[State], State]) -> None:
        """Put `edit` of the state in force; when this returns it is on disk and every process answers by it.

        Raises what `edit` raises, ArchiveError if a version it touches cannot be served, NotReadyError if a process does
        not start, and HomeError if the state cannot be written. Nothing has changed then.
        """
        async with self._lock:
            new = edit(self.state)
            try:
                await self._try(new)
                states.save(self._path, new)
            except DemlopmentError:
                await self._fleet.load(self.state)  # lets go of what was prepared
                await self._fleet.resize(self._count(self.state))
                raise
            self.state = new
            await self._fleet.load(new)
            await self._fleet.resize(self._count(new))

    async def _try(self, new: State) -> None:
        failed = await self._fleet.prepare(new)
        before, after = _versions(self.state), _versions(new)
        for key, reason in failed.items():
            # An archive that was broken before does not stand in the way of other models.
            if key not in self._fleet.failed or before.get(key) != after.get(key):
                raise ArchiveError(reason, "")
        if self._count(new) > len(self._fleet.slots):
            await self._fleet.resize(self._count(new))

    def _count(self, state: State) -> int:
        return max(self._processes, state.workers)


def _versions(state: State) -> dict[Key, Version]:
    return {(name, number): version for name, model in state.models.items() for number, version in model.versions.items()}
