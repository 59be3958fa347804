"""A look at a traffic plan is recorded: the sentence first, then decision, effect, limits, checks; and drawn if asked for."""

import json
import shutil
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from demlopment import archive, cli, images
from demlopment.archive import Answering, Archive, Card
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.history import History
from demlopment.lifecycle.judging import judging
from demlopment.records import Arm, Feedback, Prediction, TrafficPlan, Treatment
from demlopment.serving import state
from demlopment.serving.journal import Journal
from demlopment.serving.state import Version
from demlopment.settings import Settings
from tests.serving.test_journal import prediction

UNITS = 600


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Version 1.0 errs on every sixth digit; 2.0 and the shadow 3.0 seldom, and 3.0 is unsure of every third."""
    home = Home(tmp_path_factory.mktemp("looked-at"))
    home.open()
    home.endpoint.mkdir()
    for version in ("1.0", "2.0", "3.0"):
        card = Card("digits", version, tuple("0123456789"), images.VERSION, 1.0, {}, {}, Answering(threshold=0.9))
        archive.write(home.models, Archive(card, b"network", {}, b"sample"))
    plan = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "s", shadows=("3.0",))
    current = state.State()
    for version in ("1.0", "2.0", "3.0"):
        current = current.register("digits", version, Version(f"digits-{version}.mar", "", 1, 1))
    state.save(state.path(home), current.split(plan))
    journal = Journal(home.endpoint / "journal", name="test")
    for number in range(UNITS):
        treated, right = number % 2 == 1, number % 30 < 25
        told = asked(number, "2.0", right=number % 60 != 1) if treated else asked(number, "1.0", right=right)
        shadow = asked(number, "3.0", right=number % 60 < 59, sure=number % 3 > 0)
        journal.record([told, shadow], [Feedback(told.request_id, told.at + 50, "7")] if number % 3 else [])
    journal.close()
    return home


def asked(number: int, version: str, *, right: bool, sure: bool = True) -> Prediction:
    arms: dict[str, Arm] = {"1.0": "control", "2.0": "treatment", "3.0": "shadow"}
    probabilities = np.array([0.95 if sure else 0.5, 0.05], np.float32)
    return prediction(f"asked-{number}", 2000.0 + number)._replace(
        version=version,
        arm=arms[version],
        unit=f"u{number}",
        label="7" if right else "1",
        probabilities=probabilities,
        latency_ms=2.0,
    )


def read(home: Home, *options: str) -> Result:
    return CliRunner().invoke(cli.app, ["--home", str(home.root), "traffic", "read", *options])


def test_the_sentence_comes_first_then_what_stands_behind_it_and_all_of_it_is_recorded(home: Home) -> None:
    before = len(History(home.history).entries())

    shown = read(home)

    assert shown.exit_code == 0, shown.output
    treatment, shadow = History(home.history).entries()[before:]
    lines = shown.output.splitlines()
    assert lines[0] == treatment.verdict.reason
    assert lines[0].startswith("The treatment is better: ")
    assert lines[1] == f"  Decision: promote. It is verdict {treatment.number} of the history."
    assert lines[2].startswith("  Effect: +")
    assert [line.split(":")[0].strip() for line in lines[3:6]] == ["Abstention", "Latency", "Cost"]
    assert "Nothing says that the effect changes" in lines[6]
    assert "in the middle 50 s after the control's requests and 50 s after the treatment's requests" in lines[7]
    assert lines[8] == shadow.verdict.reason
    assert lines[-1] == f"Plan 1: {UNITS} requests, {2 * UNITS // 3} with a label."
    assert (treatment.verdict.kind, treatment.verdict.subject, treatment.verdict.against) == (
        "experiment",
        "digits 2.0",
        "digits 1.0",
    )
    evidence = json.loads(json.dumps(treatment.verdict.evidence))
    assert len(evidence["sequence"]) == 1
    assert {side["metric"] for side in evidence["sides"]} == {"abstention", "latency", "cost"}
    assert evidence["returns"]["usual_delay"] == 50
    assert abs(time.time() - treatment.at) < 60


def test_a_shadow_that_is_unsure_too_often_is_not_to_be_promoted(home: Home) -> None:
    read(home)

    verdict = History(home.history).entries()[-1].verdict

    assert (verdict.decision, verdict.subject) == ("keep", "digits 3.0")
    assert "The shadow 3.0 must not be promoted, for its abstention is worse than is allowed" in verdict.reason


def test_every_look_is_added_and_none_is_changed(home: Home) -> None:
    read(home)
    before = History(home.history).entries()

    read(home, "--minimum-effect", "0.5")

    after = History(home.history).entries()
    assert after[: len(before)] == before
    assert len(after) == len(before) + 2
    assert after[-2].verdict.evidence["minimum_effect"] == 0.5


def test_money_may_decide(home: Home) -> None:
    shown = read(home, "--metric", "cost")

    assert "per thousand requests" in shown.output.splitlines()[0]
    assert "a cost of " in shown.output.splitlines()[0]
    assert History(home.history).entries()[-2].verdict.evidence["metric"] == "cost"


@pytest.mark.parametrize(
    ("metric", "said"),
    [("confidence", "a confidence of 95.0% of 300 for version 2.0"), ("milliseconds", "2.00 ms of 300 for version 2.0")],
)
def test_numbers_that_need_no_label_are_compared_on_all_answers(home: Home, metric: str, said: str) -> None:
    lines = read(home, "--metric", metric).output.splitlines()

    assert said in lines[0]
    assert sum(line.startswith("The shadow 3.0") for line in lines) == (metric == "confidence")
    assert ("A shadow is asked when there is time, so there is no verdict on how long it takes." in lines) == (
        metric == "milliseconds"
    )


def test_the_probability_of_the_label_is_compared_where_the_card_names_the_classes(home: Home, tmp_path: Path) -> None:
    copied = Home(shutil.copytree(home.root, tmp_path / "copied"))
    unknown = read(copied, "--metric", "log_loss").output.splitlines()
    for version in ("1.0", "2.0", "3.0"):
        card = Card("digits", version, ("7", "1"), images.VERSION, 1.0, {}, {})
        archive.place(copied.models, card).unlink()
        archive.write(copied.models, Archive(card, b"network", {}, b"sample"))

    known = read(copied, "--metric", "log_loss").output.splitlines()

    assert unknown[0] == "No conclusion: none of the control's 200 labels tells the log loss of version 1.0."
    assert f"a loss of {-np.log(0.95):.3f} nats of 200 for version 2.0" in known[0]


def test_the_intervals_over_time_are_drawn_for_every_version(home: Home, tmp_path: Path) -> None:
    shown = read(home, "--plot", str(tmp_path / "looks.svg"), "--minimum-effect", "0.05")

    drawn = ET.parse(tmp_path / "looks.svg").getroot()
    words = "".join(drawn.itertext())
    assert shown.output.splitlines()[-1] == f"The intervals over time are in {tmp_path / 'looks.svg'}."
    assert "digits 2.0 beside digits 1.0: accuracy" in words
    assert "digits 3.0 beside digits 1.0: accuracy" in words
    assert words.count("After 400 labels the effect lies between") == 2
    assert sum(each.get("class") == "dashed" for each in drawn.iter()) == 4, "what is of no interest, for both"


@pytest.mark.parametrize(
    ("share", "bandit", "said"),
    [
        (0.5, True, "A bandit moves the shares of this plan, so there is no verdict on its treatments."),
        (0.0, False, "There is no verdict on 2.0, which has no share of the traffic."),
    ],
)
def test_a_treatment_without_a_verdict_is_said_to_have_none_and_is_not_drawn(
    home: Home, tmp_path: Path, share: float, said: str, *, bandit: bool
) -> None:
    copied = Home(shutil.copytree(home.root, tmp_path / "copied"))
    path = state.path(copied)
    plan = TrafficPlan("digits", "1.0", (Treatment("2.0", share),), "s", bandit=bandit)
    state.save(path, state.load(path).split(plan))

    shown = read(copied)
    drawn = read(copied, "--plot", str(tmp_path / "looks.svg"))

    assert shown.output.splitlines() == [said, f"Plan 2: {UNITS} requests, {2 * UNITS // 3} with a label."]
    assert isinstance(drawn.exception, DataError)
    assert not (tmp_path / "looks.svg").exists()


def test_labels_for_requests_that_nobody_knows_count_nowhere_and_are_told(home: Home, tmp_path: Path) -> None:
    copied = Home(shutil.copytree(home.root, tmp_path / "copied"))
    before = read(copied).output.splitlines()
    journal = Journal(copied.endpoint / "journal", name="later")
    journal.record(feedback=[Feedback(f"unheard-of-{number}", 5000.0, "7") for number in (1, 2, 2)])
    journal.close()

    after = read(copied).output.splitlines()

    assert after[0] == before[0]
    assert after[-1] == f"Plan 1: {UNITS} requests, {2 * UNITS // 3} with a label; 2 labels are for no request of it."


def test_a_label_that_is_no_class_was_given_no_probability(home: Home) -> None:
    found = judging(home, Settings(), "digits", "log_loss").recorded
    told = asked(1, "1.0", right=True)._replace(probabilities=np.full(10, 0.1, np.float32))

    assert [found(told, label).likelihood for label in ("7", "zebra", None)] == [pytest.approx(0.1), 0.0, None]


@pytest.mark.parametrize("metric", ["confidence", "log_loss"])
def test_a_handler_whose_probabilities_nobody_knows_is_neither_promoted_nor_kept_by_them(
    home: Home, tmp_path: Path, metric: str
) -> None:
    copied = Home(shutil.copytree(home.root, tmp_path / "copied"))
    path = state.path(copied)
    state.save(path, state.load(path).split(TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "s")))
    shutil.rmtree(copied.endpoint / "journal")
    journal = Journal(copied.endpoint / "journal", name="handler")
    for number in range(UNITS):
        answer = asked(number, "2.0" if number % 2 else "1.0", right=True)
        told = answer._replace(probabilities=np.full(0 if number % 2 else 10, 0.1, np.float32))
        journal.record([told], [Feedback(told.request_id, told.at + 50, "7")])
    journal.close()

    lines = read(copied, "--metric", metric).output.splitlines()

    assert lines[0].startswith("No conclusion: none of the treatment's 300 ")
    assert lines[1].startswith("  Decision: continue.")


@pytest.mark.parametrize("times", [{"ends": 3000.0}, {"starts": 1e11}])
def test_a_plan_outside_of_its_time_is_said_to_be_so(home: Home, tmp_path: Path, times: dict[str, float]) -> None:
    copied = Home(shutil.copytree(home.root, tmp_path / "copied"))
    path = state.path(copied)
    plan = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "s", **times)  # type: ignore[arg-type]
    state.save(path, state.load(path).split(plan))

    assert read(copied).output.splitlines()[-2].startswith("It is not the time of this plan: the control answers everybody")


def test_a_plan_whose_beginning_the_clock_has_not_reached_any_more_is_said_to_be_so(home: Home, tmp_path: Path) -> None:
    copied = Home(shutil.copytree(home.root, tmp_path / "copied"))
    path = state.path(copied)
    plan = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "s", since=4102444800.0)
    state.save(path, state.load(path).split(plan))

    lines = read(copied).output.splitlines()

    assert lines[-2] == (
        "The clock was set back: the plan is in force since 2100-01-01 00:00:00 UTC, and nothing before is read."
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--metric", "joy"], "There is no metric 'joy'"),
        (["--minimum-effect", "-1"], "minimum effect is -1"),
        (["--minimum-effect", "nan"], "minimum effect is nan"),
        (["letters"], "letters of .* has no traffic plan"),
    ],
)
def test_what_cannot_be_read_is_refused_and_not_recorded(home: Home, options: list[str], named: str) -> None:
    before = History(home.history).entries()

    refused = read(home, *options)

    with pytest.raises(DataError, match=named):
        raise refused.exception or AssertionError(refused.output)
    assert History(home.history).entries() == before


def test_without_prices_cost_is_neither_guarded_nor_a_metric(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_EVALUATION__PRICE_OF_ERROR", "0")
    monkeypatch.setenv("DEMLOPMENT_EVALUATION__PRICE_OF_REVIEW", "0")

    assert "Cost:" not in read(home).output
    assert isinstance(read(home, "--metric", "cost").exception, DataError)


def test_slow_answers_are_those_that_took_longer_than_is_set(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_MONITORING__SLOW_MILLISECONDS", "1")

    shown = read(home, "--metric", "latency")

    assert "100.0% slow of 300 for version 2.0 against 100.0% slow of 300 for version 1.0" in shown.output
