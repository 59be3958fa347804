"""People are asked about what teaches most, from what the journal and the lake hold, and never twice about one picture."""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from demlopment import archive, images
from demlopment.archive import Answering, Archive, Card
from demlopment.cli import app
from demlopment.data import Answers, Lake, packaged_digits
from demlopment.data.asked import keys
from demlopment.data.queue import waiting
from demlopment.data.ranking import CHANCE, DIFFERING, STRANGE, UNSURE
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.asking import Asking, ask
from demlopment.lifecycle.compact import compact
from demlopment.lifecycle.forget import forget
from demlopment.lifecycle.strangeness import strangeness
from demlopment.monitoring import profile
from demlopment.records import Arm, Feedback, Prediction
from demlopment.serving.journal import Journal
from demlopment.settings import Endpoint
from tests.serving.test_journal import prediction

CARD = Card("digits", "1.0", tuple("0123456789"), images.VERSION, 1.0, {}, {}, Answering(threshold=0.6))
DIGITS = [np.frombuffer(each, np.uint8).reshape(28, 28) for each in packaged_digits().frame["image"][::250]]


def reference() -> Mapping[str, Any]:
    """Of three hundred digits that all were read surely."""
    pictures = np.stack(
        [np.frombuffer(each, np.uint8).reshape(28, 28) for each in packaged_digits().frame["image"].gather_every(17)]
    )
    rng = np.random.default_rng(1)
    probabilities = np.full((len(pictures), 10), 0.01, np.float32)
    probabilities[:, 3] = 0.91
    return profile(pictures, probabilities, rng.normal(size=(len(pictures), 4)))


def answer(name: str, digit: int, lead: float, *, label: str = "3", version: str = "1.0", arm: Arm = "direct") -> Prediction:
    """An answer to one of twenty digits, whose likeliest class has that lead over the next."""
    image = images.prepare(DIGITS[digit])
    probabilities = np.array([(1 + lead) / 2, (1 - lead) / 2, *[0] * 8], np.float32)
    embedding = np.zeros(4, np.float32)
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    return prediction(name)._replace(
        image=image, digest=digest, label=label, version=version, arm=arm, probabilities=probabilities, embedding=embedding
    )


def served(root: Path, *answers: Prediction, feedback: tuple[Feedback, ...] = ()) -> Home:
    home = Home(root)
    home.open()
    archive.write(home.models, Archive(CARD, b"network", reference(), b"sample"))
    journal = Journal(home.endpoint / "journal", name="test")
    journal.record(list(answers), list(feedback))
    journal.close()
    return home


def asking(home: Home, count: int = 10, by_chance: float = 0.0, **more: Any) -> Asking:
    rng = np.random.default_rng(1)
    given: dict[str, Any] = {"since": 0.0, "now": 9.0, "rng": rng} | more
    return ask(home, Lake(home.lake), "digits", count, by_chance, **given)


