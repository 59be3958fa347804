"""All serving processes, answering by one state. Knows how many there are; knows no path and no HTTP."""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from demlopment.serving import addresses, tally
from demlopment.serving.launch import Launch
from demlopment.serving.slot import Attend, Heard, Key, Slot, Tell
from demlopment.serving.state import State
from demlopment.serving.tally import Tally
from demlopment.serving.tokens import Permits

FIRST_WORKER = 9000  # TorchServe names its workers by port, from here up


@dataclass(eq=False)
class Fleet:
    """Starts empty; `first` is a shared listening socket on the inference port, which the first process gets."""

    first: socket.socket
    launch: Launch
    attend: Attend
    tell: Tell
    heard: Heard
    slots: list[Slot] = field(default_factory=list)
    _state: State = field(default_factory=State)
    _stopped: set[tuple[str, int]] = field(default_factory=set)  # models with the number of a plan whose canary is over
    _permits: Permits = field(default_factory=Permits)
    _past: Tally = field(default_factory=Tally)  # of processes that were retired
    _restarts: int = 0  # of those

    @property
    def state(self) -> State:
        """What every process answers by: the generation in force, but for canaries whose end is not written down yet."""
        return self._state.without(self._stopped)

    @property
    def failed(self) -> dict[Key, str]:
        """What the state serves and some process could not load, with the reason."""
        return _together(slot.failed for slot in self.slots)

    async def start(self, state: State, count: int) -> None:
        """Bring up `count` processes. Raises NotReadyError if one dies before it answers."""
        self._state = state
        await self.resize(count)

    async def prepare(self, state: State) -> dict[Key, str]:
        """What any process could not load of a generation that is not in force yet.

        The first tries alone: a network that kills or stops it shall not do so to all of them.
        """
        first, *others = self.slots
        failed = await first.prepare(state)
        return failed or _together(await asyncio.gather(*(slot.prepare(state) for slot in others)))

    async def load(self, state: State) -> None:
        """Put a generation in force: when this returns, every process answers by it."""
        self._state = state
        self._stopped &= {(name, model.plan.number) for name, model in state.models.items() if model.plan}
        await asyncio.gather(*(slot.load(state) for slot in self.slots))

    async def permit(self, permits: Permits) -> None:
        """Let in, from now on, whoever has one of these tokens."""
        self._permits = permits
        await asyncio.gather(*(slot.permit() for slot in self.slots))

    async def stop(self, model: str, number: int) -> None:
        """Let nobody meet the canary of that plan any more, before that is written down; nor from a successor."""
        self._stopped.add((model, number))
        await asyncio.gather(*(slot.stop(model, number) for slot in self.slots))

    @property
    def restarts(self) -> int:
        """Serving processes that died and were replaced."""
        return self._restarts + sum(slot.restarts for slot in self.slots)

    async def resize(self, count: int) -> None:
        """Add or retire processes until there are `count`. Raises NotReadyError, with the old count, if one does not start."""
        new = [self._slot(number) for number in range(len(self.slots), count)]
        self.slots += new
        outcomes = await asyncio.gather(*(slot.up() for slot in new), return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if errors:
            await self._retire(new)
            raise errors[0]
        await self._retire(self.slots[count:])

    async def drain(self) -> None:
        """Retire all of them."""
        await self._retire(list(self.slots))

    async def collect(self) -> Tally:
        """Everything that was counted since the start, in all lives of all processes."""
        await asyncio.gather(*(slot.collect() for slot in self.slots))
        everything = tally.total([self._past, *(each for slot in self.slots for each in (slot.past, slot.tally))])
        everything.add("demlopment_process_restarts_total", amount=self.restarts)
        return everything

    def _slot(self, number: int) -> Slot:
        listener = self.first if number == 0 else addresses.beside(self.first)
        return Slot(str(FIRST_WORKER + number), listener, self.launch, self._current, self.attend, self.tell, self.heard)

    def _current(self) -> tuple[State, Permits]:
        return self.state, self._permits

    async def _retire(self, slots: list[Slot]) -> None:
        await asyncio.gather(*(slot.retire() for slot in slots))
        for slot in slots:
            self.slots.remove(slot)
            self._past = tally.total([self._past, slot.past, slot.tally])
            self._restarts += slot.restarts


def _together(failures: Iterable[dict[Key, str]]) -> dict[Key, str]:
    return {key: reason for each in failures for key, reason in each.items()}
