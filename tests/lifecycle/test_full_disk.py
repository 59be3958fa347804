"""A disk that fills up while the demo runs: a clear error, and a home that goes on once there is room."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.test_interrupted import assert_nothing_is_left_running, wait_for
from tests.test_cli import assert_two_sentences, run

SMALL_MB = 140  # room for the check at the start, and for little more


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mount needs root, here or in a container with CAP_SYS_ADMIN: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def fill(disk: Path) -> Path:
    path = disk / "fill"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return path
    raise AssertionError("the disk has no end")


@pytest.mark.parametrize("step", ["Ingest and split", "Fit a better candidate"])
def test_a_disk_that_fills_up_is_named_and_the_home_goes_on_with_room(disk: Path, step: str) -> None:
    home = disk / "var"
    environment = os.environ | {"DEMLOPMENT_HOME": str(home), "DEMLOPMENT_TRAINING__EPOCHS": "3", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "demlopment", "demo"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    wait_for(demo, step)

    filled = fill(disk)
    told, errors = demo.communicate(timeout=200)
    filled.unlink()

    assert_two_sentences(subprocess.CompletedProcess(command, demo.returncode, told, errors))
    assert "fault of ours" not in errors
    assert "disk" in errors
    assert_nothing_is_left_running(home)
    assert not list(home.rglob("*.partial"))
    again = run("data", "ingest", home=home)
    assert again.stdout.startswith("5000 rows: 0 added, 5000 known"), again.stderr
