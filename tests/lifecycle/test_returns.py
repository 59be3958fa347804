"""What came back from production is a source: labels as rows, and what no model was sure of as rows to be labelled."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demlopment import archive, images
from demlopment.archive import Answering, Archive, Card
from demlopment.data import Answers, Lake
from demlopment.home import Home
from demlopment.lifecycle.compact import compact
from demlopment.lifecycle.returns import production
from demlopment.records import Feedback, Prediction
from demlopment.serving.journal import Journal
from demlopment.settings import Endpoint
from tests.serving.test_journal import prediction
from tests.test_cli import run

CARD = Card("digits", "1.0", tuple("0123456789"), images.VERSION, 1.0, {}, {}, Answering(threshold=0.9))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Two sure answers, of which one was labelled, and two unsure ones, likewise; and one whose picture was not kept."""
    home = Home(tmp_path)
    home.open()
    archive.write(home.models, Archive(CARD, b"network", {}, b"sample"))
    journal = Journal(home.endpoint / "journal", name="test")
    said = [("sure", 0.95), ("sure-labelled", 0.95), ("unsure", 0.6), ("unsure-labelled", 0.6)]
    journal.record([strokes(name, number, confidence) for number, (name, confidence) in enumerate(said)])
    journal.record([strokes("not-kept", 5, 0.1)._replace(image=None)])
    journal.record(feedback=[Feedback("sure-labelled", 2.0, "4"), Feedback("unsure-labelled", 2.0, "7")])
    journal.close()
    return home


def strokes(name: str, number: int, confidence: float) -> Prediction:
    """An answer to so many strokes and one, with that confidence."""
    picture = np.zeros((28, 28), np.uint8)
    picture[4:24, 5] = 255
    for place in range(number):
        picture[4 : 10 + place, 8 + 3 * place] = 255
    probabilities = np.array([confidence, 1 - confidence, *[0] * 8], np.float32)
    return prediction(name)._replace(version="1.0", image=images.prepare(picture), probabilities=probabilities)


@pytest.mark.parametrize("in_the_lake", [False, True])
def test_labels_come_back_and_what_nobody_was_sure_of_comes_without_one(home: Home, *, in_the_lake: bool) -> None:
    if in_the_lake:
        compact(home, Answers(home.lake), Endpoint())

    rows = production(home).frame

    assert dict(rows.select("origin", "label").iter_rows()) == {
        "sure-labelled": "4",
        "unsure": None,
        "unsure-labelled": "7",
    }
    assert set(rows["source"]) == {"feedback"}


def test_a_model_without_a_threshold_is_sure_of_everything(home: Home) -> None:
    archive.place(home.models, CARD).unlink()
    archive.write(home.models, Archive(replace(CARD, answer=Answering()), b"network", {}, b"sample"))

    assert set(production(home).frame["origin"]) == {"sure-labelled", "unsure-labelled"}


def test_a_person_labels_what_no_model_was_sure_of_and_it_becomes_feedback(home: Home, tmp_path: Path) -> None:
    ingested = run("data", "ingest", "feedback", home=home.root)
    run("data", "quarantine", "--source", "feedback", "--export", tmp_path / "unsure", home=home.root)
    listed = list(csv.DictReader((tmp_path / "unsure" / "rows.csv").read_text().splitlines()))
    with (tmp_path / "fixes.csv").open("w") as file:
        file.write("name,label\n" + "".join(f"{row['name']},3\n" for row in listed))

    replayed = run("data", "quarantine", "--replay", "--fixes", tmp_path / "fixes.csv", home=home.root)
    again = run("data", "ingest", "feedback", home=home.root)

    lake = Lake(home.lake)
    rows = lake.rows(lake.pin("all", "salt"), ("key", "label", "source", "origin"))
    assert "feedback: 3 rows: 2 added, 0 known, 1 in quarantine." in ingested.stdout
    assert [(row["origin"], row["reasons"]) for row in listed] == [("unsure", "label missing")]
    assert "1 rows: 1 added" in replayed.stdout
    assert "feedback: 3 rows: 0 added" in again.stdout
    assert lake.quarantine() == ()
    assert {(row["origin"], row["label"]) for row in rows.to_dicts()} == {
        ("sure-labelled", "4"),
        ("unsure-labelled", "7"),
        ("unsure", "3"),
    }
    assert set(rows["source"]) == {"feedback"}


def test_a_home_that_never_served_has_no_feedback_and_a_file_of_it_is_refused(tmp_path: Path) -> None:
    nothing = run("data", "ingest", "feedback", home=tmp_path)
    file = run("data", "ingest", "feedback", "--from", tmp_path, home=tmp_path)

    assert nothing.stdout == "feedback: 0 rows: 0 added, 0 known, 0 in quarantine.\n"
    assert file.returncode == 2
    assert "leave --from out" in file.stderr