def run(home: Home, *arguments: str | Path) -> str:
    done = CliRunner().invoke(app, ["--home", str(home.root), *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def queued(home: Home) -> dict[str, str]:
    return {row["request_id"]: row["why"] for row in Lake(home.lake).asked.all().sort("place").to_dicts()}


@pytest.mark.parametrize("in_the_lake", [False, True])
def test_unsure_answers_come_first_then_disagreement_then_what_is_strange(tmp_path: Path, *, in_the_lake: bool) -> None:
    thick = np.full((28, 28), 0, np.uint8)
    thick[4:24, 4:24] = 255
    strange = answer("strange", 2, 1.0)._replace(image=thick)
    shadow = answer("disputed", 1, 1.0, label="5", version="2.0", arm="shadow")
    home = served(tmp_path, answer("sure", 0, 1.0), answer("disputed", 1, 1.0), shadow, strange, answer("unsure", 3, 0.1))
    if in_the_lake:
        compact(home, Answers(home.lake), Endpoint())

    done = asking(home)

    assert list(queued(home).items())[:3] == [("unsure", UNSURE), ("disputed", DIFFERING), ("strange", STRANGE)]
    assert list(queued(home))[3:] == ["sure"]
    assert (sum(done.why.values()), done.open) == (4, 4)


def test_two_versions_that_read_one_picture_otherwise_disagree_wherever_they_met_it(tmp_path: Path) -> None:
    home = served(
        tmp_path,
        answer("one", 1, 1.0, arm="control"),
        answer("other", 1, 1.0, label="5", version="2.0", arm="treatment"),
        answer("again", 2, 1.0),
        answer("and again", 2, 1.0, label="5"),
    )

    asking(home)

    found = queued(home)
    assert [why for name, why in found.items() if name in ("one", "other")] == [DIFFERING], "once, for it is one picture"
    assert [why for name, why in found.items() if name in ("again", "and again")] != [DIFFERING], "one version said both"


def test_what_has_a_label_was_asked_or_cannot_be_shown_is_not_asked_about(tmp_path: Path) -> None:
    blank = answer("blank", 5, 0.1)._replace(image=np.zeros((28, 28), np.uint8))
    home = served(
        tmp_path,
        answer("open", 0, 0.5),
        answer("labelled", 1, 0.1),
        answer("in the lake", 2, 0.1),
        answer("not kept", 3, 0.1)._replace(image=None),
        blank,
        answer("twice", 6, 0.1),
        answer("twice", 7, 0.1),
        answer("of another", 8, 0.1)._replace(model="letters"),
        answer("shadow", 9, 0.1, arm="shadow"),
        feedback=(Feedback("labelled", 2.0, "4"),),
    )
    lake = Lake(home.lake)
    lake.add(replace(packaged_digits(), frame=packaged_digits().frame[500:501]))

    done = asking(home)

    assert (queued(home), done.open) == ({"open": UNSURE}, 1)
    with pytest.raises(
        DataError, match="Of 7 requests there is none to ask about: the picture of 1 was not kept, 3 have a label"
    ):
        asking(home)


def test_a_stretch_without_requests_is_named(tmp_path: Path) -> None:
    home = served(tmp_path, answer("old", 0, 0.5))

    with pytest.raises(DataError, match="Of 0 requests"):
        asking(home, since=1e9)


def test_the_share_by_chance_is_drawn_from_all_that_is_open_and_says_so(tmp_path: Path) -> None:
    home = served(tmp_path, *(answer(f"asked-{place}", place, place / 20) for place in range(20)))

    done = asking(home, 10, 0.3)

    rows = Lake(home.lake).asked.all()
    assert done.why[CHANCE] == 3
    assert rows.filter(pl.col("why") == CHANCE)["chance"].to_list() == [0.15] * 3
    assert rows.filter(pl.col("why") != CHANCE)["chance"].to_list() == [None] * 7
    assert rows["place"].to_list() == list(range(10))
    assert set(rows.select("at", "model", "version", "said").rows()) == {(9.0, "digits", "1.0", "3")}


def test_what_waited_in_quarantine_for_a_label_waits_in_the_queue_and_in_no_other_place(tmp_path: Path) -> None:
    home = served(tmp_path / "home", answer("unsure", 0, 0.1), answer("sure", 1, 0.9))

    first = run(home, "data", "ingest", "feedback")
    asked = run(home, "data", "ask", "--count", "2", "--days", "100000")
    again = run(home, "data", "ingest", "feedback")

    assert "1 in quarantine" in first
    assert "2 of 2 requests without a label wait" in asked
    assert "0 rows: 0 added, 0 known, 0 in quarantine" in again
    assert Lake(home.lake).quarantine() == ()
    assert len(waiting(Lake(home.lake))) == 2


def test_a_person_answers_and_is_told_how_often_the_model_was_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_DATA__ASKED_BY_CHANCE", "0.5")
    home = served(tmp_path / "home", *(answer(f"asked-{place}", place, 0.5) for place in range(20)))
    run(home, "data", "ask", "--count", "20", "--days", "100000")
    run(home, "data", "review", "--export", tmp_path / "folder")
    file = tmp_path / "folder" / "reviews.csv"
    rows = list(csv.DictReader(file.read_text().splitlines()))
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "verdict": "3"} for row in rows)

    taken = run(home, "data", "review", "--from", file, "--by", "ann")
    listed = run(home, "data", "review")
    lineage = run(home, "lineage", "--row", rows[0]["key"])

    said_of_it = "digits 1.0: 10 of 10 requests drawn by chance were answered rightly, so 100.0% (72.2% to 100.0%)"
    assert "20 lines: 20 reviews added" in taken
    assert "20 requests became examples" in taken
    assert said_of_it in taken
    assert said_of_it in listed
    assert "ann" in lineage
    assert Lake(home.lake).pin("now", "salt").rows == 20


def test_forgetting_feedback_or_one_picture_takes_the_questions_and_their_pictures(tmp_path: Path) -> None:
    home = served(tmp_path, answer("one", 0, 0.1), answer("other", 1, 0.1))
    lake = Lake(home.lake)
    lake.add(replace(packaged_digits(), frame=packaged_digits().frame[2000:2001]))  # a lake of some rows
    asking(home)
    (key,) = keys([images.prepare(DIGITS[0]).tobytes()])

    one = forget(home, lake, "key", key)
    left = lake.asked.all()["request_id"].to_list()
    all_ = forget(home, lake, "source", "feedback")

    assert (one.predictions, left) == (1, ["other"])
    assert (all_.predictions, len(lake.asked.all())) == (1, 0)


def test_strangeness_is_none_for_the_usual_and_whole_for_what_is_far_outside() -> None:
    profiled = reference()
    usual = [answer("", place, 0.9) for place in range(20)]
    full = np.zeros((28, 28), np.uint8)
    full[4:24, 4:24] = 255
    odd = [answer("", 0, 0.9)._replace(image=full), answer("", 0, 0.9)._replace(embedding=np.full(4, np.nan, np.float32))]

    found = strangeness(profiled, [*usual, *odd])
    without = strangeness(profiled, [each._replace(embedding=np.empty(0, np.float32)) for each in usual])

    assert np.median(found[:20]) < 0.2
    assert found[20:].tolist() == [1.0, 1.0]
    assert (without <= found[:20]).all()
