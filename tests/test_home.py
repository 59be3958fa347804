"""The home is writable or says why not; a write is whole or not there; one purpose has one holder."""

import errno
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from demlopment import home
from demlopment.errors import HomeError
from demlopment.home import Home


def test_opening_a_home_creates_it_and_nothing_in_it(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"

    Home(root).open()

    assert list(root.iterdir()) == []


def test_a_file_where_the_home_should_be_is_named(tmp_path: Path) -> None:
    path = tmp_path / "var"
    path.write_text("a file")

    with pytest.raises(HomeError, match=f"{path} cannot be written"):
        Home(path).open()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EACCES, "permission"),
        (errno.EROFS, "read-only"),
        (errno.EISDIR, "name a file"),
    ],
)
def test_what_the_disk_says_becomes_advice(tmp_path: Path, number: int, advice: str) -> None:
    with pytest.raises(HomeError, match=advice), home.explained(tmp_path):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass_through_unexplained(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError), home.explained(tmp_path):
        raise InterruptedError(errno.EINTR, "interrupted")


def test_a_full_database_becomes_advice(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "small.db")
    database.execute("PRAGMA max_page_count = 2")
    database.execute("CREATE TABLE t (x)")

    with pytest.raises(HomeError, match="Free some space"), home.explained(tmp_path):
        database.execute("INSERT INTO t VALUES (zeroblob(100000))")
    database.close()


def test_who_only_looks_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / f"left{home.PARTIAL}").write_bytes(b"")
    before = sorted(tmp_path.iterdir()), tmp_path.stat().st_mtime_ns

    Home(tmp_path).open(growing=False)

    assert (sorted(tmp_path.iterdir()), tmp_path.stat().st_mtime_ns) == before


def test_a_folder_of_the_system_that_takes_none_is_named() -> None:
    with pytest.raises(HomeError, match="/proc takes no folders"), home.new_folder(Path("/proc/out")):
        pass


def test_too_little_room_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "NEEDED_MB", 10**9)

    Home(tmp_path).open(growing=False)  # who removes must not be stopped by what he is about to end
    with pytest.raises(HomeError, match="MB left"):
        Home(tmp_path).open()


def test_opening_removes_what_an_interrupted_write_left(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    reborn = home.ending().replace("-", "-9")  # this process's number, in an earlier life
    names = [f".{gone.pid}{home.PARTIAL}", f".{os.getpid()}{home.PARTIAL}", f".{gone.pid}-7{home.PARTIAL}", reborn]
    leftovers = [tmp_path / "models" / f"digits.mar{name}" for name in names]
    running = tmp_path / "models" / f"digits.mar{home.ending()}"
    folder = tmp_path / "models" / f"folder{names[0]}"
    folder.mkdir(parents=True)
    for file in (*leftovers, running, tmp_path / f"of-others{home.PARTIAL}"):
        file.write_bytes(b"half")

    Home(tmp_path).open()

    assert not any(leftover.exists() for leftover in leftovers)
    assert running.exists(), "its writer lives and may be about to rename it"
    assert folder.exists()
    assert (tmp_path / f"of-others{home.PARTIAL}").exists()


def test_a_file_that_another_container_is_writing_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / f"big.mar.1-77{home.PARTIAL}"  # process 1 of this container did not start then

    with elsewhere.open("wb") as file:
        home.hold(file)
        home.sweep([elsewhere])
        kept = elsewhere.exists()
    home.sweep([elsewhere])

    assert kept
    assert not elsewhere.exists()


@pytest.mark.parametrize("root", ["/proc/nope", "/dev/null/nope", "/" + "x" * 300])
def test_a_place_that_cannot_be_a_home_is_named(root: str) -> None:
    with pytest.raises(HomeError, match=root):
        Home(Path(root)).open()


def test_a_failed_replace_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    home.replace(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HomeError, match="Free some space"):
        home.replace(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def hold(root: Path, ready: Connection) -> None:
    with Home(root).locked("turn"):
        ready.send(b"held")
        signal.pause()


def test_a_held_home_is_refused_and_free_again_once_its_holder_is_killed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    holder = context.Process(target=hold, args=(tmp_path, there))
    holder.start()
    assert here.recv() == b"held"

    with pytest.raises(HomeError, match="Another process is using"), Home(tmp_path).locked("turn"):
        pass
    with Home(tmp_path).locked("serve"):
        pass
    holder.kill()
    holder.join()

    with Home(tmp_path).locked("turn"):
        pass
