import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from demlopment.errors import ArchiveError, HomeError, NotReadyError
from demlopment.home import Home
from demlopment.records import Epoch
from demlopment.training.tracking import MlflowTracker, Tracker
from tests.fakes import MemoryTracker

CURVE = (Epoch(1.5, 0.9, 0.8), Epoch(0.7, 0.4, 0.92))


def recorded(tracker: Tracker, folder: Path, version: str) -> str:
    archive = folder / f"digits-{version}.mar"
    archive.write_bytes(f"the archive of {version}".encode())
    parameters = {"epochs": 2, "tracking_uri": None}
    metrics = {"accuracy": 0.91, "test_rows": 730}
    return tracker.record(f"digits {version}", parameters, CURVE, metrics, archive, commit="c0ffee", edited=True)


class TrackerConformance:
    """What every tracker promises."""

    def test_there_is_no_champion_before_one_is_named(self, tracker: Tracker, tmp_path: Path) -> None:
        assert tracker.champion("digits") is None

        tracker.register("digits", "1.0", recorded(tracker, tmp_path, "1.0"))

        assert tracker.champion("digits") is None

    def test_the_champion_is_the_version_that_was_last_called_so(self, tracker: Tracker, tmp_path: Path) -> None:
        for version in ("1.0", "2.0"):
            tracker.register("digits", version, recorded(tracker, tmp_path, version))

        tracker.alias("digits", "champion", "1.0")
        tracker.alias("digits", "challenger", "2.0")
        first = tracker.champion("digits")
        tracker.alias("digits", "champion", "2.0")

        assert (first, tracker.champion("digits")) == ("1.0", "2.0")

    def test_versions_keep_our_names_whatever_order_they_come_in(self, tracker: Tracker, tmp_path: Path) -> None:
        for version in ("7.0", "3.1"):
            tracker.register("digits", version, recorded(tracker, tmp_path, version))

        tracker.alias("digits", "champion", "3.1")

        assert tracker.champion("digits") == "3.1"

    def test_models_do_not_share_versions(self, tracker: Tracker, tmp_path: Path) -> None:
        tracker.register("digits", "1.0", recorded(tracker, tmp_path, "1.0"))
        tracker.register("letters", "2.0", recorded(tracker, tmp_path, "2.0"))
        tracker.alias("digits", "champion", "1.0")

        assert tracker.champion("letters") is None
        with pytest.raises(ArchiveError, match=r"letters 1\.0 is not registered"):
            tracker.alias("letters", "champion", "1.0")

    def test_a_version_leads_back_to_its_newest_run(self, tracker: Tracker, tmp_path: Path) -> None:
        runs = [recorded(tracker, tmp_path, "1.0") for _ in range(2)]
        for run in runs:
            tracker.register("digits", "1.0", run)

        assert tracker.run("digits", "1.0") == runs[-1]
        assert tracker.run("digits", "2.0") is None
        assert tracker.run("it's", "1.0") is None

    def test_a_version_that_is_registered_again_is_no_error(self, tracker: Tracker, tmp_path: Path) -> None:
        for _ in range(2):
            tracker.register("digits", "1.0", recorded(tracker, tmp_path, "1.0"))

        tracker.alias("digits", "champion", "1.0")

        assert tracker.champion("digits") == "1.0"

    def test_an_unregistered_version_cannot_be_named(self, tracker: Tracker) -> None:
        with pytest.raises(ArchiveError, match=r"digits 9\.0 is not registered"):
            tracker.alias("digits", "champion", "9.0")

    def test_every_fit_is_a_run_of_its_own(self, tracker: Tracker, tmp_path: Path) -> None:
        assert recorded(tracker, tmp_path, "1.0") != recorded(tracker, tmp_path, "1.0")


