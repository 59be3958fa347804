"""What libjpeg remarks upon is not shown; nothing else is lost."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from demlopment.commands.hush import hushed

SPEAK = """
import os, sys
from demlopment.commands.hush import hushed
with hushed():
    os.write(2, b"first of a library\\nCorrupt JPEG data: 2 extraneous bytes before marker 0xd9\\nlast")
    print("at once", file=sys.stderr)
print("after", file=sys.stderr)
"""


def test_all_but_remarks_on_damage_is_passed_on() -> None:
    done = subprocess.run([sys.executable, "-c", SPEAK], capture_output=True, text=True, check=True)

    assert done.stderr == "at once\nfirst of a library\nlastafter\n"


def test_a_limit_that_stops_a_write_is_told_in_our_words_alone(tmp_path: Path) -> None:
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\nfrom demlopment.cli import main\nmain()"
    )
    command = [sys.executable, "-c", limited, "--home", str(tmp_path / "var"), "data", "ingest"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "File too large. A limit on the size of files is in force" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_was_said_before_a_failure_is_passed_on_too(capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        os.write(2, b"a panic\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), hushed():
        interrupted()

    assert capfd.readouterr().err == "a panic\n"


def test_an_ingest_of_damaged_pictures_says_its_own_lines_alone(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    data = bytearray(cv2.imencode(".jpg", noise)[1].tobytes())
    data[-2:-2] = bytes(40)
    (tmp_path / "pictures" / "1").mkdir(parents=True)
    (tmp_path / "pictures" / "1" / "a.jpg").write_bytes(data)
    command = [sys.executable, "-m", "demlopment", "--home", str(tmp_path / "var"), "data", "ingest", "--from"]

    done = subprocess.run([*command, str(tmp_path / "pictures")], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("1 rows: 1 added, 0 known, 0 in quarantine.\n", "")
