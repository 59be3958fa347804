"""Dagster runs the loop's own steps: it loads them, materialises them, and retrains when production has changed. Offline."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from demlopment import archive, evaluation, images, settings
from demlopment.commands.schedule import FILE, prepared
from demlopment.data import Lake, RawRows, packaged_digits
from demlopment.data.queue import waiting
from demlopment.home import Home
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.turn import begin
from demlopment.records import Feedback, Prediction
from demlopment.serving import monitors, state
from demlopment.serving.journal import Journal
from tests.fakes import ListNarrator
from tests.lifecycle.test_learn import SHORT
from tests.test_cli import assert_two_sentences, run

MISSING = "Dagster is missing: make venv_orchestrate"
dg = pytest.importorskip("dagster", reason=MISSING)
pytest.importorskip("dagster_webserver", reason=MISSING)
from demlopment import orchestrate  # noqa: E402  it imports Dagster

PATIENCE_SECONDS = 120
RULES = {
    "TRAINING__EPOCHS": "2",
    "GATE__MINIMUM_ACCURACY": "0.2",
    "EVALUATION__BEHAVIOUR": "tell",
    "EVALUATION__LEAST_SLICE": "0",
    "EVALUATION__MOST_CALIBRATION_ERROR": "1",
    "EVALUATION__MOST_DOUBTED_LABELS": "1",
    "EVALUATION__MOST_MILLISECONDS": "10000",
    "MONITORING__WINDOW": "50",
    "MONITORING__NICENESS": "0",  # other tests keep the processors busy
    "RETRAINING__LEAST_LABELS": "20",
    "RETRAINING__PRICE": "1",
}


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A champion that learned a little from a thousand digits."""
    home = Home(tmp_path_factory.mktemp("orchestrate") / "var")
    home.open()
    digits = packaged_digits()
    Lake(home.lake).add(RawRows(digits.name, digits.sha256, digits.frame.gather_every(5)))
    learn(home, SHORT, ListNarrator())
    return home