class TestMemoryTracker(TrackerConformance):
    @pytest.fixture
    def tracker(self) -> Tracker:
        return MemoryTracker()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take 3 s to make."""
    folder = tmp_path_factory.mktemp("tracking")
    MlflowTracker(f"sqlite:///{folder}/template.db", folder / "nothing-comes-here")
    return folder / "template.db"


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Path:
    # The experiment remembers where its artifacts go, so each test starts without one.
    copy = shutil.copy(template, tmp_path / "tracking.db")
    connection = sqlite3.connect(copy)
    with connection:
        connection.execute("DELETE FROM experiments WHERE name = 'demlopment'")
    connection.close()
    return tmp_path / "tracking.db"


class TestMlflowTracker(TrackerConformance):
    @pytest.fixture
    def tracker(self, database: Path, tmp_path: Path) -> Tracker:
        return MlflowTracker(f"sqlite:///{database}", tmp_path / "artifacts")


def test_mlflow_holds_the_parameters_the_curve_the_scores_and_a_copy_of_the_archive(database: Path, tmp_path: Path) -> None:
    tracker = MlflowTracker(f"sqlite:///{database}", tmp_path / "artifacts")

    run_id = recorded(tracker, tmp_path, "1.0")

    run = tracker.client.get_run(run_id)
    assert run.info.run_name == "digits 1.0"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "2", "tracking_uri": "None"}
    assert run.data.metrics["accuracy"] == 0.91
    assert (run.data.tags["mlflow.source.git.commit"], run.data.tags["demlopment.edited"]) == ("c0ffee", "true")
    curve = tracker.client.get_metric_history(run_id, "validation_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.9), (2, 0.4)]
    (tmp_path / "digits-1.0.md").write_text("# Model card")
    tracker.attach(run_id, [tmp_path / "digits-1.0.md"])
    assert len(list((tmp_path / "artifacts").rglob("digits-1.0.md"))) == 1
    copies = list((tmp_path / "artifacts").rglob("digits-1.0.mar"))
    assert [copy.read_text() for copy in copies] == ["the archive of 1.0"]


def test_another_process_finds_the_champion_and_its_archive(database: Path, tmp_path: Path) -> None:
    first = MlflowTracker(f"sqlite:///{database}", tmp_path / "artifacts")
    first.register("digits", "1.0", recorded(first, tmp_path, "1.0"))
    first.alias("digits", "champion", "1.0")

    later = MlflowTracker(f"sqlite:///{database}", tmp_path / "artifacts")

    assert later.champion("digits") == "1.0"
    source = later.client.get_model_version_by_alias("digits", "champion").source
    assert (Path(str(source).removeprefix("file://")) / "digits-1.0.mar").exists()


def test_a_home_that_was_copied_keeps_its_copies_in_its_own_place(database: Path, tmp_path: Path) -> None:
    old = MlflowTracker(f"sqlite:///{database}", tmp_path / "old")
    recorded(old, tmp_path, "1.0")

    moved = [MlflowTracker(f"sqlite:///{database}", tmp_path / "new") for _ in range(2)]
    for number, tracker in enumerate(moved):
        recorded(tracker, tmp_path, f"2.{number}")

    assert moved[0].experiment == moved[1].experiment
    assert sorted(copy.name for copy in (tmp_path / "new").rglob("*.mar")) == ["digits-2.0.mar", "digits-2.1.mar"]
    assert [copy.name for copy in (tmp_path / "old").rglob("*.mar")] == ["digits-1.0.mar"]


def test_a_database_without_its_driver_is_named() -> None:
    with pytest.raises(NotReadyError, match=r"mysql.*No module named 'pymysql'"):
        MlflowTracker("mysql+pymysql://127.0.0.1:1/tracking", Path("artifacts"))


def test_a_file_that_is_not_a_database_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "tracking.db").write_text("this is a letter to my aunt, and no database at all")

    with pytest.raises(HomeError, match=r"tracking\.db is not a tracking database"):
        MlflowTracker(f"sqlite:///{tmp_path}/tracking.db", tmp_path / "artifacts")


def test_a_database_of_something_else_is_not_taken_over(tmp_path: Path, database: Path) -> None:
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    connection.close()

    with pytest.raises(NotReadyError, match=r"The tracking store sqlite:///.*tracking\.db did not do what it was asked"):
        MlflowTracker(f"sqlite:///{database}", tmp_path / "artifacts")


SCRIPT = """
import sys
from contextlib import suppress
from pathlib import Path
from demlopment.training.tracking import MlflowTracker
sys.addaudithook(lambda event, values: print(event, values) if event in ("socket.connect", "socket.getaddrinfo") else None)
folder = Path(sys.argv[1])
tracker = MlflowTracker(f"sqlite:///{folder}/tracking.db", folder / "artifacts")
(folder / "digits-1.0.mar").write_bytes(b"an archive")
run = tracker.record("digits 1.0", {}, (), {"accuracy": 0.9}, folder / "digits-1.0.mar", commit="c0ffee", edited=None)
tracker.register("digits", "1.0", run)
tracker.alias("digits", "champion", "1.0")
"""


def in_a_new_process(folder: Path) -> subprocess.Popen[str]:
    # MLflow holds its tongue of its own accord where it sees a test or a build machine.
    loud = ("MLFLOW", "DO_NOT_TRACK", "PYTEST", "CI")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(loud)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environment,
    )


def test_a_kill_among_the_migrations_does_not_stop_the_next_process_which_is_silent_and_connects_to_nothing(
    tmp_path: Path,
) -> None:
    victim = in_a_new_process(tmp_path)
    while not any(path.stat().st_size > 100_000 for path in tmp_path.glob("*.partial")):
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"It ended before it could be killed: {victim.wait(timeout=0.02)}")
    victim.kill()
    victim.communicate()
    assert not (tmp_path / "tracking.db").exists()
    (tmp_path / "tracking.db.1.partial-journal").write_bytes(b"of another that was killed")
    Home(tmp_path).open()  # as every run begins

    second = in_a_new_process(tmp_path)
    said, _ = second.communicate(timeout=60)

    assert (second.returncode, said) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts", "digits-1.0.mar", "tracking.db"]
    assert MlflowTracker(f"sqlite:///{tmp_path}/tracking.db", tmp_path / "artifacts").champion("digits") == "1.0"


def test_a_record_that_is_cut_off_does_not_stop_the_next(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt  # nothing in `record` cleans up, so the store is left as a kill would leave it

    tracker = MlflowTracker(f"sqlite:///{database}", tmp_path / "artifacts")
    monkeypatch.setattr(tracker.client, "log_artifact", cut_off)
    with pytest.raises(KeyboardInterrupt):
        recorded(tracker, tmp_path, "1.0")

    later = MlflowTracker(f"sqlite:///{database}", tmp_path / "artifacts")
    later.register("digits", "1.0", recorded(later, tmp_path, "1.0"))
    later.alias("digits", "champion", "1.0")

    assert later.champion("digits") == "1.0"
    left = later.client.search_runs([later.experiment], "attributes.status = 'RUNNING'")
    assert [run.info.run_name for run in left] == ["digits 1.0"]


def test_a_tracking_database_with_a_damaged_middle_is_named(tmp_path: Path) -> None:
    database = tmp_path / "tracking.db"
    MlflowTracker(f"sqlite:///{database}", tmp_path / "artifacts")
    pages = bytearray(database.read_bytes())
    pages[4096 * 2 :] = b"\xff" * (len(pages) - 4096 * 2)
    database.write_bytes(pages)

    with pytest.raises((NotReadyError, HomeError), match=r"tracking\.db"):
        MlflowTracker(f"sqlite:///{database}", tmp_path / "artifacts").champion("digits")
