"""A look at a home says a sentence, writes down what it saw for the endpoint, and records a verdict once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demlopment import archive as archives
from demlopment.archive import Archive, Card
from demlopment.data import Answers
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.images import VERSION
from demlopment.lifecycle.history import History
from demlopment.lifecycle.watching import champion, watch
from demlopment.monitoring import profile
from demlopment.records import Feedback, Prediction
from demlopment.serving import monitors
from demlopment.serving.tally import Tally
from demlopment.settings import Monitoring
from tests.test_cli import assert_two_sentences, run

CLASSES, WIDTH = 10, 6
RULES = Monitoring(window=20, false_alarm_rate=0.001)


def drawn(rng: np.random.Generator, rows: int, bright: int = 200) -> tuple[Any, Any, Any]:
    pictures = rng.integers(0, bright, (rows, 28, 28), np.uint8)
    shares = rng.dirichlet(np.full(CLASSES, 0.1), rows).astype(np.float32)
    return pictures, shares, rng.random((rows, WIDTH)).astype(np.float32)


def model() -> Archive:
    card = Card("digits", "1.0", tuple("0123456789"), VERSION, 1.0, {"accuracy_low": 0.9}, {})
    return Archive(card, b"network", profile(*drawn(np.random.default_rng(1), 300)), b"sample")


def asked(rng: np.random.Generator, begin: int, rows: int, bright: int = 200) -> list[Prediction]:
    whole = zip(range(begin, begin + rows), *drawn(rng, rows, bright), strict=True)
    return [
        Prediction(f"r{at}", float(at), "digits", "1.0", "direct", "", image, str(shares.argmax()), shares, point, 1.0, "")
        for at, image, shares, point in whole
    ]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "var")
    home.open()
    return home


def told(home: Home) -> dict[str, float]:
    tally = Tally()
    monitors.tell(home, [("digits", "1.0"), ("digits", "9.0")], tally)
    return {" ".join(series): value for series, (value, _) in tally.gauges.items()}


def test_looks_test_each_window_once_and_an_alarm_stands_until_the_next_window(home: Home) -> None:
    rng, lake, packed = np.random.default_rng(2), Answers(home.lake), model()
    calm, bright, more = asked(rng, 0, 41), asked(rng, 41, 34, bright=90), asked(rng, 75, 25)
    lake.add("a", calm, [Feedback("r3", 60.0, calm[3].label)], [])
    first = watch(home, RULES, packed, now=100.0)
    lake.add("b", bright, [], [])
    second = watch(home, RULES, packed, now=101.0)
    still = watch(home, RULES, packed, now=102.0)
    lake.add("c", more, [], [])
    last = watch(home, RULES, packed, now=103.0)

    assert [[window.start for window in each.panel.windows] for each in (first, second, still, last)] == [
        [0, 20],
        [40],
        [],
        [60, 80],
    ]
    assert [[each.monitor for each in seen.panel.alarms] for seen in (first, second, still, last)] == [
        [],
        ["drift"],
        ["drift"],
        ["drift"],
    ]
    assert (first.answers, first.labels) == (41, 1)
    assert still.sentence.startswith("digits 1.0 needs attention.")
    decisions = [entry.verdict.decision for entry in History(home.history).entries()]
    assert decisions == ["hold", "retrain", "retrain"]


def test_the_endpoint_is_told_what_the_last_look_said_of_versions_that_it_serves(home: Home) -> None:
    Answers(home.lake).add("a", asked(np.random.default_rng(3), 0, 40, bright=90), [], [])

    watch(home, RULES, model(), now=77.0)

    seen = told(home)
    assert seen["demlopment_monitor_timestamp_seconds digits 1.0"] == 77
    assert seen["demlopment_monitor_alarm digits 1.0 drift"] == 1
    assert seen["demlopment_monitor_alarm digits 1.0 data"] == 0
    assert seen["demlopment_monitor_value digits 1.0 drift"] < 0.001
    assert sum(value for name, value in seen.items() if "broken" in name) == 0
    assert not any("9.0" in name for name in seen)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": 99}', '{"format": 1, "at": 1}', '{"format": 1, "at": 1, "findings": [3]}']
)
def test_a_file_that_cannot_be_read_is_told_as_broken_and_the_next_look_begins_anew(home: Home, content: str) -> None:
    Answers(home.lake).add("a", asked(np.random.default_rng(3), 0, 40), [], [])
    path = monitors.path(home, "digits", "1.0")
    path.parent.mkdir()
    path.write_text(content)

    before = told(home)
    again = watch(home, RULES, model(), now=5.0)

    assert before == {"demlopment_monitor_broken digits 1.0 file": 1}
    assert len(again.panel.windows) == 2
    assert "demlopment_monitor_broken digits 1.0 file" not in told(home)


def test_an_empty_home_says_that_nothing_was_asked(home: Home) -> None:
    seen = watch(home, RULES, model(), now=5.0)

    assert seen.sentence == "Nothing has been asked of digits 1.0, so nothing can be said of it."
    assert History(home.history).entries() == []
    with pytest.raises(DataError, match="No endpoint of"):
        champion(home, "digits")


def test_a_profile_of_another_format_is_told_by_the_command_and_the_others_run(home: Home, tmp_path: Path) -> None:
    Answers(home.lake).add("a", asked(np.random.default_rng(3), 0, 40), [], [])
    packed = model()
    path = archives.write(tmp_path, replace(packed, reference=dict(packed.reference) | {"format": 99}))

    done = run("monitor", "look", path, home=home.root)

    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert first.endswith("Broken: drift, no class, mix of classes, estimated accuracy.")
    assert any(line.startswith("BROKEN") and "format 99" in line for line in others)
    assert json.loads(monitors.path(home, "digits", "1.0").read_text())["sentence"] == first


def test_the_command_needs_somebody_to_look_at(home: Home) -> None:
    done = run("monitor", "look", home=home.root)

    assert_two_sentences(done)
    assert "Name the archive" in done.stderr
