"""A turn that is killed in every step goes on where it stood: one champion, one fit, each verdict once, and nobody unheard."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from demlopment import archive, images
from demlopment.data import Lake, RawRows, packaged_digits
from demlopment.home import Home
from demlopment.lifecycle import ledger, simulate
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.observe import plan
from demlopment.lifecycle.simulate import Letter
from demlopment.settings import Gate, Settings, Training
from tests.fakes import ListNarrator
from tests.lifecycle.test_learn import LAX
from tests.serving.endpoint import Running, digit, eventually, running

EPOCHS = 10
WEAK = Settings.model_construct(training=Training(epochs=6), gate=Gate(minimum_accuracy=0.1), evaluation=LAX)
VARIABLES = {
    "TRAINING__EPOCHS": str(EPOCHS),
    "GATE__SLICE_MARGIN": "1",
    **{f"EVALUATION__{name.upper()}": str(value) for name, value in LAX.model_dump(exclude_unset=True).items()},
    "RETRAINING__SHADOW_LABELS": "250",
    "RETRAINING__CANARY_STEPS": "[0.5]",
    "RETRAINING__CANARY_SECONDS": "0",
    "RETRAINING__CANARY_REQUESTS": "5",
}
# Kills its own process when a step has done all that it does, before it is noted; or within the fit.
DRIVER = """
import os, signal, sys
from pathlib import Path
from demlopment import settings
from demlopment.home import Home
from demlopment.lifecycle import steps
from demlopment.lifecycle.turn import turn
from demlopment.training import checkpoint
from tests.fakes import ListNarrator

root, at, by_hand = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "now"

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def killing(take):
    def killed(bench, current):
        take(bench, current)
        die()
    return killed

save = checkpoint.save

def counted(path, identity, state):
    save(path, identity, state)
    with (root / "learned").open("a") as file:
        file.write(f"{len(state['curve'])}\\n")
    if at == "epoch" and len(state["curve"]) == 3:
        die()

checkpoint.save = counted
if at in steps.STEPS:
    title, take = steps.STEPS[at]
    steps.STEPS[at] = title, killing(take)
found = turn(Home(root), settings.load(home=root), ListNarrator(), by_hand=by_hand)
print(f"{found.step}|{found.waits}|{found.sentence}")
"""


def retrained(home: Home, at: str = "", *options: str) -> tuple[int, str]:
    """The status of a process that turned the loop, and what it said."""
    environment = os.environ | {f"DEMLOPMENT_{name}": value for name, value in VARIABLES.items()}
    command = [sys.executable, "-W", "error", "-c", DRIVER, str(home.root), at, *(options or ("",))]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, check=False, cwd=Path(__file__).parents[2]
    )
    return done.returncode, done.stdout + done.stderr


def png(pixels: bytes) -> bytes:
    return images.encode_png(np.frombuffer(pixels, np.uint8).reshape(28, 28))


def sent(endpoint: Running, count: int, first: int) -> None:
    """So many digits, each by a user of its own, whose labels come back at once."""
    rows = packaged_digits().frame.slice(first, count)
    letters = [
        Letter(f"user-{first + place}", png(picture), label, place)
        for place, (picture, label) in enumerate(rows.select("image", "label").iter_rows())
    ]
    simulate.send(letters, endpoint.addresses.inference, "digits", headers={}, progress=lambda _: None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("retrain") / "var")
    home.open()
    rows, lake = packaged_digits(), Lake(home.lake)
    lake.add(RawRows(rows.name, rows.sha256, rows.frame.gather_every(15)))
    learn(home, WEAK, ListNarrator())
    lake.add(RawRows(rows.name, rows.sha256, rows.frame.gather_every(3)))
    return home


def test_a_turn_that_is_killed_in_every_step_ends_with_one_champion(home: Home) -> None:
    killed = -9

    assert retrained(home, "decide", "now")[0] == killed
    assert retrained(home, "snapshot")[0] == killed
    assert retrained(home, "epoch")[0] == killed
    assert retrained(home, "fit")[0] == killed
    status, said = retrained(home)
    assert (status, "No endpoint runs in" in said) == (1, True), said
    turned = ledger.read(home)
    assert turned is not None
    assert (turned.step, turned.attempts) == ("load", 0), "that no endpoint runs is no failure of the candidate"
    with running(home.root) as endpoint:
        assert retrained(home, "load")[0] == killed
        status, said = retrained(home)
        assert "shadow|True|The shadow 2.0 waits for labels: 0 of 250 came back." in said
        sent(endpoint, 260, 0)
        assert retrained(home, "shadow")[0] == killed
        status, said = retrained(home)
        assert "canary|True|The canary 2.0 is ramping with a share of 0.5." in said
        sent(endpoint, 60, 300)
        assert eventually(lambda: (found := plan(home, "digits").canary) is not None and found.state == "complete")
        assert retrained(home, "canary")[0] == killed
        status, said = retrained(home)
        assert "split|True|The split waits for labels" in said
        sent(endpoint, 320, 400)
        assert retrained(home, "split")[0] == killed
        assert retrained(home, "crown")[0] == killed
        status, said = retrained(home)
        assert "None|False|digits 2.0 answers every request" in said
        served = endpoint.management.get("/models/digits/all").json()
        answer = endpoint.inference.post("/predictions/digits", content=digit(1))

    entries = [each.verdict for each in History(home.history).entries()]
    names = Counter(str(each.evidence["turn"]) for each in entries if "turn" in each.evidence)
    assert set(names.values()) == {1}
    assert {name.rpartition("/")[2] for name in names} >= {"decide", "gate", "shadow", "canary", "split", "end"}
    assert [each["modelVersion"] for each in served] == ["2.0"]
    assert answer.headers["x-model-version"] == "2.0"
    assert (entries[-1].kind, entries[-1].decision, entries[-1].subject, entries[-1].against) == (
        "retraining",
        "promote",
        "digits 2.0",
        "digits 1.0",
    )
    assert (home.root / "learned").read_text().split() == [str(epoch) for epoch in range(1, EPOCHS + 1)]
    assert not home.turn.exists()
    assert not home.checkpoint.exists()
    assert sorted(path.name for path in home.models.iterdir()) == ["digits-1.0.mar", "digits-2.0.mar"]
    assert archive.read(home.models / "digits-2.0.mar").card.lineage["snapshot"].startswith("turn-")
    assert json.loads((home.endpoint / "state.json").read_text())["models"]["digits"]["plan"] is None
