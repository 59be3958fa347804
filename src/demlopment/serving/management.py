"""The management port: models are registered, scaled, described and split here. Knows paths and methods; models.py does it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from demlopment.errors import DemlopmentError, RequestError
from demlopment.serving import canaries, openapi
from demlopment.serving.guard import Guard
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer, ClientGoneError, Receive, Scope, Send
from demlopment.serving.models import Models
from demlopment.serving.tally import Tally

if TYPE_CHECKING:
    from demlopment.settings import Endpoint


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

    models: Models
    guard: Guard
    tally: Tally
    settings: "Endpoint"
    closing: bool = False

    def __post_init__(self) -> None:
        settings = self.settings
        self._always = wire.cors(settings.cors_allowed_origin, settings.cors_allowed_methods, settings.cors_allowed_headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            body = await wire.body(receive, self.settings.max_request_bytes, headers)
            answer = await self._answer(scope, headers, body)
        except DemlopmentError as error:
            answer = wire.failure(error, strict=self.settings.strict)
        except ClientGoneError:
            return
        self.tally.answered(answer.status)
        request_id = wire.request_id(headers, strict=self.settings.strict)
        await wire.reply(send, answer, request_id, closing=self.closing, always=self._always)

    async def _answer(self, scope: Scope, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        query = dict(reversed(pairs))  # of a parameter that comes twice TorchServe takes the first
        kind = headers.get(b"content-type", b"")
        call = Call(scope["method"], query, kind.lower().startswith(b"application/json"), body)
        path = wire.segments(scope["path"])
        if path == ["api-description"] or (not path and call.method == "OPTIONS"):
            return wire.as_json(openapi.document("management", strict=self.settings.strict))
        if path == ["token"] and self.guard.required:
            await self.guard.rotate(query.get("type"), headers)
            return Answer(200, b"\n", (wire.JSON_TYPE,))
        self.guard.admit("management", call.method, scope["path"], headers)
        return await self._routed(call, path)

    async def _routed(self, call: Call, path: list[str]) -> Answer:
        match path:
            case ["models"]:
                return await self._all(call)
            case ["models", name, *_] if call.method == "OPTIONS":
                self.models.registry.state.model(name)
                return wire.as_json(openapi.model_document(name, "management", strict=self.settings.strict))
            case ["models", name]:
                return await self._one(call, name, None)
            case ["models", name, "traffic"]:
                return await self._traffic(call, name)
            case ["models", name, "traffic", command] if command in canaries.COMMANDS and call.method == "PUT":
                return await self.models.steer(name, command, call.query)
            case ["models", name, version]:
                return await self._one(call, name, version)
            case ["models", name, version, "set-default"]:
                return await self._set_default(call, name, version)
            case ["v1", "models", name] if call.method == "GET":
                return self.models.ready(name)
            case [] | ["v1", "models", _]:
                raise wire.not_allowed()
            case _:
                raise wire.not_found()

    async def _all(self, call: Call) -> Answer:
        if call.method == "GET":
            return self.models.page(call.query)
        if call.method == "POST" and self.settings.enable_model_api:
            return await self.models.register(call.document if call.is_json else call.query, is_json=call.is_json)
        raise wire.not_allowed()

    async def _one(self, call: Call, name: str, version: str | None) -> Answer:
        if call.method == "GET":
            return await self.models.describe(name, version, call.query)
        if call.method == "PUT":
            return await self.models.scale(call.query, name, version or call.query.get("model_version"))
        if call.method == "DELETE" and self.settings.enable_model_api:
            return await self.models.unregister(name, version)
        raise wire.not_allowed()

    async def _set_default(self, call: Call, name: str, version: str) -> Answer:
        if call.method == "GET":
            return await self.models.describe(name, None, call.query)  # as upstream: the default version, whichever is named
        if call.method != "PUT":
            raise wire.not_allowed()
        return await self.models.set_default(name, version)

    async def _traffic(self, call: Call, name: str) -> Answer:
        self.models.registry.state.model(name)  # said first: without the model no plan is right
        if call.method == "PUT":
            return await self.models.split(name, call.document)
        if call.method == "GET":
            return self.models.plan(name)
        if call.method == "DELETE":
            return await self.models.unsplit(name)
        raise wire.not_allowed()
