"""The management port: models are registered, scaled, described and split here. Knows TorchServe's paths and words.

What a change means is state.py's business, and how it reaches the serving processes is registry.py's.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from demlopment.errors import ArchiveError, DemlopmentError, NotReadyError, RequestError
from demlopment.serving import registration, traffic, wire
from demlopment.serving.description import PAGE, Worker, describe, page
from demlopment.serving.fleet import Fleet
from demlopment.serving.registration import boolean, integer
from demlopment.serving.registry import Registry
from demlopment.serving.state import MAX_WORKERS, State
from demlopment.serving.tally import Tally
from demlopment.serving.wire import Answer, ClientGoneError, Receive, Scope, Send

WORKING = "Processing worker updates..."


@dataclass(frozen=True)
class Call:
    """One request, parsed."""

    method: str
    query: Mapping[str, str]
    is_json: bool
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body. Raises RequestError if there is none."""
        try:
            values = json.loads(self.body)
        except (ValueError, RecursionError) as broken:
            raise RequestError(f"The body is not JSON ({broken}).", "Send a JSON object.") from broken
        if not isinstance(values, dict):
            raise RequestError("The body is not a JSON object.", "Send {...}.")
        return values


@dataclass(eq=False)
class Management:
    """The ASGI app of the management port."""

    registry: Registry
    fleet: Fleet
    store: Path
    tally: Tally
    max_request_bytes: int
    enable_model_api: bool
    tell: Callable[[str], None]
    closing: bool = False
    _background: set["asyncio.Task[None]"] = field(default_factory=set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, await wire.body(receive, self.max_request_bytes))
        except DemlopmentError as error:
            answer = wire.failure(error)
        except ClientGoneError:
            return
        self.tally.answered(answer.status)
        headers = dict(scope["headers"])
        await wire.reply(send, scope, answer, wire.request_id(headers), closing=self.closing)

    async def settle(self) -> None:
        """Wait for the changes that were accepted and not waited for."""
        await asyncio.gather(*self._background)

    async def _answer(self, scope: Scope, body: bytes) -> Answer:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        kind = dict(scope["headers"]).get(b"content-type", b"")
        call = Call(scope["method"], query, kind.lower().startswith(b"application/json"), body)
        match wire.segments(scope["path"]):
            case ["models"]:
                return await self._models(call)
            case ["models", name]:
                return await self._model(call, name, None)
            case ["models", name, "traffic"]:
                return await self._traffic(call, name)
            case ["models", name, version]:
                return await self._model(call, name, version)
            case ["models", name, version, "set-default"]:
                return await self._set_default(call, name, version)
            case []:
                raise wire.not_allowed()
            case _:
                raise wire.not_found()

    async def _models(self, call: Call) -> Answer:
        if call.method == "GET":
            limit, offset = integer(call.query, "limit", PAGE), integer(call.query, "next_page_token", 0)
            return wire.as_json(page(self.registry.state.models, limit, offset))
        if call.method == "POST" and self.enable_model_api:
            return await self._register(call)
        raise wire.not_allowed()

    async def _model(self, call: Call, name: str, version: str | None) -> Answer:
        if call.method == "GET":
            return self._describe(name, version)
        if call.method == "PUT":
            return await self._scale(call, name, version or call.query.get("model_version"))
        if call.method == "DELETE" and self.enable_model_api:
            await self.registry.change(lambda state: state.unregister(name, version))
            return wire.sentence(f'Model "{name}" unregistered')
        raise wire.not_allowed()

    async def _register(self, call: Call) -> Answer:
        values = {key: value for key, value in (call.document if call.is_json else call.query).items() if value is not None}
        new = await asyncio.to_thread(registration.verified, values, self.store, MAX_WORKERS)

        def edit(state: State) -> State:
            return state.register(new.name, new.number, new.version)

        workers = new.version.min_workers
        if workers and not boolean(values, "synchronous", default=True):
            return self._later(edit, self._start(edit, status=400, kind="InvalidModelException"))
        await self._start(edit, status=400, kind="InvalidModelException")
        advice = "" if workers else ". Use scale workers API to add workers for the model."
        return wire.sentence(f'Model "{new.name}" Version: {new.number} registered with {workers} initial workers{advice}')

    async def _scale(self, call: Call, name: str, version: str | None) -> Answer:
        low = integer(call.query, "min_worker", 1)
        high = integer(call.query, "max_worker", low)
        self.registry.state.version(name, version)
        if high < low:
            raise RequestError("max_worker cannot be less than min_worker.")
        if not 0 <= low <= MAX_WORKERS:
            raise RequestError(f"min_worker is {low}.", f"Ask for 0 to {MAX_WORKERS}.")

        def edit(state: State) -> State:
            return state.scale(name, version, low, high)

        # TorchServe's words say "null" for a version that the request did not name.
        sorry = f"Failed to start workers for model {name} version: {version or 'null'}"
        change = self._start(edit, status=500, kind="InternalServerException", words=sorry)
        if not boolean(call.query, "synchronous", default=False):
            return self._later(edit, change)
        await change
        return wire.sentence(f"Workers scaled to {low} for model: {name}" + (f", version: {version}" if version else ""))

    def _describe(self, name: str, version: str | None) -> Answer:
        state = self.registry.state
        everything = version == "all"
        chosen = list(state.model(name).versions.items()) if everything else [state.version(name, version)]
        return wire.as_json(
            [
                describe(name, number, each, self._workers(name, number), at_startup=(name, number) in self.registry.at_startup)
                for number, each in chosen
            ]
        )

    async def _set_default(self, call: Call, name: str, version: str) -> Answer:
        if call.method == "GET":
            return self._describe(name, version)
        if call.method != "PUT":
            raise wire.not_allowed()
        await self.registry.change(lambda state: state.set_default(name, version))
        return wire.sentence(f'Default version successfully updated for model "{name}" to "{version}"')

    async def _traffic(self, call: Call, name: str) -> Answer:
        plan = self.registry.state.model(name).plan
        if call.method == "PUT":
            new = traffic.plan_from(name, call.document)
            await self.registry.change(lambda state: state.split(new))
            return wire.as_json(asdict(new))
        if call.method not in ("GET", "DELETE"):
            raise wire.not_allowed()
        if plan is None:
            raise RequestError(f"Model {name} has no traffic plan.", status=404, kind="ResourceNotFoundException")
        if call.method == "DELETE":
            await self.registry.change(lambda state: state.unsplit(name))
            return wire.sentence(f'Traffic plan of model "{name}" removed')
        return wire.as_json(asdict(plan))

    def _workers(self, name: str, number: str) -> list[Worker]:
        return [
            Worker(slot.worker, slot.pid, slot.started, ready=True) for slot in self.fleet.slots if (name, number) in slot.held
        ]

    async def _start(self, edit: Callable[[State], State], *, status: int, kind: str, words: str = "") -> None:
        """Change the state, and say in TorchServe's words that a version could not be started."""
        try:
            await self.registry.change(edit)
        except (ArchiveError, NotReadyError) as failed:
            raise RequestError(words or str(failed), status=status, kind=kind) from failed

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
