"""Who answers where a plan in force meets what has happened meanwhile: whatever is doubtful is the control's."""

from pathlib import Path
from typing import Any

import pytest

from demlopment.records import Arm
from demlopment.serving import state
from demlopment.serving.engine import Engine
from demlopment.serving.plans import plan_from
from demlopment.serving.state import State
from demlopment.serving.units import Asker
from tests.serving.endpoint import registered

CANARY: dict[str, Any] = {"control": "1.0", "treatments": [{"version": "2.0"}], "canary": {"steps": [0.99]}}


def served(root: Path, plan: dict[str, Any], workers: int = 1) -> State:
    found = state.load(state.path(registered(root, "1.0", "2.0", workers=workers)))
    return found.split(plan_from("digits", plan))


def in_force(root: Path, found: State) -> Engine:
    engine = Engine(root / "models", processes=2)
    engine.prepare(found)
    engine.switch(found)
    return engine


def met(engine: Engine) -> set[tuple[Arm, str]]:
    routes = (engine.route("digits", None, Asker({}), f"request {number}") for number in range(50))
    return {(route.arm, route.key[1]) for route in routes}


@pytest.mark.parametrize("plan", [CANARY, {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}]}])
def test_where_an_arm_cannot_be_loaded_the_control_answers_in_no_experiment(tmp_path: Path, plan: dict[str, Any]) -> None:
    found = served(tmp_path, plan)
    (tmp_path / "models" / "digits-2.0.mar").write_bytes(b"damaged")

    engine = in_force(tmp_path, found)

    assert {version for _, version in met(engine)} == {"1.0"}
    assert {arm for arm, _ in met(engine)} <= {"control", "direct"}
    assert engine.route("digits", "1.0", Asker({}), "r").arm == "direct"


def test_a_canary_of_a_model_that_was_registered_anew_is_not_taken_for_the_one_that_was_stopped(tmp_path: Path) -> None:
    first = served(tmp_path, CANARY)
    engine = in_force(tmp_path, first)
    engine.stop("digits", 1)
    stopped = met(engine)

    engine.prepare(State())
    engine.switch(State())
    engine.prepare(first)
    engine.switch(first)

    assert stopped == {("control", "1.0")}
    assert ("treatment", "2.0") in met(engine)


def test_one_that_was_stopped_stays_so_while_other_models_change(tmp_path: Path) -> None:
    found = served(tmp_path, CANARY)
    engine = in_force(tmp_path, found)
    engine.stop("digits", 1)

    engine.prepare(found)
    engine.switch(found)

    assert met(engine) == {("control", "1.0")}


def test_the_chance_of_a_false_alarm_is_shared_by_all_processes_that_models_ask_for(tmp_path: Path) -> None:
    (watch,) = in_force(tmp_path, served(tmp_path, CANARY, workers=8)).watches

    assert watch.processes == 8
