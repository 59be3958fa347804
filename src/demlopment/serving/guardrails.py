"""Whether a canary keeps its guardrails, as one serving process sees it. Knows answers; changes no traffic.

Each guardrail is a mean that has a limit, and gamblers bet against it (betting.py): so all of them together cost a canary that
keeps them its traffic with a chance of at most alpha, although they are looked at after every answer. The bound is for
requests that are independent; of a user who sends one picture a thousand times nobody can say more than that the control
answers them, too.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from demlopment.archive import Answering
from demlopment.betting import Evidence
from demlopment.records import Feedback, Guardrails, Prediction, TrafficPlan

MOST_CLASSES = 100  # of a handler's labels, whose number nobody knows: later ones count together
WAITING = 64  # answers of an arm that have nothing to be compared with yet
REMEMBERED = 10_000  # answers whose label may come
LEAST = 1e-4  # a limit of nothing: against less, no bet would be finite
SLOWER = 3  # times as long as the control's

Floats = npt.NDArray[np.float64]


class Breach(NamedTuple):
    """A guardrail that a canary has broken."""

    model: str
    number: int  # of the plan
    reason: str


class Rail(NamedTuple):
    """One mean that is watched."""

    limit: float
    lowest: float  # that an outcome can be
    reason: str  # what is wrong where it is above


@dataclass(eq=False)
class Watch:
    """What one process has seen of the canary of one plan; `broken` is told of the first breach, once."""

    plan: TrafficPlan
    answering: Mapping[str, Answering]  # how each version's answers are accepted; nothing of a handler
    classes: tuple[str, ...]  # of a network; a handler's are learnt from what it says
    processes: int  # that watch as well; may change
    broken: Callable[[Breach], None]
    answered: int = 0  # by the canary
    _controls: deque[tuple[Prediction, float]] = field(default_factory=lambda: deque(maxlen=WAITING))
    _canaries: deque[tuple[Prediction, float]] = field(default_factory=lambda: deque(maxlen=WAITING))
    _said: dict[str, Prediction] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)  # set once nobody is to meet the canary any more

    def __post_init__(self) -> None:
        assert self.plan.canary is not None, "only a canary is watched"
        self.rails = self.plan.canary.guardrails
        self._names = {name: place for place, name in enumerate(self.classes)}
        room = len(self.classes) or MOST_CLASSES
        rows = _rails(self.rails, room, self.classes)
        self._rows = {key: place for place, key in enumerate(rows)}
        self._reasons = [rail.reason for rail in rows.values()]
        self._evidence = Evidence([max(rail.limit, LEAST) for rail in rows.values()], [rail.lowest for rail in rows.values()])

    def answer(self, prediction: Prediction, milliseconds: float) -> None:
        """An arm has answered; its own work took so long."""
        canary = prediction.arm == "treatment"
        (self._canaries if canary else self._controls).append((prediction, milliseconds))
        if canary:
            self.answered += 1
            self._remember(prediction)
        seen = {"errors": 0.0} if canary else {}
        if self._canaries and self._controls:
            seen |= self._compared(*self._canaries.popleft(), *self._controls.popleft())
        self._see(seen)

    def fail(self) -> None:
        """The canary has not answered, and it is not the client's fault."""
        self.answered += 1
        self._see({"errors": 1.0})

    def agree(self, told: Prediction, control: Prediction) -> None:
        """What the control says of a picture that the canary has answered."""
        self._see({"disagreement": float(told.label != control.label)})

    def learn(self, feedback: Feedback) -> None:
        """A label has come back, perhaps for an answer of the canary in this process."""
        told = self._said.pop(feedback.request_id, None)
        if told is not None:
            self._see({"overconfidence": _confidence(told) - float(told.label == feedback.label)})

    def _remember(self, prediction: Prediction) -> None:
        if self.rails.overconfidence is not None and len(prediction.probabilities):
            self._said[prediction.request_id] = prediction._replace(image=None)
            if len(self._said) > REMEMBERED:
                del self._said[next(iter(self._said))]

    def _compared(self, canary: Prediction, took: float, control: Prediction, usual: float) -> dict[str, float]:
        """Any two answers, one of each arm."""
        seen = {"slow": float(took > SLOWER * usual + self.rails.slow_ms)}
        given, expected = self._class(canary), self._class(control)
        for name in (*self._names.values(), given, expected) if not self.classes else self._names.values():
            difference = float(name == given) - float(name == expected)
            seen[f"more {name}"], seen[f"less {name}"] = difference, -difference
        if self.answering:
            difference = float(self._accepted(control)) - float(self._accepted(canary))
            seen["abstained"], seen["accepted"] = difference, -difference
        return seen

    def _class(self, prediction: Prediction) -> int:
        if prediction.label not in self._names and len(self._names) < MOST_CLASSES - 1 and not self.classes:
            self._names[prediction.label] = len(self._names)
        return self._names.get(prediction.label, MOST_CLASSES - 1)

    def _accepted(self, prediction: Prediction) -> bool:
        return self.answering[prediction.version].accepts(prediction)

    def _see(self, seen: Mapping[str, float]) -> None:
        known = {self._rows[key]: value for key, value in seen.items() if key in self._rows}
        if self.over.is_set() or not known:
            return
        outcomes = np.full(len(self._rows), np.nan)
        outcomes[list(known)] = list(known.values())
        self._evidence.see(outcomes)
        wealth = self._evidence.log_wealth()
        worst = int(wealth.argmax())
        if wealth[worst] >= log(len(self._rows) * self.processes / self.rails.alpha):
            self.over.set()
            self.broken(Breach(self.plan.model, self.plan.number, f"{self._reasons[worst]}, after {self.answered} requests"))


def _rails(rails: Guardrails, room: int, classes: tuple[str, ...]) -> dict[str, Rail]:
    """Every mean that is watched, by name."""
    found: dict[str, Rail] = {}
    if rails.errors is not None:
        found["errors"] = Rail(rails.errors, 0, f"more than {rails.errors:.1%} of its requests failed")
    if rails.slow is not None:
        text = f"more than {rails.slow:.0%} of its answers took over {SLOWER} times the control's and {rails.slow_ms:g} ms"
        found["slow"] = Rail(rails.slow, 0, text)
    for name in range(room) if rails.classes is not None else ():
        assert rails.classes is not None
        which = f"class {classes[name]}" if classes else "one label"
        for side in ("more", "less"):
            reason = f"it says {which} {side} often than the control, by over {rails.classes:.0%} of all answers"
            found[f"{side} {name}"] = Rail(rails.classes, -1, reason)
    if rails.abstained is not None:
        for key, side in (("abstained", "more"), ("accepted", "fewer")):
            reason = f"it leaves {side} answers to a human than the control, by over {rails.abstained:.0%} of all"
            found[key] = Rail(rails.abstained, -1, reason)
    if rails.disagreement is not None:
        reason = f"the control reads over {rails.disagreement:.0%} of its pictures otherwise"
        found["disagreement"] = Rail(rails.disagreement, 0, reason)
    if rails.overconfidence is not None:
        reason = f"its confidence is over {rails.overconfidence:.0%} above the share that is right"
        found["overconfidence"] = Rail(rails.overconfidence, -1, reason)
    return found


def _confidence(prediction: Prediction) -> float:
    return float(prediction.probabilities.max())
