"""What a canary is compared with: what there was when it began, at whichever step it stands by now."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from demlopment.errors import HomeError
from demlopment.records import TrafficPlan
from demlopment.serving import ramps, state
from demlopment.serving.chronicle import Chronicle
from demlopment.serving.guardrails import Breach
from demlopment.serving.plans import plan_from
from demlopment.serving.ramps import Ramps
from demlopment.serving.tally import Tally
from tests.serving.endpoint import registered

MB = 2**20


class Fleet:
    """One process, and what has become of it."""

    def __init__(self) -> None:
        self.restarts = 0
        self.slots = [SimpleNamespace(pid=os.getpid(), late=0)]

    async def stop(self, model: str, number: int) -> None:
        pass


class Registry:
    """A state without a disk."""

    def __init__(self, found: state.State) -> None:
        self.state = found

    async def change(self, edit: Any) -> None:
        self.state = edit(self.state)

    @property
    def plan(self) -> TrafficPlan:
        plan = self.state.model("digits").plan
        assert plan is not None
        return plan


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Registry, Fleet, Ramps]:
    canary = {"steps": [0.1, 0.2, 0.3], "dwell": 0, "requests": 0, "guardrails": {"memory_mb": 100}}
    plan = plan_from("digits", {"control": "1.0", "treatments": [{"version": "2.0"}], "canary": canary})
    registry = Registry(state.load(state.path(registered(tmp_path, "1.0", "2.0"))).split(plan))
    fleet, hall = Fleet(), SimpleNamespace(workers=lambda _: [])
    chronicle = Chronicle(tmp_path / "traffic.jsonl", print)
    return registry, fleet, Ramps(registry, fleet, hall, chronicle, print)  # type: ignore[arg-type]


def stands(registry: Registry) -> tuple[str, str]:
    """The canary's state, and why."""
    assert registry.plan.canary is not None
    return registry.plan.canary.state, registry.plan.canary.reason


def answered(requests: int) -> Tally:
    """What the serving processes have counted, when the canary has answered so many."""
    return Tally({("demlopment_predictions_total", "digits", "2.0", "treatment"): float(requests)})


def test_it_waits_for_its_dwell_and_for_its_requests(parts: tuple[Registry, Fleet, Ramps]) -> None:
    registry, _, moving = parts
    canary = {"steps": [0.1, 0.2], "dwell": 60, "requests": 10}
    plan = plan_from("digits", {"control": "1.0", "treatments": [{"version": "2.0"}], "canary": canary})
    registry.state = registry.state.split(plan)
    clock = 1000.0
    moving.clock = lambda: clock

    def share(at: float, requests: int) -> float:
        nonlocal clock
        clock = 1000.0 + at
        asyncio.run(moving.look(answered(requests)))
        return registry.plan.treatments[0].share

    assert share(0, 5) == 0.1, "requests before it was first seen are not its own"
    assert share(59.9, 1000) == 0.1
    assert share(61, 14) == 0.1
    assert share(62, 15) == 0.2


def test_a_process_that_says_nothing_for_several_looks_ends_the_canary(parts: tuple[Registry, Fleet, Ramps]) -> None:
    registry, fleet, moving = parts
    for late in (1, ramps.MOST_LATE - 1):
        fleet.slots[0].late = late
        asyncio.run(moving.look(Tally()))
    before = stands(registry)[0]

    fleet.slots[0].late = ramps.MOST_LATE
    asyncio.run(moving.look(Tally()))

    assert before != "rolled back"
    assert stands(registry)[0] == "rolled back"
    assert "said nothing" in stands(registry)[1]


def test_a_process_that_dies_before_the_first_look_at_a_canary_ends_it(parts: tuple[Registry, Fleet, Ramps]) -> None:
    registry, fleet, moving = parts
    plan, registry.state = registry.plan, registry.state.unsplit("digits")
    fleet.restarts = 3
    asyncio.run(moving.look(Tally()))
    registry.state = registry.state.split(plan)
    fleet.restarts += 1

    asyncio.run(moving.look(Tally()))

    assert "a serving process died" in stands(registry)[1]


def test_memory_that_grows_a_little_at_every_step_is_added_up(
    parts: tuple[Registry, Fleet, Ramps], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, _, moving = parts
    held = iter([500 * MB, 560 * MB, 620 * MB, 680 * MB])
    monkeypatch.setattr(ramps, "resident_bytes", lambda _: next(held))

    for _ in range(3):
        asyncio.run(moving.look(Tally()))

    assert registry.plan.canary is not None
    assert registry.plan.canary.state == "rolled back"
    assert "120 MB more than when it began" in registry.plan.canary.reason


def test_a_process_that_dies_just_after_a_step_ends_the_canary(parts: tuple[Registry, Fleet, Ramps]) -> None:
    registry, fleet, moving = parts
    asyncio.run(moving.look(Tally()))
    fleet.restarts += 1

    asyncio.run(moving.look(Tally()))

    assert registry.plan.canary is not None
    assert "a serving process died" in registry.plan.canary.reason


def test_an_end_that_can_be_neither_written_nor_told_is_tried_again(
    parts: tuple[Registry, Fleet, Ramps], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, _, moving = parts

    async def full(_: object) -> None:
        raise HomeError("The disk is full.", "Free some space.")

    def untold(_: str) -> None:
        raise OSError("No space left on device")

    moving.tell = untold
    with monkeypatch.context() as patch:
        patch.setattr(registry, "change", full)
        with pytest.raises(OSError, match="No space"):
            asyncio.run(moving._end(Breach("digits", registry.plan.number, "it is slow")))
    moving.tell = print
    asyncio.run(moving.look(Tally()))

    assert stands(registry) == ("rolled back", "it is slow")