@pytest.fixture
def home(taught: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy, which the settings of this process name."""
    root = tmp_path / "var"
    subprocess.run(["cp", "-r", str(taught.root), str(root)], check=True)
    for name, value in RULES.items():
        monkeypatch.setenv(f"DEMLOPMENT_{name}", value)
    monkeypatch.setenv("DEMLOPMENT_HOME", str(root))
    return Home(root)


def produced(home: Home, *, bold: bool, labelled: float = 1.0) -> None:
    """Two hundred answers of the champion, the first with their labels, to digits as it knows them or in a bold hand."""
    model, lake = archive.read(home.models / "digits-1.0.mar"), Lake(home.lake)
    digits = packaged_digits().frame.gather_every(5, 1).gather_every(5)
    shown = np.stack([_written(np.frombuffer(each, np.uint8).reshape(28, 28), bold=bold) for each in digits["image"]])
    said = evaluation.reader(model)(shown)
    since = History(home.history).entries()[-1].at
    assert lake.classes == model.card.classes
    answers = [
        Prediction(
            f"r{place}", since + place / 1000, "digits", "1.0", "direct", f"u{place}", picture,
            lake.classes[probabilities.argmax()], probabilities, np.empty(0, np.float32), 1.0, f"{place:064x}",
        )
        for place, (picture, probabilities) in enumerate(zip(shown, said, strict=True))
    ]  # fmt: skip
    known = list(zip(answers, digits["label"].to_list(), strict=True))[: round(labelled * len(answers))]
    journal = Journal(home.endpoint / "journal", name="test")
    journal.record(answers, [Feedback(each.request_id, each.at, label) for each, label in known])
    journal.close()


def _written(digit: images.Grey, *, bold: bool) -> images.Grey:
    import cv2

    tip = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    return images.prepare(np.asarray(cv2.dilate(digit, tip), np.uint8) if bold else digit)


def looked() -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        return orchestrate.due(dg.build_sensor_context(instance))


def executed(name: str, **tags: str) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        return orchestrate.defs.resolve_job_def(name).execute_in_process(instance=instance, tags=tags)


def told(result: Any, asset: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def passed(result: Any) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


def test_dagster_loads_every_step() -> None:
    dg.Definitions.validate_loadable(orchestrate.defs)

    repository = orchestrate.defs.get_repository_def()
    assert {"housekeeping", "retraining", "asking"} <= set(repository.job_names)
    assert {each.name for each in repository.sensor_defs} == {"due"}
    assert {each.cron_schedule for each in repository.schedule_defs} == {"0 * * * *"}


def test_a_drifting_stream_is_answered_by_a_retrain_and_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    produced(home, bold=True)
    monkeypatch.setenv("DEMLOPMENT_EVALUATION__MOST_KILOBYTES", "1")  # which no candidate keeps: its turn ends at the gate

    request = looked()
    result = executed(request.job_name)
    again = looked()

    assert isinstance(request, dg.RunRequest)
    assert request.job_name == "retraining"
    assert "rift" in request.tags["because"]
    assert result.success
    assert told(result, "journal")["labels"] == 200
    assert told(result, "turn")["next"] == "none"
    assert passed(result) == {"alive": True}
    verdicts = [each.verdict for each in History(home.history).entries()[1:]]
    assert [(each.kind, each.decision) for each in verdicts if each.kind != "data"] == [
        ("retraining", "retrain"),
        ("gate", "refuse"),
        ("retraining", "refuse"),
    ]
    assert Lake(home.lake).named("turn-2").rows == 1200
    assert isinstance(again, dg.SkipReason)


def test_a_turn_that_is_running_goes_on_and_no_second_run_is_begun_beside_it(home: Home) -> None:
    produced(home, bold=True)
    with home.locked("turn"):
        begin(home, settings.load(), time.time())

    with dg.DagsterInstance.ephemeral() as instance:
        first = orchestrate.due(dg.build_sensor_context(instance))
        instance.create_run_for_job(orchestrate.defs.resolve_job_def(first.job_name), status=dg.DagsterRunStatus.STARTED)
        second = orchestrate.due(dg.build_sensor_context(instance))

    assert first.tags == {"because": "A turn is running; its next step is 'decide'."}
    assert isinstance(second, dg.SkipReason)
    assert second.skip_message == "A run is going on."


def test_a_calm_stream_and_a_home_without_a_champion_are_let_be(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    produced(home, bold=False)

    calm = looked()
    monkeypatch.setenv("DEMLOPMENT_HOME", str(tmp_path / "empty"))
    empty = looked()

    assert isinstance(calm, dg.SkipReason)
    assert calm.skip_message is not None
    assert calm.skip_message.startswith("Wait: Nothing asks for digits 1.0")
    assert "Nobody is champion" in empty.skip_message


def test_where_labels_are_too_few_people_are_asked_and_that_is_written_down(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    produced(home, bold=True, labelled=0.5)
    monkeypatch.setenv("DEMLOPMENT_RETRAINING__LEAST_LABELS", "5000")
    monkeypatch.setenv("DEMLOPMENT_RETRAINING__ASKED_LABELS", "10")

    request = looked()
    result = executed(request.job_name)

    assert request.job_name == "asking"
    assert result.success
    assert told(result, "questions")["without a label"] == 101, "and the picture by which the endpoint was tried"
    assert len(waiting(Lake(home.lake))) == 10
    assert History(home.history).entries()[-1].verdict.decision == "ask for labels"


def test_what_is_disputed_is_a_check_that_does_not_pass_and_stops_nothing(home: Home) -> None:
    state.path(home).unlink()  # and no endpoint that is known has served anybody who could be looked at
    examples = Lake(home.lake).load(next(iter(Lake(home.lake).snapshots().values())))
    wrong = str((int(examples.labels[0]) + 1) % 10)
    said = np.full(10, 0.1, np.float32)
    journal = Journal(home.endpoint / "journal", name="test")
    key, none = str(examples.keys[0]), np.empty(0, np.float32)
    answer = Prediction("r", 1.0, "digits", "1.0", "direct", "u", examples.images[0], wrong, said, none, 1.0, key)
    journal.record([answer], [Feedback("r", 2.0, wrong)])
    journal.close()

    result = executed("housekeeping")

    assert result.success
    assert told(result, "journal")["labels"] == 1
    assert passed(result) == {"undisputed": False, "quiet": False}
    assert told(result, "monitors")["said"].startswith("Error: No endpoint of")


@pytest.mark.parametrize("bold", [False, True])
def test_the_monitors_look_at_the_champion_every_hour(home: Home, *, bold: bool) -> None:
    served = {"1.0": state.Version("digits-1.0.mar", "digits-1.0.mar", 1, 1)}
    state.save(state.path(home), state.State(1, {"digits": state.Model("1.0", served)}))
    produced(home, bold=bold)

    result = executed("housekeeping")

    assert result.success
    assert monitors.path(home, "digits", "1.0").exists()
    assert passed(result)["quiet"] is not bold
    assert (told(result, "monitors")["alarms"] > 0) is bold


def test_dagsters_settings_are_ours_until_somebody_writes_their_own(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "dagster")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert not instance.telemetry_enabled
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1

    (folder / FILE).write_text("telemetry:\n  enabled: false\n")
    prepared(folder)

    assert (folder / FILE).read_text() == "telemetry:\n  enabled: false\n"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def scheduled(root: Path) -> Iterator[str]:
    """`demlopment schedule`, once its page answers; the address."""
    port = free_port()
    # As a shell starts what it puts into the background: SIGINT is ignored.
    background = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
    command = [*background, sys.executable, "-m", "demlopment", "--home", str(root), "schedule", "--port", str(port)]
    log = root.parent / "schedule.log"
    with (
        log.open("w") as told_,
        subprocess.Popen(command, stdout=told_, stderr=subprocess.STDOUT, start_new_session=True) as process,
    ):
        try:
            _wait(lambda: _answers(f"http://127.0.0.1:{port}/server_info"), process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)
    _wait(lambda: not _group(process.pid), process, log, alive=False)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).is_success
    except httpx2.TransportError:
        return False


def _group(leader: int) -> list[int]:
    """The processes of a session that are left."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def _wait(ready: Any, process: subprocess.Popen[bytes], log: Path, *, alive: bool = True) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        assert time.monotonic() < until, log.read_text()
        assert not alive or process.poll() is None, log.read_text()
        time.sleep(0.2)


def test_the_page_comes_up_offline_with_every_step_and_refers_to_nobody_else(tmp_path: Path) -> None:
    root = tmp_path / "var"
    with scheduled(root) as address:
        page = httpx2.get(address).text
        loaded = "{repositoriesOrError{...on RepositoryConnection{nodes{jobs{name} sensors{name sensorState{status}}}}}}"
        found = httpx2.post(f"{address}/graphql", json={"query": loaded}, timeout=PATIENCE_SECONDS).json()

    (repository,) = found["data"]["repositoriesOrError"]["nodes"]
    assert {"housekeeping", "retraining", "asking"} <= {each["name"] for each in repository["jobs"]}
    assert repository["sensors"] == [{"name": "due", "sensorState": {"status": "RUNNING"}}]
    assert '"telemetryEnabled": false' in page
    referred = re.findall(r"""(?:src|href|action)=["']([^"']*)["']""", page)
    assert len(referred) > 5
    assert not [each for each in referred if not each.startswith("/") or each.startswith("//")]
    assert (root / "dagster" / "history").is_dir(), "what Dagster remembers is below the home"


def test_a_port_that_is_taken_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        refused = run("schedule", "--port", str(port), home=tmp_path / "var")

    assert_two_sentences(refused, f"127.0.0.1:{port} cannot be used")
    assert not (tmp_path / "var").exists()


def test_without_dagster_the_command_says_what_to_install(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['dagster_webserver'] = None\n")

    refused = run("schedule", home=tmp_path / "var", PYTHONPATH=f"{hidden}{os.pathsep}{os.environ['PYTHONPATH']}")

    assert_two_sentences(refused, "Dagster is not installed", "make venv_orchestrate")
