"""A study survives torn lines, full disks and restarts, and is the same in a file, in SQLite and in PostgreSQL."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from socket import AF_INET, socket
from tempfile import TemporaryDirectory

import pytest

from demlopment.errors import DataError, HomeError, NotReadyError
from demlopment.home import Home
from demlopment.training import studies
from demlopment.training.logbook import Logbook
from tests.lifecycle.test_full_disk import disk, fill
from tests.training import searching
from tests.training.searching import SPACE, searched

__all__ = ["disk"]


def test_an_entry_that_was_torn_by_a_kill_is_not_there_and_the_next_ones_are(tmp_path: Path) -> None:
    path = tmp_path / "studies" / "a.log"
    Logbook(path).append_logs([{"entry": 1}, {"entry": 2}])
    with path.open("ab") as file:
        file.write(b'{"entry": "' + b"x" * 10_000)

    book = Logbook(path)
    before = list(book.read_logs(0))
    book.append_logs([{"entry": 3}])

    assert before == [{"entry": 1}, {"entry": 2}]
    assert list(book.read_logs(0)) == list(Logbook(path).read_logs(0)) == [*before, {"entry": 3}]
    assert list(book.read_logs(2)) == [{"entry": 3}]


def test_a_disk_that_is_full_is_named_and_the_study_goes_on_with_room(disk: Path) -> None:
    home = Home(disk / "var")
    serial = searched(Home(disk / "other"))
    first = searched(home, trials=4)
    kept = (home.studies / "valley.log").read_bytes()

    filled = fill(disk)
    with pytest.raises(HomeError, match="No space left"):
        searched(home)
    whole = (home.studies / "valley.log").read_bytes()
    filled.unlink()
    trials = searched(home)

    assert whole.startswith(kept)
    assert whole.endswith(b"\n")
    assert trials[:4] == first
    assert [replace(trial, run="") for trial in trials] == [replace(trial, run="") for trial in serial]


@pytest.mark.parametrize("damage", [b"no journal\n{}\n", b'{"op_code": 99, "worker_id": ""}\n', b"\xff\n\n"])
def test_a_file_that_is_no_journal_is_named_and_left_alone(tmp_path: Path, damage: bytes) -> None:
    home = Home(tmp_path)
    path = home.studies / "valley.log"
    path.parent.mkdir()
    path.write_bytes(damage)

    for use in (lambda: searched(home), lambda: studies.best(home, None, "valley")):
        with pytest.raises(HomeError, match=r"valley.log is damaged.*Restore it"):
            use()

    assert path.read_bytes() == damage


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server of our own."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "/nowhere")]
    if not found[-1].exists():
        pytest.skip("PostgreSQL is missing: apt-get install postgresql")
    if find_spec("psycopg") is None:
        pytest.skip("The driver of PostgreSQL is missing: pip install 'demlopment[scale]'")
    with closing(socket(AF_INET)) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        become: list[str] = []
        if os.getuid() == 0:  # as whom it refuses to run
            become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
            shutil.chown(folder, "postgres", "postgres")

        def told(program: str, *arguments: str) -> None:
            command: list[str | Path] = [*become, found[-1].with_name(program), "-D", f"{folder}/data", *arguments]
            subprocess.run(command, stdout=subprocess.DEVNULL, cwd=folder, check=True, timeout=120)

        told("initdb", "-U", "tests", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder}"
        told("pg_ctl", "-w", "-l", f"{folder}/log", "-o", options, "start")
        yield f"postgresql+psycopg://tests:secret@127.0.0.1:{port}/postgres"
        told("pg_ctl", "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/studies.db"
    return str(request.getfixturevalue("postgres"))


def test_a_study_is_the_same_in_a_database_and_goes_on_there(tmp_path: Path, address: str) -> None:
    home = Home(tmp_path)

    first = searched(home, "moved", trials=6, address=address)
    with studies.opened(home, address, "moved", SPACE, searching.PLAN) as study:
        study.begin(dict(first[0].parameters) | {"batch_size": 17})  # as a search that was killed leaves it
    trials = searched(home, "moved", trials=12, address=address)
    refused = pytest.raises(DataError, match="begun with seed 3, and this search has 4")
    with refused:
        searched(home, "moved", seed=4, address=address)

    serial = searched(home, trials=20)
    assert trials[:6] == first
    assert [replace(trial, run="") for trial in first] == [replace(trial, run="") for trial in serial[:6]]
    assert trials[6].parameters["batch_size"] == 17
    assert trials[6].state != "running"
    assert studies.best(home, address, "moved") == studies.best_of("moved", trials)
    with pytest.raises(DataError, match=r"no study valley\. Those that there are: moved"):
        studies.best(home, address, "valley")


def test_two_homes_do_not_search_one_study_in_one_database(tmp_path: Path, postgres: str) -> None:
    other = Home(tmp_path / "other")

    with (
        studies.opened(Home(tmp_path), postgres, "shared", SPACE, searching.PLAN),
        pytest.raises(HomeError, match="Another search holds the study shared"),
    ):
        searched(other, "shared", address=postgres)


def test_a_folder_in_place_of_a_journal_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.studies / "valley.log").mkdir(parents=True)

    for use in (lambda: searched(home), lambda: studies.best(home, None, "valley")):
        with pytest.raises(HomeError, match=r"valley\.log"):
            use()


def test_a_driver_that_is_missing_is_named_with_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # an import then fails as if it were not installed

    with pytest.raises(NotReadyError, match=r"driver.*Install demlopment\[scale\]"):
        searched(Home(tmp_path), address="postgresql+psycopg://me@127.0.0.1:1/there")


def test_a_store_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    driver = "psycopg" if find_spec("psycopg") else "missing"
    for address in (f"sqlite:///{tmp_path}/nowhere/studies.db", f"postgresql+{driver}://me:secret@127.0.0.1:1/there"):
        with pytest.raises(NotReadyError, match="The store of studies") as refused:
            searched(Home(tmp_path), address=address)
        assert "secret" not in str(refused.value)
