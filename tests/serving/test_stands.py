"""What a canary is compared with: what there was when it began, at whichever step it stands by now."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from demlopment.records import TrafficPlan
from demlopment.serving import ramps, state
from demlopment.serving.chronicle import Chronicle
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
