"""`demlopment train` in two processes: one of them leads and keeps what came of it, once."""

import os
import subprocess
import sys
from pathlib import Path

from demlopment import archive
from demlopment.data import Lake, packaged_digits
from demlopment.home import Home
from demlopment.lifecycle.history import History
from demlopment.lifecycle.reproduce import reproduced
from tests.lifecycle.test_learn import SHORT

LAX = {
    "TRAINING__EPOCHS": "2",
    "TRAINING__LEARNING_RATE": "4e-4",  # as in tests/training/test_team.py
    "GATE__MINIMUM_ACCURACY": "0.1",
    "EVALUATION__BEHAVIOUR": "tell",
    "EVALUATION__LEAST_SLICE": "0",
    "EVALUATION__LEAST_CALIBRATION_SLOPE": "0",
    "EVALUATION__MOST_CALIBRATION_ERROR": "1",
    "EVALUATION__MOST_DOUBTED_LABELS": "1",
    "EVALUATION__MOST_MILLISECONDS": "10000",
}


def test_torchrun_trains_one_model_which_as_many_processes_make_again_bit_for_bit(tmp_path: Path) -> None:
    home = Home(tmp_path / "var")
    home.open()
    Lake(home.lake).add(packaged_digits())
    settings = {f"DEMLOPMENT_{name}": value for name, value in (LAX | {"HOME": str(home.root)}).items()}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]

    environment = {**os.environ, **settings, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    trained, again = (
        subprocess.run(
            [*command, "--nproc-per-node", "2", "-m", "demlopment", *what],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        for what in (["train"], ["models", "reproduce", "1.0"])
    )

    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.count("Verdict: promote digits 1.0.") == 1
    assert [entry.verdict.subject for entry in History(home.history).entries()] == ["digits 1.0"]
    assert archive.read(home.models / "digits-1.0.mar").card.lineage["processes"] == 2
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("Version 1.0 is reproduced bit for bit: ") == 1
    assert "the number of processes that fit it is 1, and was 2" in reproduced(home, SHORT, "1.0").changed
