import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import HomeError, RequestError
from demlopment.home import Home
from demlopment.records import Canary, CanaryState, Guardrails, TrafficPlan, Treatment
from demlopment.serving import running, state
from demlopment.serving.canaries import share
from demlopment.serving.state import Model, State, Version
from tests.serving.endpoint import registered

names = st.text(min_size=1, max_size=6)
files = st.text("abz-_ 1ü", min_size=1, max_size=6).map(lambda name: f"{name}.mar")
versions = st.builds(Version, files, names, st.integers(0, 9), st.integers(0, 9), st.integers(1, 64), st.integers(0, 1000))
rails = st.builds(Guardrails, st.none() | st.floats(0, 0.9), memory_mb=st.none() | st.floats(1, 1e6))
canaries = st.builds(
    Canary,
    st.just((0.1, 0.5)),
    st.floats(0, 1e6),
    st.integers(0, 99),
    rails,
    st.sampled_from(get_args(CanaryState)),
    st.integers(0, 1),
    names,
)


def at_its_step(plan: TrafficPlan) -> TrafficPlan:
    assert plan.canary is not None
    return replace(plan, treatments=(replace(plan.treatments[0], share=share(plan.canary)),))


def of_versions(known: dict[str, Version]) -> st.SearchStrategy[Model]:
    number = st.sampled_from(sorted(known))
    treatments = st.lists(st.builds(Treatment, number, st.floats(0, 1 / 3)), max_size=3).map(tuple)
    shadows = st.lists(number, max_size=2).map(tuple)
    times = st.none() | st.floats(0, 1e10)
    rest = (times, times, st.booleans(), shadows)
    put = {"bandit": st.booleans(), "number": st.integers(0, 9), "since": st.floats(0, 1e10)}
    plans = st.builds(TrafficPlan, names, number, treatments, names, names, *rest, **put)
    one = st.tuples(st.builds(Treatment, number, st.just(0.0)))
    plans |= st.builds(TrafficPlan, names, number, one, names, names, *rest, canaries, **put).map(at_its_step)
    return st.builds(Model, number, st.just(known), st.none() | plans, st.integers(0, 9))


PLAN = {"model": "digits", "control": "1.0", "treatments": [], "salt": "s"}
RAMPED = PLAN | {"treatments": [{"version": "1.0", "share": 0.5}]}
HALTED = PLAN | {"treatments": [{"version": "1.0", "share": 0.0}]}
CANARY = {"steps": [0.5], "dwell": 1.0, "requests": 1, "guardrails": {}}
models = st.dictionaries(names, versions, min_size=1, max_size=3).flatmap(of_versions)
states = st.builds(State, st.integers(0, 99), st.dictionaries(names, models, max_size=3))


@given(states)
def test_a_state_that_was_written_reads_the_same(tmp_path_factory: pytest.TempPathFactory, given_state: State) -> None:
    path = tmp_path_factory.mktemp("state") / "state.json"

    state.save(path, given_state)

    assert state.load(path) == given_state


