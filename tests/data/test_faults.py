"""Writers at once, writers that are killed, and disks that fill up: real processes, real Delta tables, one outcome."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demlopment.data.lake import Lake
from demlopment.data.sources import RawRows, spoiled
from demlopment.errors import HomeError
from tests.lifecycle.test_full_disk import disk, fill

SALT = "demlopment-1"
START = """
import os, signal, sys
from pathlib import Path
from demlopment.data import delta
from demlopment.data.lake import Lake
from demlopment.data.sources import RawRows, packaged_digits, spoiled
def some(first, every=25):
    rows = packaged_digits()
    return RawRows(rows.name, rows.sha256, rows.frame[first:].gather_every(every))
lake = Lake(sys.argv[1])
"""
WRITE = "print('ready', flush=True); sys.stdin.readline(); added = lake.add(some({first})); print(added.added, added.known)"
DIE = """
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
delta.FILE_BYTES = 10_000  # so that files are written while rows still come
whole, insert = delta.DeltaStore.extend, delta.DeltaStore.insert
points = dict(
    quarantined=lambda: setattr(delta.DeltaStore, 'insert', lambda *a, **k: (insert(*a, **k), die())),
    streaming=lambda: setattr(delta.DeltaStore, 'extend', lambda s, t, frames, **k: whole(s, t, broken(frames), **k)),
    committed=lambda: setattr(delta.DeltaStore, 'extend', lambda *a, **k: (whole(*a, **k), die())),
)
def broken(frames):
    for frame in frames:
        yield from frame.iter_slices(50)
        die()
points[sys.argv[2]]()
lake.add(spoiled(some(0)))
"""

__all__ = ["disk"]


def script(text: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START + text, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "lake") if request.param == "folder" else request.getfixturevalue("s3")


def held(root: Path | str) -> list[tuple[str, str, str]]:
    lake = Lake(root)
    return sorted(lake.entries(lake.pin("all", SALT)).select("key", "label", "source").rows())


def test_processes_that_add_the_same_and_other_rows_at_once_add_each_row_once(
    digits: RawRows, root: str, tmp_path: Path
) -> None:
    firsts = (0, 0, 7)
    writers = [script(WRITE.format(first=first), root) for first in firsts]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"

    told = [writer.communicate("go\n")[0].split() for writer in writers if writer.stdin is not None]

    alone = Lake(tmp_path / "alone")
    for first in firsts:
        alone.add(RawRows(digits.name, digits.sha256, digits.frame[first:].gather_every(25)))
    assert held(root) == held(tmp_path / "alone")
    assert sum(int(added) for added, _ in told) == 400
    assert sum(int(known) for _, known in told) == 200


@pytest.mark.parametrize("point", ["quarantined", "streaming", "committed"])
def test_a_writer_that_is_killed_and_repeated_ends_in_the_same_tables(
    digits: RawRows, root: str, tmp_path: Path, point: str
) -> None:
    some = spoiled(RawRows(digits.name, digits.sha256, digits.frame.gather_every(25)))
    with script(DIE, root, point) as killed:
        killed.communicate()

    again = Lake(root).add(some)

    alone = Lake(tmp_path / "alone")
    alone.add(some)
    assert killed.returncode == -signal.SIGKILL
    assert (again.added, again.known) == ((200, 0) if point == "streaming" else (0, 200))
    assert held(root) == held(tmp_path / "alone")
    assert Lake(root).quarantine() == alone.quarantine()


@pytest.mark.parametrize("left", [0, 100_000, 1_000_000])  # bytes
def test_a_disk_that_fills_up_leaves_the_lake_as_it_was_and_no_line_of_a_library(
    disk: Path, digits: RawRows, few: RawRows, capfd: pytest.CaptureFixture[str], left: int
) -> None:
    lake = Lake(disk / "lake")
    lake.add(few)
    before = held(disk / "lake")
    filled = fill(disk)
    os.truncate(filled, filled.stat().st_size - left)

    with pytest.raises(HomeError, match=r"/examples cannot be written: No space left on device\. Free some space"):
        lake.add(spoiled(digits))

    assert held(disk / "lake") == before
    assert lake.quarantine() == ()
    assert capfd.readouterr().err == ""
    filled.unlink()
    assert lake.add(digits).added == 4900


def test_a_limit_on_the_size_of_files_is_named_and_leaves_the_lake_as_it_was(few: RawRows, tmp_path: Path) -> None:
    Lake(tmp_path / "lake").add(few)
    before = held(tmp_path / "lake")
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "try: lake.add(some(7))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    with script(limited, tmp_path / "lake") as writer:
        told, _ = writer.communicate()

    assert told.startswith("HomeError")
    assert "too large" in told
    assert held(tmp_path / "lake") == before
