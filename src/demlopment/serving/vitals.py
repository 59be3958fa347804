"""How the endpoint itself is, as its supervisor sees it when somebody scrapes: no request pays for it. Knows no format.

What is in force is told anew each time, so a version or a canary that is gone leaves no series behind.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from demlopment import __version__
from demlopment.home import Home
from demlopment.records import CanaryState
from demlopment.serving import layout, monitors, segments
from demlopment.serving.description import resident_bytes
from demlopment.serving.families import FAMILIES, OURS
from demlopment.serving.fleet import Fleet
from demlopment.serving.handlers.hall import Hall
from demlopment.serving.launch import Launch
from demlopment.serving.registry import Registry
from demlopment.serving.state import Model, State
from demlopment.serving.tally import Tally

ANSWERS = {"2xx": "Requests2XX", "4xx": "Requests4XX", "5xx": "Requests5XX"}  # by the status that we tell it under
UNLABELLED = [each.name for each in FAMILIES if each.kind == "counter" and not each.labels and each.name.startswith(OURS)]


@dataclass(eq=False)
class Vitals:
    """Looks after one endpoint. Counters begin at 0: what appears with its first count has not grown for Prometheus."""

    launch: Launch
    registry: Registry
    fleet: Fleet
    hall: Hall
    now: Callable[[], float] = time.time
    began: float = field(default_factory=time.time)  # seconds since 1970

    async def look(self, answered: Tally) -> Tally:
        """What can be seen now; `answered` is what the serving processes have counted."""
        tally = Tally()
        for name in UNLABELLED:
            tally.add(name, amount=0.0)
        for status, name in ANSWERS.items():
            tally.add("demlopment_inference_answers_total", status, amount=answered.counters.get((name, "Host"), 0.0))
        tally.gauge("demlopment_info", __version__, value=1.0)
        tally.gauge("demlopment_started_timestamp_seconds", value=self.began)
        self._processes(tally)
        self._handlers(tally)
        plans(self.fleet.state, tally, self.now())
        await asyncio.to_thread(self._files, tally, self.registry.state)  # a slow disk keeps nobody else waiting
        return tally

    def _processes(self, tally: Tally) -> None:
        running = [slot for slot in self.fleet.slots if slot.running]
        tally.gauge("demlopment_serving_processes", value=len(running))
        tally.gauge("demlopment_serving_processes_wanted", value=len(self.fleet.slots))
        for slot in running:
            tally.gauge("demlopment_serving_memory_bytes", slot.worker, value=resident_bytes(slot.pid))
        tally.gauge("demlopment_connections_limit", value=self.launch.max_connections)
        tally.gauge("demlopment_versions_failed", value=len(self.registry.failed))

    def _handlers(self, tally: Tally) -> None:
        for key, version in self.registry.state.served.items():
            if version.kind == "handler":
                room, waiting = self.hall.queue(key)
                tally.gauge("demlopment_handler_waiting", *key, value=waiting)
                tally.gauge("demlopment_handler_room", *key, value=room)
                tally.add("demlopment_worker_restarts_total", *key, amount=0.0)
                tally.add("demlopment_handler_metrics_dropped_total", *key, amount=0.0)

    def _files(self, tally: Tally, state: State) -> None:
        for key, version in state.served.items():
            if version.kind == "remote":
                continue
            with contextlib.suppress(OSError):  # gone from the store, and served from memory all the same
                written = (self.launch.model_store / version.file).stat().st_mtime
                tally.gauge("demlopment_archive_timestamp_seconds", *key, value=written)
        home = Home(self.launch.home)
        monitors.tell(home, state.served, tally)
        journal(home.endpoint / "journal", tally, self.now())
        tally.gauge("demlopment_journal_limit_bytes", value=self.launch.journal_max_mb * 1e6)


def plans(state: State, tally: Tally, at: float) -> None:
    """Who answers the requests that name no version `at` a time (seconds since 1970), and how the canaries are."""
    for name, model in state.models.items():
        for (version, arm), share in _shares(model, at).items():
            tally.gauge("demlopment_traffic_share", name, version, arm, value=share)
        for shadow in model.plan.shadows if model.plan is not None else ():
            tally.add("demlopment_shadows_dropped_total", name, shadow, amount=0.0)
            tally.add("demlopment_shadows_failed_total", name, shadow, amount=0.0)
        if model.plan is not None and model.plan.canary is not None:
            for each in get_args(CanaryState):
                found = float(each == model.plan.canary.state)
                tally.gauge("demlopment_canary_state", name, model.plan.treatments[0].version, each, value=found)


def journal(folder: Path, tally: Tally, at: float) -> None:
    """How large the journal is, and how far the lake is behind it."""
    waiting, oldest = segments.waiting(folder, len(layout.FIRST_LINE))
    tally.gauge("demlopment_journal_bytes", value=segments.size(folder))
    tally.gauge("demlopment_journal_waiting_bytes", value=waiting)
    tally.gauge("demlopment_journal_lag_seconds", value=0.0 if oldest is None else max(at - oldest, 0.0))


def _shares(model: Model, at: float) -> Mapping[tuple[str, str], float]:
    plan = model.plan
    if plan is None:
        return {(model.default, "direct"): 1.0}
    if not plan.runs(at):
        return {(plan.control, "direct"): 1.0}
    treatments = {(each.version, "treatment"): each.share for each in plan.treatments}
    return {(plan.control, "control"): max(1 - sum(treatments.values()), 0.0), **treatments}
