"""The second use case runs from a CSV to the next champion, and what it concludes is true of wines whose truth is known."""

import inspect
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import examples.wine
from demlopment import archive, evaluation
from demlopment.home import Home
from demlopment.lifecycle import observe
from demlopment.lifecycle.observe import Traffic
from demlopment.lifecycle.problem import Problem
from demlopment.records import Reading, Verdict
from demlopment.settings import Settings
from examples.wine import table, turn
from examples.wine.table import CLASSES

FOLDER = Path(inspect.getfile(examples.wine)).parent


@dataclass(frozen=True, eq=False)
class Told:
    """What a turn left behind."""

    problem: Problem
    reading: Reading
    lines: list[str]
    traffic: Traffic

    def verdicts(self, kind: str) -> list[Verdict]:
        return [entry.verdict for entry in self.problem.history.entries() if entry.verdict.kind == kind]

    def accuracy(self, version: str, *, pressed: bool = False) -> float:
        """On so many wines that chance hardly counts."""
        values, labels = table.wines(20_000, seed=99)
        model = archive.read(archive.named(self.problem.home.models, "wine", version))
        read = evaluation.reader(model)(table.another_press(values) if pressed else values)
        return float((read.argmax(axis=1) == labels).mean())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    home = Home(tmp_path_factory.mktemp("wine"))
    lines: list[str] = []
    problem = turn.cellar(home, Settings())
    reading = turn.turn(problem, lines.append)
    return Told(problem, reading, lines, observe.journalled(home, "wine", 0.0))


def test_each_slip_of_the_laboratory_waits_with_its_reason(told: Told) -> None:
    bad = told.problem.lake.quarantine()

    assert {(each.source, *each.reasons) for each in bad} == {
        ("laboratory", "alcohol outside 9 to 17"),
        ("laboratory", "malic_acid missing"),
        ("laboratory", "colour no number"),
        ("laboratory", "label outside barolo to barbera"),
    }


def test_the_gate_lets_the_better_network_through_and_no_network_is_better_than_the_truth_allows(told: Told) -> None:
    ceiling = table.ceiling(*table.wines(20_000, seed=99))
    noise = 4 * math.sqrt(0.25 / 20_000)

    assert [verdict.decision for verdict in told.verdicts("gate")] == ["promote"] * 3
    assert told.accuracy("1.0") + 0.05 < told.accuracy("2.0") < ceiling + noise
    assert told.accuracy("2.0") > ceiling - 0.02


def test_every_wine_that_was_asked_about_is_in_the_journal_as_it_was_sent(told: Told) -> None:
    sent, _ = table.wines(turn.BEFORE, seed=2)
    journalled = [each for each in told.traffic.predictions if each.unit.startswith("customer 2.")]

    kept = {int(each.unit.rpartition(".")[2]): each.image for each in journalled if each.image is not None}

    assert sorted(kept) == list(range(turn.BEFORE))
    assert all(np.array_equal(kept[place], row) for place, row in enumerate(sent))


def test_the_experiment_says_what_is_true(told: Told) -> None:
    true = told.accuracy("2.0") - told.accuracy("1.0")

    assert told.reading.interval.low < true < told.reading.interval.high
    assert told.reading.decision == "promote"
    assert told.reading.control.requests + told.reading.treatment.requests == turn.BEFORE


def test_the_monitor_is_silent_before_the_press_changes_and_loud_after(told: Told) -> None:
    model = archive.read(archive.named(told.problem.home.models, "wine", "2.0"))
    parts = [
        Traffic([each for each in told.traffic.predictions if each.unit.startswith(f"customer {seed}.")], (), {})
        for seed in (2, 3)
    ]

    before, after = (observe.drift(each, model, told.problem.settings.monitoring) for each in parts)

    assert len(before) == turn.BEFORE // 100
    assert not [window for window in before if window.drifted]
    assert all(window.drifted for window in after)
    blamed = {test.name for window in after for test in window.tests if test.p_value < window.threshold}
    assert {"colour", "hue"} <= blamed
    assert not {"alcohol", "malic_acid", "ash"} & blamed


def test_what_came_back_teaches_the_next_champion_the_new_press(told: Told) -> None:
    snapshots = told.problem.lake.snapshots()

    assert snapshots["second"].rows > snapshots["first"].rows + 500
    assert told.accuracy("3.0", pressed=True) > told.accuracy("2.0", pressed=True) + 0.1
    assert told.lines[-1] == "wine 3.0 answers every request"
    found = observe.registered(told.problem.home, "wine")
    assert found is not None
    assert found.default == "3.0"


def test_the_commands_read_the_wines_as_they_read_digits(told: Told) -> None:
    home = told.problem.home
    env = {**os.environ, "DEMLOPMENT_HOME": str(home.root), "DEMLOPMENT_DATA__CLASSES": ",".join(CLASSES)}
    archived = str(archive.named(home.models, "wine", "2.0"))

    def said(*command: str) -> str:
        whole = [sys.executable, "-m", "demlopment", *command]
        return subprocess.run(whole, env=env, capture_output=True, text=True, check=True, timeout=120).stdout

    assert "2.0" in said("models", "list")
    assert "alcohol outside 9 to 17" in said("data", "quarantine")
    moved = said("data", "compact")
    look = said("monitor", "look", archived)
    assert moved
    assert re.search(r"ALARM +drift: .*(?:hue|colour|embedding)", look), look
    assert len(observe.journalled(home, "wine", 0.0).predictions) == len(told.traffic.predictions)


def test_it_is_told_in_fewer_than_200_lines() -> None:
    written = [line for file in FOLDER.glob("*.py") for line in file.read_text().splitlines() if line.strip()]

    assert 100 < len(written) < 200
