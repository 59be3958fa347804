"""What the calls of the management port do to models, and TorchServe's sentences for it. Knows no path and no HTTP header.

What a change means is state.py's business, and how it reaches the serving processes and workers is registry.py's.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demlopment import archive
from demlopment.errors import ArchiveError, DemlopmentError, NotReadyError, RequestError
from demlopment.serving import arms, canaries, plans, registration
from demlopment.serving.chronicle import Chronicle
from demlopment.serving.description import PAGE, Queue, Worker, describe, page
from demlopment.serving.fleet import Fleet
from demlopment.serving.handlers.hall import Hall
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer
from demlopment.serving.registration import Registration, Terms, boolean, integer
from demlopment.serving.registry import Registry
from demlopment.serving.slot import Key
from demlopment.serving.state import MAX_WORKERS, State, Version

if TYPE_CHECKING:
    from demlopment.settings import Endpoint

WORKING = "Processing worker updates..."


@dataclass(eq=False)
class Models:
    """The registered models of one endpoint. Every verb returns the answer for its client, or raises RequestError."""

    registry: Registry
    fleet: Fleet
    hall: Hall
    store: Path
    settings: "Endpoint"
    terms: Terms
    chronicle: Chronicle
    tell: Callable[[str], None]
    _background: set["asyncio.Task[None]"] = field(default_factory=set)

    async def settle(self) -> None:
        """Wait for the changes that were accepted and not waited for."""
        await asyncio.gather(*self._background)

    def page(self, query: Mapping[str, str]) -> Answer:
        limit, offset = integer(query, "limit", PAGE), integer(query, "next_page_token", 0)
        return wire.as_json(page(self.registry.state.models, limit, offset, strict=self.settings.strict))

    async def register(self, values: Mapping[str, Any], *, is_json: bool) -> Answer:
        """Serve an archive under a name and a version. Nothing is left of one that cannot be started, unless strict."""
        said = {name: value for name, value in values.items() if value is not None}
        new = await asyncio.to_thread(registration.verified, said, self.store, MAX_WORKERS, self.terms, is_json=is_json)
        for note in new.notes:
            self.tell(note)

        def edit(state: State) -> State:
            return state.register(new.name, new.number, new.version)

        workers = new.version.min_workers
        change = self._registered(edit, new)
        if workers and not boolean(said, "synchronous", default=True):
            return self._later(edit, change)
        await change
        advice = "" if workers else ". Use scale workers API to add workers for the model."
        return wire.sentence(f'Model "{new.name}" Version: {new.number} registered with {workers} initial workers{advice}')

    async def scale(self, query: Mapping[str, str], name: str, version: str | None) -> Answer:
        low = integer(query, "min_worker", 1)
        high = integer(query, "max_worker", low)
        self.registry.state.version(name, version)
        if high < low:
            raise RequestError("max_worker cannot be less than min_worker.")
        if not 0 <= low <= MAX_WORKERS:
            raise RequestError(f"min_worker is {low}.", f"Ask for 0 to {MAX_WORKERS}.")
        if high > MAX_WORKERS:
            raise RequestError(f"max_worker is {high}.", f"Ask for {low} to {MAX_WORKERS}.")

        def edit(state: State) -> State:
            return state.scale(name, version, low, high)

        # TorchServe's words say "null" for a version that the request did not name.
        change = self._start(edit, f"Failed to start workers for model {name} version: {version or 'null'}")
        if not boolean(query, "synchronous", default=False):
            return self._later(edit, change)
        await change
        await self._settled((name, self.registry.state.version(name, version)[0]), version)
        return wire.sentence(f"Workers scaled to {low} for model: {name}" + (f", version: {version}" if version else ""))

    async def describe(self, name: str, version: str | None, query: Mapping[str, str]) -> Answer:
        """One version, or every one under the name `all`; `customized` adds what a model says of itself."""
        state = self.registry.state
        chosen = list(state.model(name).versions.items()) if version == "all" else [state.version(name, version)]
        described = []
        for number, each in chosen:
            workers, at_startup = self._workers(name, number), (name, number) in self.registry.at_startup
            described.append(describe(name, number, each, workers, self._queue(name, number, each), at_startup=at_startup))
            if boolean(query, "customized", default=False):
                described[-1]["customizedMetadata"] = await self._customized(name, number, each)
        return wire.as_json(described)

    async def set_default(self, name: str, version: str) -> Answer:
        await self.registry.change(lambda state: state.set_default(name, version))
        return wire.sentence(f'Default version successfully updated for model "{name}" to "{version}"')

    async def unregister(self, name: str, version: str | None) -> Answer:
        number, gone = self.registry.state.version(name, version)
        await self.registry.change(lambda state: state.unregister(name, version))
        self._discard(gone)
        if not await self.hall.gone((name, number)):
            raise RequestError(f"Timed out while cleaning resources: {name}", status=408, kind="RequestTimeoutException")
        return wire.sentence(f'Model "{name}" unregistered')

    def ready(self, name: str) -> Answer:
        """KServe's readiness of a model."""
        number, _ = self.registry.state.version(name)
        return wire.as_json({"name": name, "ready": bool(self._workers(name, number))})

    async def split(self, name: str, values: Mapping[str, Any]) -> Answer:
        """Put a plan in force; with `replaces` only if the one that it replaces is the one that the client has seen."""
        plan, expected = plans.plan_from(name, values), plans.replaced(values)
        await asyncio.to_thread(arms.refuse_unlike, plan, self.registry.state.model(name).versions, self.store)
        # Other changes come first, and may take a minute: what is answered meanwhile is none of this plan's.
        await self.registry.change(lambda state: state.split(replace(plan, since=time.time()), expected))
        return self._plan_was("begun", name)

    async def steer(self, name: str, command: str, query: Mapping[str, str]) -> Answer:
        """Pause, resume or abort the canary of the plan in force; with `number` only if the plan in force has it."""
        number = plans.numbered(query)
        await self.registry.change(lambda state: state.steer(name, number, canaries.COMMANDS[command], time.time()))
        return self._plan_was(command, name)

    def plan(self, name: str) -> Answer:
        return wire.as_json(plans.plan_shown(self.fleet.state.plan(name)))

    async def unsplit(self, name: str) -> Answer:
        plan = self.fleet.state.plan(name)
        await self.registry.change(lambda state: state.unsplit(name))
        self.chronicle.write("ended", plan)
        return wire.sentence(f'Traffic plan of model "{name}" removed')

    def _plan_was(self, event: str, name: str) -> Answer:
        self.chronicle.write(event, self.fleet.state.plan(name))
        return self.plan(name)

    def _workers(self, name: str, number: str) -> Sequence[Worker]:
        return self.hall.workers((name, number)) or [
            Worker(slot.worker, slot.pid, slot.started, ready=True) for slot in self.fleet.slots if (name, number) in slot.held
        ]

    def _queue(self, name: str, number: str, version: Version) -> Queue:
        waiting = version.kind == "handler" and version.served
        return Queue(*self.hall.queue((name, number))) if waiting else Queue(version.job_queue_size, 0)

    async def _customized(self, name: str, number: str, version: Version) -> dict[str, Any]:
        if not self._workers(name, number):
            raise RequestError(
                f'Model "{name}" has no worker to serve describe request. Please use scale workers API to add workers.',
                status=503,
                kind="ServiceUnavailableException",
            )
        if version.kind == "handler":
            return await self.hall.describe((name, number))
        if version.kind == "remote":
            return {"upstream": version.url}
        try:
            card = (await asyncio.to_thread(archive.read, self.store / version.file)).card
        except ArchiveError as broken:
            raise RequestError(self._public(broken), status=500, kind="InternalServerException") from broken
        return {"classes": list(card.classes), "scores": dict(card.scores), "lineage": dict(card.lineage)}

    async def _registered(self, edit: Callable[[State], State], new: Registration) -> None:
        sorry = f"Failed to start workers for model {new.name} version: {new.number}"
        try:
            # A network that cannot be loaded is a bad archive; whether a handler starts depends on more than its archive.
            await self._start(edit, sorry, client=new.version.kind == "onnx" and not self.settings.strict)
            await self._complete(new, sorry)
        except RequestError as failed:
            if self.settings.strict and failed.status >= 500:
                idle = replace(new.version, min_workers=0, max_workers=0)
                await self.registry.change(lambda state: state.register(new.name, new.number, idle))
            else:
                self._discard(new.version)
            raise

    def _discard(self, version: Version) -> None:
        """Remove the file of a version that is not registered, unless another one is of the same file."""
        if all(each.file != version.file for each in self.registry.state.versions.values()):
            registration.discard(version, self.store)

    async def _complete(self, new: Registration, sorry: str) -> None:
        """Wait for the other workers of a handler that has started; without one of them nothing stays registered."""
        reason = await self.hall.settled((new.name, new.number))
        if reason:
            with contextlib.suppress(RequestError):  # somebody else was quicker
                await self.registry.change(lambda state: state.unregister(new.name, new.number))
                await self.hall.gone((new.name, new.number))
            raise self._failed(sorry, reason)

    async def _settled(self, key: Key, version: str | None) -> None:
        """Wait for the other workers of a handler; raise RequestError if one cannot start."""
        reason = await self.hall.settled(key)
        if reason:
            raise self._failed(f"Failed to start workers for model {key[0]} version: {version or 'null'}", reason)

    async def _start(self, edit: Callable[[State], State], sorry: str, *, client: bool = False) -> None:
        """Change the state, and say in TorchServe's words, with the reason after them, that a version could not be started.

        With `client` an archive that is wrong is called so.
        """
        try:
            await self.registry.change(edit)
        except (ArchiveError, NotReadyError) as failed:
            if client and isinstance(failed, ArchiveError):
                raise RequestError(self._public(failed), status=400, kind="InvalidModelException") from failed
            raise self._failed(sorry, self._public(failed)) from failed

    def _public(self, error: DemlopmentError) -> str:
        """What went wrong, without the place of the model store on this machine."""
        return str(error).replace(f"{self.store}/", "")

    def _failed(self, sorry: str, reason: str) -> RequestError:
        status = 507 if reason.startswith("MemoryError") else 500
        return RequestError(
            sorry if self.settings.strict else f"{sorry}. {reason}", status=status, kind="InternalServerException"
        )

    def _later(self, edit: Callable[[State], State], change: Coroutine[Any, Any, None]) -> Answer:
        try:
            edit(self.registry.state)  # what is wrong already is said at once
        except RequestError:
            change.close()
            raise
        task = asyncio.create_task(self._watched(change))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return wire.sentence(WORKING, 202)

    async def _watched(self, change: Coroutine[Any, Any, None]) -> None:
        try:
            await change
        except DemlopmentError as failed:
            self.tell(f"A change that was accepted could not be made: {failed}")
