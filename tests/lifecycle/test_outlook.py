"""What a test will take, as `demlopment traffic plan` says it, from what the journal holds or from what a person gives."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from demlopment import cli
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.compact import DAY_SECONDS
from demlopment.lifecycle.outlook import Pace, Wish, outlook
from demlopment.records import Feedback
from demlopment.serving import state
from demlopment.serving.journal import Journal
from demlopment.serving.state import Version
from tests.serving.test_journal import prediction

NOTHING = Pace(0, 0, 0, 0.0, 0.0, 0, 0)
SOME = Pace(labelled=400, correct=360, units=300, days=3.0, delay_days=2.0, compared=1000, differing=90)


def planned(*options: str, home: Path) -> Result:
    return CliRunner().invoke(cli.app, ["--home", str(home), "traffic", "plan", *options])


def test_the_sentence_comes_first_and_says_labels_and_days() -> None:
    said = outlook(Wish(effect=0.08, accuracy=0.9, labels_a_day=100), NOTHING)

    labels, days = re.findall(
        r"^To find a version that is 8 points better with a chance of 80%, a test of two arms needs about ([\d,.]+) labelled "
        r"requests, ([\d.]+) days\.$",
        said[0],
    )[0]
    assert float(days) == pytest.approx(int(labels) / 100, abs=0.2)
    assert re.search(
        r"alike are known to be so, to within 8 points, after about [\d,]+ labelled requests, [\d.]+ days", said[1]
    )
    assert said[2] == "accuracy now           90.00% (given)"
    assert "times as many" in said[-1]


def test_what_is_not_given_is_taken_from_the_journal() -> None:
    said = outlook(Wish(effect=0.08), SOME)

    assert said[2] == "accuracy now           90.00% (of 400 labelled requests of the last 14 days)"
    assert "labels a day           about 100 (the journal: 300 units with a label in 3 days)" in said


def test_a_shadow_takes_fewer_labels_and_fewer_still_where_it_seldom_differs() -> None:
    wishes = (
        Wish(0.05, accuracy=0.9),
        Wish(0.05, accuracy=0.9, shadow=True),
        Wish(0.05, accuracy=0.9, shadow=True, differing=0.06),
    )

    needed = [int(re.findall(r"about ([\d,]+)", outlook(wish, NOTHING)[0])[0].replace(",", "")) for wish in wishes]

    assert needed[0] > needed[1] > needed[2]
    assert "a shadow needs" in outlook(wishes[1], NOTHING)[0]
    assert "answers that differ    9.00% (of 1000 that shadows were asked as well)" in outlook(wishes[1], SOME)


def test_the_days_hold_what_a_label_takes_to_come_back() -> None:
    at_once, late = (outlook(Wish(effect=0.08), replace(SOME, delay_days=days))[0] for days in (0.0, 2.0))

    days = [float(re.findall(r"([\d.]+) days", said)[0]) for said in (at_once, late)]
    assert days[1] - days[0] == pytest.approx(2, abs=0.11)


@pytest.mark.parametrize(
    ("wish", "known", "named"),
    [
        (Wish(0.05), NOTHING, "No request of the last 14 days has a label"),
        (Wish(0.05, accuracy=0.9, labels_a_day=0.0), NOTHING, "labels a day are 0"),
        (Wish(0.05, accuracy=0.9, labels_a_day=float("inf")), NOTHING, "labels a day are inf"),
        (Wish(0.05, accuracy=0.9, shadow=True, differing=0.02), NOTHING, "answers 2.00% of the requests otherwise"),
        (Wish(0.05, accuracy=0.97), NOTHING, "nothing can be better by 5 points"),
        (Wish(0.05, accuracy=0.97, shadow=True), NOTHING, "nothing can be better by 5 points"),
        (Wish(0.05, accuracy=7.0, shadow=True), NOTHING, "accuracy of the control is 7"),
        (Wish(float("nan"), accuracy=0.9), NOTHING, "The effect is nan"),
        (Wish(0.05, share=float("nan")), NOTHING, "The share is nan"),
        (Wish(0.05, accuracy=0.9, shadow=True, differing=float("nan")), NOTHING, "The share of differing answers is nan"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(wish: Wish, known: Pace, named: str) -> None:
    with pytest.raises(DataError, match=re.escape(named)):
        outlook(wish, known)


def test_the_command_reads_the_journal_of_an_endpoint_that_need_not_run(tmp_path: Path) -> None:
    home, now = Home(tmp_path), time.time()
    home.endpoint.mkdir()
    journal, asked = Journal(home.endpoint / "journal", name="test"), [f"asked-{number}" for number in range(40)]
    answers = [prediction(each, now - DAY_SECONDS * 2)._replace(unit=each) for each in asked]
    old = prediction("old", now - 20 * DAY_SECONDS)
    shadows = [
        each._replace(arm="shadow", version="2.0", label="8" if number < 10 else "7") for number, each in enumerate(answers)
    ]
    journal.record([*answers, *shadows, old], [Feedback(each, now - DAY_SECONDS, "7") for each in asked[4:20]])
    journal.record(feedback=[Feedback(each, now - DAY_SECONDS, "1") for each in asked[:4]])
    journal.record(feedback=[Feedback("old", now, "1")])
    journal.close()
    state.save(state.path(home), state.State().register("digits", "1.0", Version("digits-1.0.mar", "digits-1.0.mar")))

    arms, shadow = planned("--effect", "0.15", home=tmp_path), planned("--effect", "0.15", "--shadow", home=tmp_path)

    assert arms.exit_code == shadow.exit_code == 0, arms.output
    assert "accuracy now           80.00% (of 20 labelled requests of the last 14 days)" in arms.output
    assert "labels a day           about 10 (the journal: 20 units with a label in 2 days)" in arms.output
    assert "answers that differ    25.00% (of 40 that shadows were asked as well)" in shadow.output


def test_without_a_journal_the_command_says_what_to_give(tmp_path: Path) -> None:
    refused = planned("--effect", "0.01", home=tmp_path)
    given = planned("--effect", "0.05", "--accuracy", "0.9", home=tmp_path)

    assert isinstance(refused.exception, DataError)
    assert given.exit_code == 0
    assert "labels a day           unknown: " in given.output
    assert "days" not in given.output.splitlines()[0]
