"""Where a candidate meets the traffic: what a turn asks of an endpoint, and one that runs. Decides nothing."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Protocol

from demlopment.errors import NotReadyError
from demlopment.home import Home
from demlopment.lifecycle import observe
from demlopment.lifecycle.observe import Traffic
from demlopment.lifecycle.rollout import Rollout
from demlopment.records import TrafficPlan
from demlopment.serving import running


class Floor(Protocol):
    """An endpoint, or what plays one in memory."""

    def plan(self) -> TrafficPlan | None:
        """The traffic plan in force, None where none is."""
        ...

    def split(self, plan: TrafficPlan, replaces: int) -> None:
        """Put a plan in force in place of the one with that number, 0 for none."""
        ...

    def resume(self, number: int) -> None:
        """Let the canary of that plan go on that a restart has halted."""
        ...

    def traffic(self, since: float) -> Traffic:
        """What was answered since a time (seconds since 1970), and the labels that came back."""
        ...


class Live:
    """The endpoint that runs in a home."""

    def __init__(self, home: Home, rollout: Rollout, model: str) -> None:
        self.home = home
        self.rollout = rollout
        self.model = model

    def plan(self) -> TrafficPlan | None:
        registered = observe.registered(self.home, self.model)
        return None if registered is None else registered.plan

    def split(self, plan: TrafficPlan, replaces: int) -> None:
        self.rollout.split(plan, replaces=replaces)

    def resume(self, number: int) -> None:
        self.rollout.resume(self.model, number)

    def traffic(self, since: float) -> Traffic:
        return observe.journalled(self.home, self.model, since)


@contextmanager
def live(home: Home, model: str) -> Iterator[Live]:
    """The endpoint that runs in this home. Raises NotReadyError where none does."""
    addresses = running(home)
    if addresses is None:
        raise NotReadyError(f"No endpoint runs in {home.root}.", "Start it, and run this again: demlopment serve.")
    with closing(Rollout(home, asdict(addresses))) as rollout:
        yield Live(home, rollout, model)