def test_no_file_is_an_empty_state(tmp_path: Path) -> None:
    assert state.load(tmp_path / "state.json") == State()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "[" * 100_000,
        '{"format": 6, "generation": 0, "models": {}}',
        '{"format": 1, "generation": 0, "models": {"a": 1}}',
    ],
)
def test_a_file_that_is_no_state_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)

    with pytest.raises(HomeError, match=r"state\.json"):
        state.load(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("generation",), None),
        (("generation",), "1"),
        (("models", "digits", "plans"), "x"),
        (("models", "digits", "plan"), PLAN | {"control": "9"}),
        (("models", "digits", "plan"), PLAN | {"treatments": [{"version": "9", "share": 0.5}]}),
        (("models", "digits", "plan"), PLAN | {"treatments": [{"version": "1.0", "share": "x"}]}),
        (("models", "digits", "plan"), PLAN | {"treatments": 1}),
        (("models", "digits", "plan"), PLAN | {"shadows": ["9"]}),
        (("models", "digits", "plan"), PLAN | {"shadows": [1]}),
        (("models", "digits", "plan"), PLAN | {"starts": "x"}),
        (("models", "digits", "plan"), PLAN | {"a_a": 1}),
        (("models", "digits", "plan"), PLAN | {"treatments": [{"version": "1.0", "share": 7.0}]}),
        (("models", "digits", "plan"), PLAN | {"treatments": [{"version": "1.0", "share": float("nan")}]}),
        (("models", "digits", "plan"), PLAN | {"treatments": [{"version": "1.0", "share": 0.6}] * 2}),
        (("models", "digits", "plan"), RAMPED | {"canary": CANARY | {"step": 1}}),
        (("models", "digits", "plan"), RAMPED | {"canary": CANARY | {"steps": ["x"]}}),
        (("models", "digits", "plan"), RAMPED | {"canary": CANARY | {"state": "lost"}}),
        (("models", "digits", "plan"), RAMPED | {"canary": CANARY | {"guardrails": {"errors": "x"}}}),
        (("models", "digits", "plan"), PLAN | {"canary": CANARY}),
        (("models", "digits", "plan"), RAMPED | {"canary": CANARY | {"state": "rolled back"}}),
        (("models", "digits", "plan"), RAMPED | {"canary": CANARY | {"state": "ramping", "steps": [0.1]}}),
        (("models", "digits", "plan"), HALTED | {"canary": CANARY | {"steps": [2.0]}}),
        (("models", "digits", "plan"), HALTED | {"canary": CANARY | {"dwell": -1.0}}),
        (("models", "digits", "plan"), HALTED | {"canary": CANARY | {"guardrails": {"alpha": 0.0}}}),
        (("models", "digits", "versions", "1.0", "file"), "../digits-1.0.mar"),
        (("models", "digits", "versions", "1.0", "file"), ".."),
        (("models", "digits", "versions", "1.0", "file"), "\ud800"),
        (("models", "digits", "versions", "1.0", "kind"), "zzz"),
        (("models", "digits", "versions", "1.0", "batch_size"), "x"),
        (("models", "digits", "versions", "1.0", "batch_size"), True),
        (("models", "digits", "versions", "1.0", "min_workers"), -1),
        (("models", "digits", "versions", "1.0", "min_workers"), 1.5),
        (("models", "digits", "versions", "1.0", "response_timeout"), 10**400),
        (("models", "digits", "versions"), []),
    ],
)
def test_a_value_that_nobody_wrote_is_refused(tmp_path: Path, place: tuple[str, ...], value: object) -> None:
    path = tmp_path / "state.json"
    state.save(path, State().register("digits", "1.0", Version("a.mar", "a.mar", 1, 1)))
    values = json.loads(path.read_bytes())
    inner = values
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    path.write_text(json.dumps(values))

    with pytest.raises(HomeError, match=r"state\.json"):
        state.load(path)


def test_every_change_is_a_new_generation_and_leaves_the_old_one_alone() -> None:
    empty = State()

    one = empty.register("digits", "1.0", Version("a.mar", "a.mar", 1, 1))
    two = one.register("digits", "2.0", Version("b.mar", "b.mar", 3, 3))
    plan = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "s")
    split = two.split(plan)

    assert [each.generation for each in (empty, one, two, split)] == [0, 1, 2, 3]
    assert (empty.models, list(one.models["digits"].versions)) == ({}, ["1.0"])
    assert (two.models["digits"].default, two.workers) == ("1.0", 3)
    assert two.models["digits"].plan is None
    unsplit = split.unsplit("digits").models["digits"]
    assert (unsplit.plan, unsplit.versions) == (None, two.models["digits"].versions)
    assert split.unsplit("digits").split(plan).models["digits"].plan == replace(plan, number=2)
    with pytest.raises(RequestError, match="arm of its traffic plan"):
        split.unregister("digits", "2.0")
    with pytest.raises(RequestError, match="arm of its traffic plan"):
        split.scale("digits", "1.0", 0, 0)
    assert split.scale("digits", "1.0", 2, 2).models["digits"].versions["1.0"].min_workers == 2


