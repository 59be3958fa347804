"""`demlopment migrate`: what a TorchServe serves is served here afterwards, and whatever differs is said."""

import json
import os
from pathlib import Path

from demlopment.home import Home
from demlopment.serving import state
from demlopment.serving.state import State, Version
from demlopment.serving.torchserve import properties
from tests.serving.endpoint import digit, free_ports, packed, running
from tests.test_cli import assert_two_sentences, run
from tests.torchserve.archives import build

CONFIG = """
inference_address=http://127.0.0.1:9080
job_queue_size=7
vmargs=-Xmx1g
model_store={store}
"""


def theirs(folder: Path, models: State, config: str = CONFIG) -> tuple[Path, Path, Path]:
    """A TorchServe's folder: its configuration, its model store and its snapshots, the newest of which says `models`."""
    store, snapshots, file = folder / "store", folder / "logs" / "config", folder / "config.properties"
    store.mkdir(parents=True)
    snapshots.mkdir(parents=True)
    build(store)
    packed(store, "2.0")
    file.write_text(config.format(store=store))
    for name, said in (("20261128220000000-startup.cfg", State()), ("20261128220100000-snapshot.cfg", models)):
        document = json.dumps({"name": name, "modelCount": 1, "created": 1, "models": properties.models(said, "{}")}, indent=2)
        (snapshots / name).write_text(properties.text({"version": "0.12.0", "model_snapshot": document}))
    return file, store, snapshots


def version(file: str, workers: int = 1, batch: int = 1) -> Version:
    return Version(file, file, workers, workers, batch)


BOTH = State().register("digits", "1.0", version("digits-1.0.mar")).register("digits", "2.0", version("digits-2.0.mar", 3, 8))
SERVED = BOTH.set_default("digits", "2.0")
CODED = SERVED.register("mirror", "1.0", version("mirror.mar", 2))


def kept(root: Path) -> State:
    return state.load(state.path(Home(root)))


def test_versions_workers_batches_and_the_default_come_over_and_are_served(tmp_path: Path) -> None:
    file, store, snapshots = theirs(tmp_path / "there", SERVED)
    home = tmp_path / "home"

    moved = run("migrate", "--ts-config", file, "--snapshot", snapshots, home=home)
    again = run("migrate", "--ts-config", file, "--snapshot", snapshots, home=home)

    assert moved.returncode == again.returncode == 0, moved.stderr
    assert moved.stdout.splitlines() == [
        "digits 2.0  digits-2.0.mar  3 workers, batches of 8, the default",
        "digits 1.0  digits-1.0.mar  1 worker, batches of 1",
        "Its file asks for these settings; keep them in demlopment.toml:",
        "[endpoint]",
        'host = "127.0.0.1"',
        "inference_port = 9080",
        "job_queue_size = 7",
        "2 versions have come over, 0 cannot.",
    ]
    assert f"Warning: {file}, line 4: vmargs is not followed: there is no Java here." in moved.stderr
    assert again.stdout.splitlines()[-1] == "0 versions have come over, 0 cannot."
    found = kept(home)
    assert {key: (each.min_workers, each.batch_size) for key, each in found.versions.items()} == {
        ("digits", "1.0"): (1, 1),
        ("digits", "2.0"): (3, 8),
    }
    (store / "digits-2.0.mar").unlink()  # theirs may go now
    with running(home, free_ports(processes=1)) as endpoint:
        said = endpoint.inference.post("/predictions/digits", content=digit(1))
    assert (said.status_code, said.headers["x-model-version"]) == (200, "2.0")


def test_what_cannot_come_over_is_named_the_rest_comes_and_the_status_says_so(tmp_path: Path) -> None:
    broken = CODED.register("text", "1.0", version("text.mar")).register("gone", "1.0", version("gone.mar"))
    file, _, snapshots = theirs(tmp_path / "there", broken)
    home = tmp_path / "home"

    dry = run("migrate", "--ts-config", file, "--snapshot", snapshots, "--dry-run", home=home)
    nothing, untouched = kept(home), not home.exists()
    moved = run("migrate", "--ts-config", file, "--snapshot", snapshots, home=home)
    allowed = run(
        "migrate", "--ts-config", file, "--snapshot", snapshots, home=home, DEMLOPMENT_ENDPOINT__ALLOW_HANDLERS="true"
    )

    assert (dry.returncode, moved.returncode, allowed.returncode) == (1, 1, 1)
    assert (nothing, untouched) == (State(), True)
    assert dry.stdout.splitlines()[-1] == "2 versions would come over, 3 cannot."
    assert [line for line in moved.stdout.splitlines() if line.endswith("is not brought over")] == [
        "gone 1.0  is not brought over",
        "mirror 1.0  is not brought over",
        "text 1.0  is not brought over",
    ]
    assert "mirror.mar runs a Python handler, and handlers are not allowed. Set endpoint.allow_handlers" in moved.stdout
    assert "gone.mar is not loaded: Model not found at: gone.mar" in moved.stdout
    assert "text.mar is not loaded: " in moved.stdout
    assert "mirror 1.0  mirror.mar  2 workers" in allowed.stdout
    assert sorted(kept(home).models) == ["digits", "mirror"]


