"""The endpoint: three ports, the serving processes and the state, from start to the last answer. Knows no path.

This process answers management and metrics and never a prediction, so a model that takes its process down leaves the
supervisor to replace it. However this process ends, the serving processes notice and leave.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Sequence
from socket import socket
from typing import TYPE_CHECKING

import uvloop

from demlopment import home as homes
from demlopment.home import Home
from demlopment.serving import addresses, heap, state, stopping, tally
from demlopment.serving.addresses import Addresses
from demlopment.serving.chronicle import Chronicle
from demlopment.serving.configuration import startup
from demlopment.serving.configuration.properties import Configuration
from demlopment.serving.fleet import Fleet
from demlopment.serving.guard import Guard
from demlopment.serving.handlers.hall import Hall
from demlopment.serving.handlers.roster import Roster
from demlopment.serving.http import tls, wire
from demlopment.serving.http.limits import Limits
from demlopment.serving.http.server import Server
from demlopment.serving.launch import Launch
from demlopment.serving.management import Management
from demlopment.serving.metrics import Metrics, Processor, observe_host
from demlopment.serving.models import Models
from demlopment.serving.ramps import Ramps
from demlopment.serving.registration import Terms
from demlopment.serving.registry import Registry, Staff
from demlopment.serving.seclusion import seclude
from demlopment.serving.tally import Tally
from demlopment.serving.tokens import KeyFile
from demlopment.serving.torchserve import snapshots
from demlopment.serving.vitals import Vitals

if TYPE_CHECKING:  # a serving process imports this package too, and has no use for the settings' 20 MB
    from demlopment.settings import Endpoint

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # between two looks at the counters: what a killed process counted since then is in no metric


def serve(
    home: Home,
    settings: "Endpoint",
    *,
    leash: bool,
    ready: Callable[[Addresses], None],
    configuration: Configuration | None = None,
) -> None:
    """Serve what the state of `home` names until SIGTERM, SIGINT or, on a `leash`, the end of standard input.

    What `settings.load_models` and the snapshot of a TorchServe `configuration` name is registered first.
    Calls `ready` once, when every process has loaded everything and the ports accept. Returns when everything that was
    asked has been answered and no process is left.
    Raises   HomeError if the home is in use or cannot be written, SettingsError for a port or an address that cannot be
             had, NotReadyError if a serving process dies before it answers.
    """
    with homes.explained(home.endpoint):
        home.endpoint.mkdir(parents=True, exist_ok=True)
    configured = configuration or Configuration({})
    terms = Terms.of(settings, configured.presets)
    with home.locked("serve"):
        snapshots.bring_back(home, settings.model_store or home.models, terms, _say)
        startup.prepare(home, settings, configured.snapshot, terms, _say)
        heap.keep()
        uvloop.run(_serve(home, settings, terms, leash=leash, ready=ready))


async def _serve(home: Home, settings: "Endpoint", terms: Terms, *, leash: bool, ready: Callable[[Addresses], None]) -> None:
    if settings.allow_handlers:
        seclude()
    stop = stopping.asked(leash=leash)
    with addresses.listening(home, settings) as listeners:
        await Supervisor(home, settings, terms, listeners).run(stop, ready)


class Supervisor:
    """Everything of one endpoint but the serving processes themselves."""

    def __init__(self, home: Home, settings: "Endpoint", terms: Terms, listeners: Sequence[socket]) -> None:
        inference, management, metrics = listeners
        self._home = home
        self._tally = Tally()  # of this process: the answers of its two ports, and the machine
        self._processor = Processor()
        launch = Launch.of(home, settings)
        context, limits = tls.context(launch.certificate_file, launch.private_key_file), Limits.of(launch)
        self._addresses = Addresses(*(addresses.url(each, secure=context is not None) for each in listeners))
        unpacked = home.endpoint / "handlers"
        self._hall = Hall(unpacked, _say, settings.unregister_timeout)
        self._fleet = Fleet(inference, launch, self._hall.attend, Once(_say), lambda breach: self._ramps.heard(breach))
        self._guard = Guard(KeyFile(home, settings), self._fleet.permit)
        staff = Staff(self._fleet, self._hall, Roster(launch.model_store, unpacked, settings))
        self._registry = Registry(state.path(home), staff, settings.processes)
        self._vitals = Vitals(launch, self._registry, self._fleet, self._hall)
        chronicle = Chronicle(home.endpoint / "traffic.jsonl", _say)
        self._ramps = Ramps(self._registry, self._fleet, self._hall, chronicle, _say)
        self._models = Models(self._registry, self._fleet, self._hall, launch.model_store, settings, terms, chronicle, _say)
        self._manager = Management(self._models, self._guard, self._tally, settings)
        self._management = Server(self._manager, management, limits=limits, context=context)
        cors = wire.cors(settings.cors_allowed_origin, settings.cors_allowed_methods, settings.cors_allowed_headers)
        scraped = Metrics(self._collect, self._tally, self._guard, strict=settings.strict, cors=cors)
        self._metrics = Server(scraped, metrics, limits=limits, context=context)
        self._measured = settings.enable_metrics_api

    async def run(self, stop: asyncio.Event, ready: Callable[[Addresses], None]) -> None:
        """From the first process to the last answer."""
        try:
            await self._fleet.permit(self._guard.open())
            if await stopping.unless(stop, self._registry.start(_say)):
                await self._management.start()
                if self._measured:
                    await self._metrics.start()
                with addresses.announced(self._home, self._addresses):
                    ready(self._addresses)
                    await self._look_until(stop)
        finally:
            self._manager.closing = True
            await self._management.drain()
            await self._models.settle()
            await self._ramps.settle()
            await self._fleet.drain()
            await self._registry.drain()
            await self._metrics.drain()
            self._guard.close()

    async def _collect(self) -> Tally:
        observe_host(self._tally, self._home.root, self._processor)
        answered = await self._fleet.collect()
        return tally.total([answered, self._hall.collect(), self._tally, await self._vitals.look(answered)])

    async def _look_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            counted = await self._fleet.collect()
            try:
                await self._ramps.look(counted)
            except Exception:  # a bug of ours in a canary must not take the endpoint down
                log.exception("The canaries could not be looked at")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)


class Once:
    """Says a sentence the first time only: every process finds the same archive broken."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: set[str] = set()

    def __call__(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._tell(sentence)


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # a log on a full disk: what was to be told goes on all the same
        print(sentence, file=sys.stderr, flush=True)
