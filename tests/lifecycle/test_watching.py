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
from demlopment.errors import ArchiveError, DataError
from demlopment.home import Home
from demlopment.images import VERSION
from demlopment.lifecycle.history import History
from demlopment.lifecycle.watching import champion, watch
from demlopment.monitoring import panel as panels
from demlopment.monitoring import profile, trust
from demlopment.records import Feedback, Prediction, Scores
from demlopment.serving import monitors, state
from demlopment.serving.tally import Tally
from demlopment.settings import Monitoring
from tests.test_cli import assert_two_sentences, run

PUSHING = {"DEMLOPMENT_MONITORING__NICENESS": "0"}  # other tests keep the processors busy
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


def test_answers_that_are_dated_later_than_now_wait_for_their_time_and_hide_none_that_come_later(home: Home) -> None:
    rng, lake, packed = np.random.default_rng(2), Answers(home.lake), model()
    calm = asked(rng, 0, 35)
    lake.add("a", [*calm, *(each._replace(request_id=f"l{each.at}", at=each.at + 9000) for each in asked(rng, 35, 5))], [], [])
    lake.add("b", asked(rng, 100, 25), [], [])

    first = watch(home, RULES, packed, now=40.0)
    second = watch(home, RULES, packed, now=200.0)
    later = watch(home, RULES, packed, now=9100.0)

    assert [[window.start for window in each.panel.windows] for each in (first, second, later)] == [[0], [20, 40], []]
    assert [each.monitor for each in second.panel.alarms] == ["data"]
    assert "5 answers are dated later than now, so a clock is wrong" in second.sentence
    assert later.panel.alarms == ()


def test_a_look_by_a_clock_that_was_ahead_stops_no_later_look(home: Home) -> None:
    rng, lake, packed = np.random.default_rng(2), Answers(home.lake), model()
    lake.add("a", asked(rng, 9000, 20), [], [])
    watch(home, RULES, packed, now=9020.0)
    watch(home, RULES, packed, now=100.0)
    lake.add("b", asked(rng, 110, 20), [], [])

    again = watch(home, RULES, packed, now=150.0)

    assert [(window.start, window.examples) for window in again.panel.windows] == [(0, 20)]


def test_a_look_begins_with_the_first_answer_of_its_version(home: Home) -> None:
    rng, lake, packed = np.random.default_rng(2), Answers(home.lake), model()
    before = [each._replace(version="0.9") for each in asked(rng, 0, 60, bright=90)]
    lake.add("a", before, [Feedback("r3", 61.0, "1"), Feedback("nobody", 61.0, "1")], [])

    nothing = watch(home, RULES, packed, now=100.0)
    lake.add("b", asked(rng, 100, 20), [], [])
    seen = watch(home, RULES, packed, now=130.0)

    assert nothing.sentence == "Nothing has been asked of digits 1.0, so nothing can be said of it."
    assert [(window.start, window.drifted) for window in seen.panel.windows] == [(0, False)]
    assert (seen.answers, seen.labels, seen.panel.alarms) == (20, 0, ())
    assert "1 labels belong to no answer" in next(each.sentence for each in seen.panel.findings if each.monitor == "data")


def test_a_monitor_that_breaks_is_not_hidden_by_what_it_said_before(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("by zero")

    rng, lake, packed = np.random.default_rng(2), Answers(home.lake), model()
    lake.add("a", asked(rng, 0, 20), [], [])
    watch(home, RULES, packed, now=30.0)
    lake.add("b", asked(rng, 40, 20), [], [])
    with monkeypatch.context() as broken:
        broken.setattr(panels, "drifts", crash)
        seen = watch(home, RULES, packed, now=70.0)
        shown = told(home)
    mended = watch(home, RULES, packed, now=71.0)
    idle = watch(home, RULES, packed, now=72.0)

    assert seen.sentence.endswith("Broken: drift.")
    assert shown["demlopment_monitor_broken digits 1.0 drift"] == 1
    assert [window.start for window in mended.panel.windows] == [20]
    assert mended.panel.broken == idle.panel.broken == ()


def test_what_is_estimated_alarms_until_the_next_window(home: Home) -> None:
    rng, lake, packed = np.random.default_rng(2), Answers(home.lake), model()
    _, shares, _ = drawn(rng, 1000)
    truth = np.array([rng.choice(CLASSES, p=each / each.sum()) for each in shares.astype(np.float64)])
    learnt = trust(Scores("worn", np.arange(1000).astype(np.str_), truth, shares, 0.0, 0.0))
    trusted = replace(packed, reference=dict(packed.reference) | {"trust": learnt.to_json()})
    lake.add("a", asked(rng, 0, 400), [], [])

    first, still = (watch(home, RULES, trusted, now=now) for now in (400.0, 401.0))

    assert [each.monitor for each in first.panel.alarms] == ["estimated accuracy"]
    assert still.panel.alarms == first.panel.alarms
    assert len(History(home.history).entries()) == 1


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


def test_the_champion_is_read_from_the_store_that_the_endpoint_has(home: Home, tmp_path: Path) -> None:
    path = archives.write(tmp_path / "store", model())
    served = state.Model("1.0", {"1.0": state.Version(path.name, path.name, 1, 1)})
    state.save(state.path(home), state.State(1, {"digits": served}))

    assert champion(home, "digits", tmp_path / "store").card == model().card
    with pytest.raises(ArchiveError):
        champion(home, "digits")


def test_a_profile_of_another_format_is_told_by_the_command_and_the_others_run(home: Home, tmp_path: Path) -> None:
    Answers(home.lake).add("a", asked(np.random.default_rng(3), 0, 40), [], [])
    packed = model()
    path = archives.write(tmp_path, replace(packed, reference=dict(packed.reference) | {"format": 99}))

    done = run("monitor", "look", path, home=home.root, **PUSHING)

    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert first.endswith("Broken: drift, no class, mix of classes, estimated accuracy.")
    assert any(line.startswith("BROKEN") and "format 99" in line for line in others)
    assert json.loads(monitors.path(home, "digits", "1.0").read_text())["sentence"] == first


def test_the_command_needs_somebody_to_look_at(home: Home) -> None:
    done = run("monitor", "look", home=home.root, **PUSHING)

    assert_two_sentences(done)
    assert "Name the archive" in done.stderr