def test_what_is_here_stays_as_it_is(tmp_path: Path) -> None:
    file, _, snapshots = theirs(tmp_path / "there", SERVED)
    home = Home(tmp_path / "home")
    home.models.mkdir(parents=True)
    (home.models / "digits-2.0.mar").write_bytes(b"another")

    moved = run("migrate", "--ts-config", file, "--snapshot", snapshots, home=home.root)

    assert moved.returncode == 1
    assert f"digits 2.0 is not brought over: {home.models / 'digits-2.0.mar'} is another file of that name." in moved.stdout
    assert "digits answers with 1.0 here by default, and with 2.0 there." in moved.stdout
    assert (home.models / "digits-2.0.mar").read_bytes() == b"another"
    assert list(kept(home.root).models["digits"].versions) == ["1.0"]


def test_without_a_snapshot_the_configuration_says_what_is_loaded(tmp_path: Path) -> None:
    config = CONFIG + "load_models=numbers=digits-1.0.mar,https://far.example/other.mar\n"
    file, _, _ = theirs(tmp_path / "there", State(), config)

    moved = run("migrate", "--ts-config", file, home=tmp_path / "home")

    assert moved.returncode == 1
    assert "numbers 1.0  digits-1.0.mar  1 worker, batches of 1, the default" in moved.stdout
    assert "https://far.example/other.mar  is not brought over" in moved.stdout


def test_an_endpoint_that_runs_is_not_disturbed(tmp_path: Path) -> None:
    file, _, snapshots = theirs(tmp_path / "there", SERVED)
    home = tmp_path / "home"
    with running(home, free_ports(processes=1)):
        refused = run("migrate", "--ts-config", file, "--snapshot", snapshots, home=home)
        planned = run("migrate", "--ts-config", file, "--snapshot", snapshots, "--dry-run", home=home)

    assert_two_sentences(refused, "serve.lock is held")
    assert planned.stdout.splitlines()[-1] == "2 versions would come over, 0 cannot."


def test_what_says_nothing_of_models_is_refused(tmp_path: Path) -> None:
    file, store, snapshots = theirs(tmp_path / "there", SERVED)
    empty = tmp_path / "empty"
    empty.mkdir()
    bare = tmp_path / "bare.properties"
    bare.write_text("job_queue_size=7\n")

    assert_two_sentences(run("migrate", "--ts-config", file, home=tmp_path), "which models")
    assert_two_sentences(run("migrate", "--ts-config", bare, "--snapshot", snapshots, home=tmp_path), "--model-store")
    assert_two_sentences(run("migrate", "--snapshot", empty, "--model-store", store, home=tmp_path), "no snapshot")
    assert_two_sentences(
        run("migrate", "--snapshot", empty / "no.cfg", "--model-store", store, home=tmp_path), "no.cfg is neither"
    )
    assert run("migrate", "--snapshot", snapshots, "--model-store", store, home=tmp_path / "home").returncode == 0


def test_a_run_that_was_killed_before_it_registered_goes_on(tmp_path: Path) -> None:
    file, store, snapshots = theirs(tmp_path / "there", SERVED)
    home = Home(tmp_path / "home")
    home.models.mkdir(parents=True)
    (home.models / "digits-1.0.mar").write_bytes((store / "digits-1.0.mar").read_bytes())
    (home.models / f"digits-2.0.mar.{os.getpid()}-1.partial").write_bytes(b"half")

    moved = run("migrate", "--ts-config", file, "--snapshot", snapshots, home=home.root)

    assert moved.stdout.splitlines()[-1] == "2 versions have come over, 0 cannot."
    assert sorted(path.name for path in home.models.iterdir()) == ["digits-1.0.mar", "digits-2.0.mar"]
