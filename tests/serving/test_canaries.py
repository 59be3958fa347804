"""The way of a canary through its plan: whatever goes wrong leads to the control."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import RequestError
from demlopment.records import Canary, Guardrails, TrafficPlan
from demlopment.serving import canaries
from demlopment.serving.engine import Engine
from demlopment.serving.guardrails import Breach
from demlopment.serving.plans import plan_from, plan_shown
from demlopment.serving.state import State, Version
from demlopment.serving.units import Asker
from tests.serving.endpoint import packed

BACK = partial(canaries.rolled_back, reason="slow")
HALT = partial(canaries.halted, reason="restarted")
COMMANDS: dict[str, Callable[[TrafficPlan], TrafficPlan]] = {
    **canaries.COMMANDS,
    "advance": canaries.advanced,
    "back": BACK,
    "halt": HALT,
}


def plan(**canary: Any) -> TrafficPlan:
    return plan_from("digits", {"control": "1.0", "treatments": [{"version": "2.0"}], "canary": canary})


def stands(found: TrafficPlan) -> tuple[str, float]:
    assert found.canary is not None
    return found.canary.state, found.treatments[0].share


def test_a_canary_climbs_its_steps_and_is_through_after_the_last() -> None:
    found, seen = plan(steps=[0.1, 0.5]), []
    for _ in range(2):
        seen.append(stands(found))
        found = canaries.advanced(found)

    assert [*seen, stands(found)] == [("ramping", 0.1), ("ramping", 0.5), ("complete", 0.5)]


def test_one_that_is_paused_keeps_its_share_and_goes_on_from_there() -> None:
    waiting = canaries.paused(canaries.advanced(plan(steps=[0.1, 0.2, 0.5])))

    assert stands(waiting) == ("paused", 0.2)
    assert stands(canaries.advanced(canaries.resumed(waiting))) == ("ramping", 0.5)


def test_one_that_was_halted_has_no_share_until_it_is_resumed_where_it_stood() -> None:
    halted = HALT(canaries.advanced(plan(steps=[0.1, 0.2])))

    assert stands(halted) == ("halted", 0.0)
    assert stands(canaries.resumed(halted)) == ("ramping", 0.2)


@pytest.mark.parametrize("end", [BACK, canaries.aborted])
def test_one_that_is_over_cannot_be_revived(end: Any) -> None:
    over = end(plan())

    assert stands(over)[1] == 0.0
    for command in (canaries.resumed, canaries.paused, canaries.advanced, canaries.aborted, BACK):
        with pytest.raises(RequestError, match=r"A canary cannot .* Send the plan again") as refused:
            command(over)
        assert refused.value.status == 409


@given(st.lists(st.sampled_from(sorted(COMMANDS)), max_size=12))
def test_whatever_is_commanded_it_has_the_share_of_its_step_or_none_and_the_rest_stays(commands: list[str]) -> None:
    begun = found = plan(steps=[0.1, 0.2, 0.4])
    for name in commands:
        try:
            found = COMMANDS[name](found)
        except RequestError:
            continue
        assert found.canary is not None
        served = found.canary.state in ("ramping", "paused", "complete")
        assert found.treatments[0].share == (found.canary.steps[found.canary.step] if served else 0)
    assert canaries.begun(found) == begun


def test_what_was_shown_is_read_again_from_its_beginning() -> None:
    begun = plan(steps=[0.1, 0.2], dwell=60, requests=10, guardrails={"errors": 0.1, "memory_mb": None})

    assert plan_from("digits", plan_shown(canaries.paused(canaries.advanced(begun)))) == begun


def test_the_defaults_are_those_of_the_documents() -> None:
    assert plan().canary == Canary((0.01, 0.05, 0.2, 0.5), 300.0, 100, Guardrails())


@pytest.mark.parametrize(
    ("canary", "named"),
    [
        ("soon", "canary is 'soon'"),
        ({"stages": [0.1]}, "no field 'stages'"),
        ({"steps": []}, "steps"),
        ({"steps": [0.5, 0.1]}, "do not rise"),
        ({"steps": [0.1, 0.1]}, "steps"),
        ({"steps": [0.0, 0.1]}, "steps"),
        ({"steps": [0.1, 1.0]}, "steps"),
        ({"steps": "0.1"}, "steps"),
        ({"steps": [True]}, "steps"),
        ({"dwell": -1}, "dwell"),
        ({"dwell": float("nan")}, "dwell"),
        ({"requests": "many"}, "requests"),
        ({"guardrails": []}, "guardrails"),
        ({"guardrails": {"colour": 1}}, "no field 'colour'"),
        ({"guardrails": {"errors": 1.0}}, "errors"),
        ({"guardrails": {"alpha": 0}}, "alpha"),
        ({"guardrails": {"alpha": None}}, "alpha"),
        ({"guardrails": {"slow_ms": None}}, "slow_ms"),
    ],
)
def test_a_canary_that_cannot_be_meant_is_refused_by_the_name_of_its_field(canary: object, named: str) -> None:
    values = {"control": "1.0", "treatments": [{"version": "2.0"}], "canary": canary}

    with pytest.raises(RequestError, match=named):
        plan_from("digits", values)


@pytest.mark.parametrize("treatments", [[], [{"version": "2.0"}, {"version": "3.0"}]])
def test_a_canary_is_the_only_treatment(treatments: list[dict[str, str]]) -> None:
    with pytest.raises(RequestError, match="a canary is the only treatment"):
        plan_from("digits", {"control": "1.0", "treatments": treatments, "shadows": ["4.0"], "canary": {}})


def test_a_canary_that_was_stopped_is_met_by_nobody_until_there_is_another_plan(tmp_path: Path) -> None:
    state = State()
    for version in ("1.0", "2.0"):
        file = packed(tmp_path, version).name
        state = state.register("digits", version, Version(file, file, 1, 1))
    ramped = state.split(plan(steps=[0.9]))
    found: list[Breach] = []
    engine = Engine(tmp_path, broken=found.append)

    def arms(of: State) -> set[str]:
        assert engine.prepare(of) == {}
        engine.switch(of)
        return {engine.route("digits", None, Asker({}), f"request {number}").arm for number in range(40)}

    before = arms(ramped)
    (watch,) = engine.watches
    for _ in range(3):
        watch.fail()
    after, again = arms(ramped), arms(ramped.set_default("digits", "2.0"))
    replaced = arms(ramped.split(plan(steps=[0.8])))
    arms(state)
    anew = arms(state.split(plan(steps=[0.9])))  # number 1, as the first

    assert [(each.model, each.number) for each in found] == [("digits", 1)]
    assert (before, after, again) == ({"control", "treatment"}, {"control"}, {"control"})
    assert replaced == anew == {"control", "treatment"}


def test_where_more_processes_watch_each_needs_more_evidence(tmp_path: Path) -> None:
    state = State()
    for version in ("1.0", "2.0"):
        file = packed(tmp_path, version).name
        state = state.register("digits", version, Version(file, file, 1, 1))
    engine, ramped = Engine(tmp_path), state.split(plan(steps=[0.9]))
    engine.prepare(ramped)
    engine.switch(ramped)
    (watch,) = engine.watches
    first = watch.processes

    scaled = ramped.scale("digits", "1.0", 4, 4)
    engine.prepare(scaled)
    engine.switch(scaled)

    assert engine.watches == (watch,)
    assert (first, watch.processes) == (1, 4)
