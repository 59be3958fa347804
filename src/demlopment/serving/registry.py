"""The state in force, and the one way to change it: tried out, written down, put in force. Knows no HTTP."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demlopment.errors import ArchiveError, DemlopmentError, HomeError
from demlopment.serving import state as states
from demlopment.serving.fleet import Fleet
from demlopment.serving.handlers.hall import Hall
from demlopment.serving.handlers.roster import Roster
from demlopment.serving.handlers.spec import Spec
from demlopment.serving.slot import Key
from demlopment.serving.state import State


@dataclass(frozen=True)
class Staff:
    """Who answers: serving processes with networks, and workers with Python handlers."""

    fleet: Fleet
    hall: Hall
    roster: Roster


class Registry:
    """Changes come one after another; each reaches every serving process and worker, or none and not the disk either."""

    def __init__(self, path: Path, staff: Staff, processes: int) -> None:
        self.state = states.load(path).awake(time.time())
        self.at_startup = frozenset(self.state.versions)
        self._path, self._processes = path, processes
        self._fleet, self._hall, self._roster = staff.fleet, staff.hall, staff.roster
        self._broken: dict[Key, str] = {}  # handlers in force whose archive cannot be read
        self._lock = asyncio.Lock()

    @property
    def failed(self) -> dict[Key, str]:
        """What should be served and cannot be, with the reason."""
        return self._broken | self._hall.failed | self._fleet.failed

    async def start(self, tell: Callable[[str], None]) -> None:
        """Bring up workers and processes with what earlier runs registered; what cannot be served is told."""
        if self.state != states.load(self._path):
            with contextlib.suppress(HomeError):  # a full disk: it is in force, and the next change writes it down
                states.save(self._path, self.state)
        specs, self._broken = await self._roster.specs(self.state)
        failed = self._broken | await self._hall.prepare(specs.values())
        for (model, version), reason in failed.items():
            tell(f"{model} {version} is registered and cannot be served: {reason}")
        await self._hall.switch(specs.values())
        await self._fleet.start(self.state, self._count(self.state))

    async def change(self, edit: Callable[[State], State]) -> None:
        """Put `edit` of the state in force; when this returns it is on disk and everybody answers by it.

        Workers beyond a version's first may still be starting, and those of a version that went may still be answering.
        Raises what `edit` raises, ArchiveError if a version it touches cannot be served, NotReadyError if a process does
        not start, and HomeError if the state cannot be written. Nothing has changed then.
        """
        async with self._lock:
            new = edit(self.state)
            specs, broken = await self._roster.specs(new)
            try:
                await self._try(new, specs, broken)
                states.save(self._path, new)
            except DemlopmentError:
                await self._let_go()
                raise
            self.state, self._broken = new, broken
            await self._fleet.load(new)
            await self._hall.switch(specs.values())
            await self._fleet.resize(self._count(new))
            await self._hall.release(self._roster.forget(new))

    async def drain(self) -> None:
        """Answer what handlers have been asked, end every worker, and remove the folders of their archives."""
        await self._hall.drain()
        await self._hall.release(self._roster.forget(State()))

    async def _try(self, new: State, specs: dict[Key, Spec], broken: dict[Key, str]) -> None:
        failed = broken | await self._hall.prepare(specs.values()) | await self._fleet.prepare(new)
        known = self.failed
        before, after = self.state.versions, new.versions
        for key, reason in failed.items():
            # An archive that was broken before does not stand in the way of other models.
            if key not in known or before.get(key) != after.get(key):
                raise ArchiveError(reason, "")
        if self._count(new) > len(self._fleet.slots):
            await self._fleet.resize(self._count(new))

    async def _let_go(self) -> None:
        """Go on with the state in force, without what was prepared for another."""
        specs, _ = await self._roster.specs(self.state)
        await self._hall.prepare(specs.values())
        await self._fleet.load(self.state)
        await self._fleet.resize(self._count(self.state))
        await self._hall.release(self._roster.forget(self.state))

    def _count(self, state: State) -> int:
        return max(self._processes, state.workers)
