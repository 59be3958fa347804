"""Move canaries on, and take their traffic away. Knows the state and what processes say; knows no request.

Times are those of a clock that nobody can set. What cannot be written down is in force all the same, and tried again.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from demlopment.errors import DemlopmentError, RequestError
from demlopment.records import Canary, TrafficPlan
from demlopment.serving import canaries
from demlopment.serving.chronicle import Chronicle
from demlopment.serving.description import resident_bytes
from demlopment.serving.fleet import Fleet
from demlopment.serving.guardrails import Breach
from demlopment.serving.handlers.hall import Hall
from demlopment.serving.registry import Registry
from demlopment.serving.state import State
from demlopment.serving.tally import Tally

MOST_LATE = 5  # looks in a row at which a serving process was too busy to say anything: about ten seconds
MB = 2**20


@dataclass(eq=False)
class Stand:
    """Where a canary stood when it was first seen there."""

    plan: TrafficPlan
    since: float  # of the clock
    answered: float  # requests, since the endpoint began
    restarts: int  # of serving processes, likewise
    memory: dict[int, int] = field(default_factory=dict)  # bytes of each process when it was first seen

    @property
    def canary(self) -> Canary:
        assert self.plan.canary is not None, "only canaries stand somewhere"
        return self.plan.canary


@dataclass(eq=False)
class Ramps:
    """The canaries of one endpoint."""

    registry: Registry
    fleet: Fleet
    hall: Hall
    chronicle: Chronicle
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _stands: dict[str, Stand] = field(default_factory=dict)
    _restarts: int = 0  # of serving processes, at the last look: who dies before the first look at a canary counts
    _owed: dict[tuple[str, int], Breach] = field(default_factory=dict)  # that could not be written down
    _ending: set["asyncio.Task[None]"] = field(default_factory=set)

    def heard(self, breach: Breach) -> None:
        """A serving process has stopped a canary: so shall all others."""
        task = asyncio.create_task(self._end(breach))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def look(self, counted: Tally) -> None:
        """Move on what has stood long enough, and end what a process pays for; called about once a second."""
        for breach in list(self._owed.values()):
            await self._end(breach)
        plans = {name: model.plan for name, model in self.registry.state.models.items() if model.plan}
        for name, plan in plans.items():
            if plan.canary is None or plan.canary.state not in canaries.SERVED:
                self._stands.pop(name, None)
                continue
            answered = counted.counters.get(("demlopment_predictions_total", name, plan.treatments[0].version, "treatment"), 0)
            stand = self._stands.get(name)
            if stand is None or stand.plan != plan:
                stand = self._stands[name] = self._stand(plan, answered, stand)
            trouble = self._trouble(stand)
            if trouble:
                await self._end(Breach(name, plan.number, trouble))
            elif self._is_due(stand, answered):
                await self._move(plan)
        self._restarts = self.fleet.restarts

    async def settle(self) -> None:
        """Wait for the ends that were heard of."""
        await asyncio.gather(*self._ending)

    def _stand(self, plan: TrafficPlan, answered: float, before: Stand | None) -> Stand:
        """At its next step a canary is still compared with what there was when it began."""
        if before is None or before.plan.number != plan.number:
            return Stand(plan, self.clock(), answered, self._restarts)
        return replace(before, plan=plan, since=self.clock(), answered=answered)

    def _trouble(self, stand: Stand) -> str:
        """What no answer shows, "" if nothing is wrong."""
        if self.fleet.restarts > stand.restarts:
            return "a serving process died while it answered"
        if any(slot.late >= MOST_LATE for slot in self.fleet.slots):
            return f"a serving process said nothing for {MOST_LATE} looks while it answered"
        limit = stand.canary.guardrails.memory_mb
        for pid in self._pids(stand.plan) if limit is not None else ():
            assert limit is not None
            held = resident_bytes(pid)
            more = (held - stand.memory.setdefault(pid, held)) / MB
            if more > limit:
                return f"process {pid} takes {more:.0f} MB more than when it began, over {limit:g} MB"
        return ""

    def _pids(self, plan: TrafficPlan) -> Sequence[int]:
        workers = self.hall.workers((plan.model, plan.treatments[0].version))
        return [worker.pid for worker in workers] or [slot.pid for slot in self.fleet.slots]

    def _is_due(self, stand: Stand, answered: float) -> bool:
        canary = stand.canary
        waited = self.clock() - stand.since >= canary.dwell and answered - stand.answered >= canary.requests
        return canary.state == "ramping" and waited

    async def _move(self, plan: TrafficPlan) -> None:
        try:
            await self._steer(plan.model, plan.number, canaries.advanced)
        except RequestError:
            return  # somebody else was quicker
        except DemlopmentError as failed:
            self.tell(f"The canary of model {plan.model} stays where it is: {failed}")
            return
        self._say(plan.model, "moved on")

    async def _end(self, breach: Breach) -> None:
        breach = self._owed.get((breach.model, breach.number), breach)  # the first reason is the reason
        await self.fleet.stop(breach.model, breach.number)
        try:
            await self._steer(breach.model, breach.number, partial(canaries.rolled_back, reason=breach.reason))
        except RequestError:  # a second process has said so, or the plan is another
            self._owed.pop((breach.model, breach.number), None)
            return
        except DemlopmentError as failed:
            key = breach.model, breach.number
            new, self._owed[key] = key not in self._owed, breach  # before it is told: a log on the same disk may be full, too
            if new:
                self.tell(f"The canary of model {breach.model} was stopped ({breach.reason}), not yet on disk: {failed}")
            return
        self._owed.pop((breach.model, breach.number), None)
        self._say(breach.model, "rolled back")

    async def _steer(self, model: str, number: int, command: Callable[[TrafficPlan], TrafficPlan]) -> None:
        def edit(state: State) -> State:
            return state.steer(model, number, command, self.now())

        await self.registry.change(edit)

    def _say(self, model: str, event: str) -> None:
        plan = self.registry.state.model(model).plan
        if plan is not None and plan.canary is not None:
            because = f": {plan.canary.reason}" if plan.canary.reason else ""
            (treatment,) = plan.treatments
            self.tell(f"Canary {treatment.version} of model {model} {event}, its share is {treatment.share:g}{because}.")
            self.chronicle.write(event, plan)