def test_the_last_version_takes_its_model_with_it() -> None:
    only = State().register("digits", "1.0", Version("a.mar", "a.mar", 1, 1))

    assert only.unregister("digits").models == {}


@pytest.mark.parametrize("value", ["x", 100_000])
def test_a_state_that_asks_for_an_impossible_number_of_workers_is_refused(tmp_path: Path, value: object) -> None:
    home = registered(tmp_path, "1.0")
    values = json.loads(state.path(home).read_text())
    values["models"]["digits"]["versions"]["1.0"]["min_workers"] = value
    state.path(home).write_text(json.dumps(values))

    with pytest.raises(HomeError, match=r"state\.json"):
        state.load(state.path(home))


@pytest.mark.parametrize("note", ["", "[]", "{}", "null"])
def test_a_note_that_no_endpoint_wrote_means_that_none_runs(tmp_path: Path, note: str) -> None:
    path = tmp_path / "endpoint" / "addresses.json"
    path.parent.mkdir()
    path.write_text(note)

    assert running(Home(tmp_path)) is None


def test_a_default_that_names_no_version_is_refused(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    values = json.loads(state.path(home).read_text())
    values["models"]["digits"]["default"] = "9.9"
    state.path(home).write_text(json.dumps(values))

    with pytest.raises(HomeError, match=r"9\.9"):
        state.load(state.path(home))


def test_a_state_of_the_first_format_is_still_read(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    values = json.loads(state.path(home).read_text())
    values["format"] = 1
    for added in ("kind", "job_queue_size"):
        del values["models"]["digits"]["versions"]["1.0"][added]
    state.path(home).write_text(json.dumps(values))

    loaded = state.load(state.path(home))

    assert loaded.models["digits"].versions["1.0"].kind == "onnx"


def test_a_plan_of_the_second_format_is_still_in_force(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    values = json.loads(state.path(home).read_text())
    former = {"model": "digits", "control": "1.0", "treatment": "1.0", "share": 0.3, "salt": "s", "unit_header": "x-user"}
    values["models"]["digits"] |= {"plan": former}
    del values["models"]["digits"]["plans"]
    state.path(home).write_text(json.dumps(values | {"format": 2}))

    loaded = state.load(state.path(home)).models["digits"].plan

    assert loaded == TrafficPlan("digits", "1.0", (Treatment("1.0", 0.3),), "s", "header:x-user", a_a=True)


def test_the_workers_of_a_handler_ask_for_no_serving_process() -> None:
    both = (
        State()
        .register("digits", "1.0", Version("a.mar", "a.mar", 2, 2))
        .register("echo", "1.0", Version("b.mar", "b.mar", 7, 7, kind="handler"))
    )

    assert (both.workers, set(both.served)) == (2, {("digits", "1.0"), ("echo", "1.0")})


def test_a_canary_that_was_stopped_has_no_traffic_in_what_processes_begin_with() -> None:
    """A successor must not serve what its predecessor found out, even while no disk takes it."""
    versions = {number: Version(f"{number}.mar", "", 1, 1) for number in ("1.0", "2.0")}
    plan = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.1),), "s", canary=Canary((0.1,), 0.0, 0, Guardrails()), number=7)
    found = State(3, {"digits": Model("1.0", versions, plan, 7)})

    stopped, other = found.without({("digits", 7)}), found.without({("digits", 6)})

    halted = stopped.models["digits"].plan
    assert halted is not None
    assert halted.canary is not None
    assert (halted.canary.state, halted.treatments[0].share, stopped.generation) == ("halted", 0.0, 3)
    assert other == found
