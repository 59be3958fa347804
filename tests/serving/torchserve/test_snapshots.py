"""What a run of TorchServe has changed is in the state afterwards, however the run ended."""

import json
from dataclasses import replace
from pathlib import Path

from demlopment.home import Home
from demlopment.serving import state
from demlopment.serving.plans import plan_from
from demlopment.serving.registration import Terms
from demlopment.serving.state import State, Version
from demlopment.serving.torchserve import properties, snapshots
from demlopment.serving.torchserve.places import Places
from tests.serving.endpoint import packed, registered

TERMS = Terms()


def wrote(home: Home, name: str, found: State) -> None:
    """A snapshot as TorchServe writes it: Java properties, with the JSON in one of them."""
    models = properties.models(found, "{}")
    said = json.dumps({"name": name, "modelCount": len(models), "created": 1, "models": models}, indent=2)
    folder = Places.of(home).snapshots
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(
        "#\n#Sat Nov 28 22:00:00 UTC 2026\n" + properties.text({"version": "0.12.0", "model_snapshot": said})
    )


def brought_back(home: Home) -> tuple[State, list[str]]:
    told: list[str] = []
    snapshots.bring_back(home, home.models, TERMS, told.append)
    return state.load(state.path(home)), told


def numbers(found: State) -> dict[tuple[str, str], int]:
    return {key: version.min_workers for key, version in found.versions.items()}


def test_versions_that_came_went_and_changed_are_kept_and_the_default_with_them(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0")
    begun = state.load(state.path(home))
    file = packed(home.models, "3.0").name
    ended = begun.register("digits", "3.0", Version(file, file, 2, 2, 8)).set_default("digits", "3.0")
    ended = ended.scale("digits", "2.0", 4, 4).unregister("digits", "1.0")
    wrote(home, "20261128220000000-startup.cfg", begun)
    wrote(home, "20261128220001000-snapshot.cfg", ended)

    found, told = brought_back(home)

    assert numbers(found) == {("digits", "2.0"): 4, ("digits", "3.0"): 2}
    assert (found.models["digits"].default, found.versions["digits", "3.0"].batch_size) == ("3.0", 8)
    assert found.versions["digits", "3.0"].kind == "onnx"
    assert told == []
    assert brought_back(home) == (found, []), "once: the files are gone"


def test_a_snapshot_that_was_never_finished_is_passed_over(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    begun = state.load(state.path(home))
    wrote(home, "1-startup.cfg", begun)
    wrote(home, "2-snapshot.cfg", begun.scale("digits", "1.0", 3, 3))
    last = Places.of(home).snapshots / "3-snapshot.cfg"
    last.write_text('model_snapshot={"name": "3", "models": {"dig')

    found, _ = brought_back(home)

    assert numbers(found) == {("digits", "1.0"): 3}


def test_what_torchserve_was_not_given_stays_registered(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0")
    given = state.load(state.path(home)).forgotten("digits", "2.0")
    wrote(home, "1-startup.cfg", given)
    wrote(home, "2-shutdown.cfg", given)

    found, _ = brought_back(home)

    assert numbers(found) == {("digits", "1.0"): 1, ("digits", "2.0"): 1}


def test_a_default_that_torchserve_was_not_given_stays_the_default(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0")
    path = state.path(home)
    whole = state.load(path).set_default("digits", "2.0")
    state.save(path, whole)
    given = whole.forgotten("digits", "2.0")
    wrote(home, "1-startup.cfg", given)
    wrote(home, "2-shutdown.cfg", given)

    found, _ = brought_back(home)

    assert found.models["digits"].default == "2.0"


def test_more_workers_than_we_may_have_are_told_and_the_state_stays_readable(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    begun = state.load(state.path(home))
    many = replace(begun.versions["digits", "1.0"], min_workers=300, max_workers=400)
    wrote(home, "1-startup.cfg", begun)
    wrote(home, "2-snapshot.cfg", begun.replaced("digits", "1.0", many))

    found, told = brought_back(home)

    assert numbers(found) == {("digits", "1.0"): 256}
    assert told == ["TorchServe gave digits 1.0 up to 400 workers. It has 256 from now on, the most here."]


def test_a_plan_ends_with_its_version_and_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0")
    path = state.path(home)
    plan = plan_from("digits", {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}]})
    begun = state.load(path).split(plan)
    state.save(path, begun)
    ended = begun.forgotten("digits", "2.0").register("lost", "1.0", Version("gone.mar", "gone.mar"))
    wrote(home, "1-startup.cfg", begun)
    wrote(home, "2-snapshot.cfg", ended)

    found, told = brought_back(home)

    assert numbers(found) == {("digits", "1.0"): 1}
    assert found.models["digits"].plan is None
    assert told == [
        "The traffic plan of digits is over: TorchServe has unregistered its version 2.0.",
        "lost 1.0 was registered in TorchServe and is not kept: Model not found at: gone.mar",
    ]


def test_without_a_run_nothing_is_touched(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    before = state.path(home).stat().st_mtime_ns

    brought_back(home)

    assert state.path(home).stat().st_mtime_ns == before
