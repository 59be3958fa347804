"""The inference port: models, feedback, health. Knows paths and answers; networks, handlers and the journal do the work."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from demlopment.errors import DemlopmentError, NotReadyError, RequestError
from demlopment.records import Prediction
from demlopment.serving import forms, kserve, openapi, paths
from demlopment.serving.batching import Batching
from demlopment.serving.calls import Field, Handlers, RecalledError
from demlopment.serving.engine import Engine, Route
from demlopment.serving.foreign import Foreign
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer, ClientGoneError, Receive, Request, Scope, Send, Whole
from demlopment.serving.journal import Journal
from demlopment.serving.launch import Launch
from demlopment.serving.paths import Target
from demlopment.serving.predictions import Predictions, is_small
from demlopment.serving.remote import Remotes
from demlopment.serving.tally import Tally
from demlopment.serving.tokens import Permits
from demlopment.serving.truth import Truth
from demlopment.serving.units import Asker

MISSPELT = "extenst" + "ion"  # TorchServe's own, in two parts for whoever checks our spelling
TORCHSERVE = {"name": "Torchserve", "version": "0.12.0", MISSPELT: ["kserve", "kubeflow"]}

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Inference:
    """The ASGI app of one serving process."""

    engine: Engine
    journal: Journal
    tally: Tally
    batching: Batching
    launch: Launch
    handlers: Handlers | None = None
    permits: Permits = field(default_factory=Permits)
    now: Callable[[], float] = time.time
    closing: bool = False  # this process is being stopped: each answer is the last on its connection

    def __post_init__(self) -> None:
        launch = self.launch
        self._strict = launch.strict
        self._always = wire.cors(launch.cors_allowed_origin, launch.cors_allowed_methods, launch.cors_allowed_headers)
        self._truth = Truth(self.engine, self.journal, self.tally, self.now)
        self._predictions = Predictions(self.batching, self.tally, launch.strict)
        self.remotes = Remotes(launch.max_connections)
        shadows = self.batching.shadows
        self._foreign = Foreign(self.handlers, self.remotes, self.journal, self.tally, shadows, launch.strict, self.now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        request_id = wire.request_id(headers, strict=self._strict)
        try:
            # The body is read before anything is refused: closing on unread bytes would reset the connection under the answer.
            body = await wire.body(receive, self.launch.max_request_bytes, headers)
            self._admit(scope, headers)
            request = Request(scope["method"], scope["query_string"], headers, body, request_id, receive, _address(scope))
            parts = wire.segments(scope["path"])
            target = paths.target(parts)
            answer = await (self._elsewhere(parts, request) if target is None else self._model(request, target))
        except DemlopmentError as error:
            answer = self._failure(error, scope["path"])
        except ClientGoneError:
            return
        self.tally.answered(answer.status)
        try:
            await wire.reply(send, answer, request_id, closing=self.closing, always=self._always)
        except (DemlopmentError, ClientGoneError):
            return  # half of a stream has left, and the connection ends there: nobody takes it for the whole

    def direct(self, asked: Whole) -> bool:
        """Answer a network's prediction for a raw body without a task; whatever else it is, or is wrong, is left to a task."""
        scope = asked.scope
        target = paths.asked(scope["path"])
        if target is None or target.model is None or (target.verb, target.dialect) != ("predict", "torchserve"):
            return False
        headers, body = dict(scope["headers"]), asked.body
        small = len(body) <= self.launch.max_request_bytes and is_small(body)
        plain = scope["method"] != "OPTIONS" and small and not forms.is_form(headers)
        request_id = wire.request_id(headers, strict=self._strict)
        try:
            self._admit(scope, headers)
            asker = Asker(headers, scope["query_string"], _address(scope))
            route = self.engine.route(target.model, target.version, asker, request_id)
        except DemlopmentError:
            return False
        network = route.network
        if network is None or not plain:
            return False

        def told(outcome: Prediction | DemlopmentError) -> None:
            try:
                if isinstance(outcome, Prediction):
                    answer = self._predictions.said(outcome, headers, network)
                else:
                    answer = self._refused(outcome, scope["path"])
            except Exception:  # a bug of ours: its client must not wait for ever
                log.exception("The request %s was not answered", request_id)
                answer = wire.excuse()
            self.tally.answered(answer.status)
            asked.finish(answer, request_id, closing=self.closing, always=self._always)

        self.tally.add("ts_inference_requests_total", target.model, route.asked)
        self.batching.ask(route, request_id, body, told)
        return True

    def _refused(self, error: DemlopmentError, path: str) -> Answer:
        return self._failure(self._predictions.refusal(error) if isinstance(error, RequestError) else error, path)

    def _admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        if self.permits.required:
            self.permits.refuse("inference", scope["method"], scope["path"], headers, self.now())

    async def _elsewhere(self, parts: list[str], request: Request) -> Answer:
        """What no model answers."""
        match parts:
            case ["ping", *_]:
                return wire.sentence("Healthy")
            case ["ready"] if not self._strict:
                return await self._readiness()
            case ["feedback"] if request.method == "POST":
                return self._truth.record(request.body)
            case ["feedback"]:
                raise wire.not_allowed("POST")
            case ["v2", *rest] if self.launch.open_inference_protocol:
                return self._torchserves_v2(rest) if self._strict else await self._v2(rest)
            case ["wfpredict", name, *_]:
                raise RequestError(f"Workflow not found: {name}", status=404, kind="WorkflowNotFoundException")
            case _:
                return self._description(parts, request.method)

    def _description(self, parts: list[str], method: str) -> Answer:
        if parts == ["api-description"] or (not parts and method == "OPTIONS"):
            return wire.as_json(openapi.document("inference", strict=self._strict))
        raise wire.not_found() if parts else wire.not_allowed("OPTIONS")

    async def _model(self, request: Request, target: Target) -> Answer:
        if target.dialect == "kserve-v2" and target.version is not None and (self._strict or not self._speaks_v2):
            return self._no_versions()
        name = await self._named(request) if target.model is None else target.model
        if request.method == "OPTIONS":
            self.engine.registered(name, target.version)
            return wire.as_json(openapi.model_document(name, strict=self._strict))
        asker = Asker(request.headers, request.query, request.client, await self._fields(name, request))
        route = self.engine.route(name, target.version, asker, request.id)
        self.tally.add("ts_inference_requests_total", name, route.asked)
        while True:
            try:
                return await self._answered(request, target, route)
            except RecalledError as back:
                anew = self.engine.route(name, target.version, asker, request.id)
                route = self.engine.spared(anew) if back.broken else anew

    async def _answered(self, request: Request, target: Target, route: Route) -> Answer:
        if route.network is not None:
            return await self._predictions.answer(request, target, route, route.network)
        if route.remote is not None and self.permits.required:  # our token is no other server's business
            kept = {name: value for name, value in request.headers.items() if name != b"authorization"}
            request = replace(request, headers=kept)
        return await self._foreign.answer(request, target, route)

    async def _fields(self, name: str, request: Request) -> Sequence[Field]:
        """Of the request's form, where the traffic plan may find its unit there."""
        if self.engine.asks_for_fields(name) and forms.is_form(request.headers):
            return await forms.fields(request.headers, request.body)
        return ()

    async def _named(self, request: Request) -> str:
        """The model that the query or a form names; without a name, the only one there is."""
        fields = forms.query(request.query)
        if forms.is_form(request.headers):
            fields += await forms.fields(request.headers, request.body)
        names = [str(field.content, errors="replace") for field in fields if field.name == "model_name"]
        if names and names[0]:
            return names[0]
        if len(self.engine.models) != 1:
            raise RequestError("Parameter model_name is required.")
        return next(iter(self.engine.models))

    @property
    def _speaks_v2(self) -> bool:
        return self.launch.open_inference_protocol and not self._strict

    def _failure(self, error: DemlopmentError, path: str) -> Answer:
        answer = wire.failure(error, strict=self._strict)
        if not self._speaks_v2 or answer.bare or wire.segments(path)[:1] != ["v2"]:
            return answer
        return wire.as_json({"error": wire.message(error)}, answer.status)

    async def _v2(self, parts: list[str]) -> Answer:
        """The Open Inference Protocol, but for its questions to a model."""
        match parts:
            case []:
                return wire.as_json(kserve.server_metadata())
            case ["health", "live"]:
                return wire.as_json({"live": True})
            case ["health", "ready"]:
                trouble = await self._trouble()
                return wire.as_json({"ready": trouble is None}, 503 if trouble else 200)
            case ["models", name]:
                return self._metadata(name, None)
            case ["models", name, "versions", version]:
                return self._metadata(name, version)
            case ["models", name, "ready"]:
                return self._model_readiness(name, None)
            case ["models", name, "versions", version, "ready"]:
                return self._model_readiness(name, version)
            case _:
                raise wire.not_found()

    def _torchserves_v2(self, parts: list[str]) -> Answer:
        match parts:
            case []:
                return wire.as_json(TORCHSERVE)
            case ["health", "live"]:
                return wire.as_json({"live": True})
            case ["health", "ready"]:
                return wire.as_json({"ready": True})
            case ["models", _, "versions", *_]:
                return self._no_versions()
            case _:
                raise wire.not_found()

    def _no_versions(self) -> Answer:
        if not self.launch.open_inference_protocol:
            raise wire.not_found()
        return wire.as_json({"error": "Model versioning is not yet supported."}, 501)

    def _metadata(self, name: str, version: str | None) -> Answer:
        network = self.engine.route(name, version, Asker({}), "").network
        served = [number for number, each in self.engine.models[name].versions.items() if each.served]
        classes, columns = (None, ()) if network is None else (network.classes, network.columns)
        return wire.as_json(kserve.model_metadata(name, sorted(served), classes, columns))

    def _model_readiness(self, name: str, version: str | None) -> Answer:
        self.engine.registered(name, version)
        try:
            self.engine.route(name, version, Asker({}), "")
        except RequestError:
            return wire.as_json({"name": name, "ready": False}, 503)
        return wire.as_json({"name": name, "ready": True})

    async def _readiness(self) -> Answer:
        """Whether this process wants traffic; `/ping` only says that it is alive."""
        trouble = await self._trouble()
        if trouble is not None:
            raise trouble
        return wire.sentence("Ready")

    async def _trouble(self) -> NotReadyError | None:
        if self.closing:
            return NotReadyError("This process is stopping.", "Try again.")
        if self.journal.failing:
            self.journal.probe()
        if self.journal.failing:
            return NotReadyError("The journal cannot be written.", "Free some space on its disk.")
        relied_on = self.engine.relied_on
        unwell = await self.remotes.trouble(relied_on) if relied_on else ""
        return NotReadyError(f"An upstream is not well: {unwell}", "Start it.") if unwell else None


def _address(scope: Scope) -> str:
    """The client's, "" where it came through a socket file."""
    client = scope.get("client")
    return str(client[0]) if client else ""
