"""What monitors are shown is what the journal and the lake hold, however it lies there: twice, late, disordered or in both."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demlopment import archive as archives
from demlopment import row
from demlopment.archive import Archive, Card
from demlopment.data import Answers
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.images import VERSION
from demlopment.lifecycle import evidence as reading
from demlopment.lifecycle import observe
from demlopment.lifecycle.compact import journal
from demlopment.lifecycle.evidence import evidence
from demlopment.monitoring import profile, sweep
from demlopment.records import Feedback, Prediction
from demlopment.row import Column
from demlopment.serving.journal import Journal
from demlopment.serving.recorded import join
from demlopment.settings import Monitoring
from tests import tables

CLASSES, WIDTH = 10, 6


def model(rng: np.random.Generator) -> Archive:
    pictures = rng.integers(0, 256, (40, 28, 28), np.uint8)
    shares, points = rng.dirichlet(np.ones(CLASSES), 40).astype(np.float32), rng.random((40, WIDTH)).astype(np.float32)
    card = Card("digits", "1.0", tuple("0123456789"), VERSION, 1.0, {}, {})
    return Archive(card, b"", profile(pictures, shares, points), b"")


def answer(rng: np.random.Generator, number: int, **others: Any) -> Prediction:
    shares = rng.dirichlet(np.full(CLASSES, 0.1)).astype(np.float32)
    picture, point = rng.integers(0, 256, (28, 28), np.uint8), rng.random(WIDTH).astype(np.float32)
    whole = Prediction(
        f"r{number}", 1000.0 + number, "digits", "1.0", "direct", "", picture, str(shares.argmax()), shares, point, 1.0, ""
    )
    return whole._replace(**others)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "var")
    home.open()
    return home


def test_answers_of_the_lake_are_those_that_were_written_in_order_of_time_with_their_last_labels(home: Home) -> None:
    rng = np.random.default_rng(1)
    archive, answers = model(rng), [answer(rng, number) for number in range(30)]
    strange = [
        answer(rng, 40, model="letters"),
        answer(rng, 41, arm="shadow"),
        answer(rng, 42, version="2.0", image=None, probabilities=np.zeros(3, np.float32)),
        answer(rng, 43, probabilities=np.zeros(0, np.float32), embedding=np.zeros(0, np.float32)),
        answer(rng, 44, probabilities=np.full(CLASSES, np.nan, np.float32)),
    ]
    labels = [
        Feedback("r3", 5.0, answers[3].label),  # before its answer
        Feedback("r4", 2000.0, "x"),
        Feedback("r4", 2001.0, answers[4].label),
        Feedback("nobody", 2002.0, "1"),
        Feedback("r42", 2003.0, "1"),
    ]
    lake = Answers(home.lake)
    lake.add("b", [*answers[15:], *strange], labels[1:], [])
    lake.add("a", answers[:15], labels[:1], [])

    found = evidence(home, archive, 100, until=1009.0, now=1035.0)

    assert found.stretch.at.tolist() == [*range(1000, 1030), 1042, 1043, 1044]
    assert found.stretch.ours.tolist() == [True] * 30 + [False] * 3
    assert found.stretch.shown.tolist() == [True] * 30 + [False, True, True]
    assert found.stretch.damaged.tolist() == [False] * 32 + [True]
    assert found.stretch.told[:30].tolist() == [int(each.label) for each in answers]
    known = {place: value for place, value in enumerate(found.right.tolist()) if value == value}
    assert known == {3: 1.0, 4: 1.0}
    assert (found.heard[3], found.heard[4], found.heard[5]) == (1003.0, 2001.0, np.inf)
    assert (found.fresh, found.repeated, found.stray, found.ahead) == (10, 0, 1, 0)


def test_slices_make_no_difference_and_copied_segments_count_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    archive, answers = model(rng), [answer(rng, number) for number in range(25)]
    lake = Answers(home.lake)
    lake.add("one", answers, [], [])
    whole = evidence(home, archive, 100)
    lake.add("one-copied", answers[5:15], [], [])
    monkeypatch.setattr(reading, "SLICE", 4)

    again = evidence(home, archive, 100, now=1010.0 - 61)

    assert whole.repeated == 0
    assert again.repeated == 10
    assert again.ahead == 15
    assert (again.stretch.pictures == whole.stretch.pictures).all()
    assert (again.stretch.powers == whole.stretch.powers).all()


def test_what_is_still_in_the_journal_and_what_is_in_the_lake_already_are_one_stretch(home: Home) -> None:
    rng = np.random.default_rng(5)
    archive, answers = model(rng), [answer(rng, number) for number in range(12)]
    writing = Journal(journal(home), name="x")
    writing.record(answers[:6], [Feedback("r2", 3000.0, answers[2].label)])
    writing.close()
    (segment,) = journal(home).glob("*.journal")
    segment.with_name("copy.journal").write_bytes(segment.read_bytes())
    Answers(home.lake).add("older", answers[6:], [], [])

    found = evidence(home, archive, 100)

    assert found.stretch.at.tolist() == [each.at for each in answers]
    assert found.right[2] == 1
    assert found.repeated == 6


def wines(version: str, begin: int, values: row.Row) -> list[Prediction]:
    """One a second from a time on, each with an embedding of as many numbers."""
    shares = np.array([0.75, 0.25], np.float32)
    return [
        Prediction(
            f"{version}-{at}", float(at), "wine", version, "direct", "", each, tables.CLASSES[0], shares, each[:3], 1.0, ""
        )
        for at, each in enumerate(values, start=begin)
    ]


def test_versions_that_read_other_columns_are_passed_over_and_counted(home: Home) -> None:
    values, _ = tables.rows(30)
    renamed = [Column(f"other {name}", low, high) for name, low, high in tables.COLUMNS]
    archives.write(home.models, tables.model("same"))
    archives.write(home.models, tables.model("renamed", renamed))
    said = [
        *wines("earlier", 0, values[:3, :2]),
        *wines("1.0", 10, values[:10]),
        *wines("same", 20, values[10:20]),
        *wines("renamed", 30, values[20:]),
        *wines("wider", 40, np.pad(values[20:], ((0, 0), (0, 2)))),
    ]
    Answers(home.lake).add("s", said, [Feedback("1.0-12", 99.0, "barolo"), Feedback("wider-42", 99.0, "barolo")], [])

    found = evidence(home, tables.model(), 100)
    traffic = observe.journalled(home, "wine", 0.0)
    alike = observe.alike(home, traffic, tables.model().card)

    assert found.stretch.at.tolist() == [*range(10, 30)]
    assert found.stretch.ours.tolist() == [True] * 10 + [False] * 10
    assert (found.right[2], found.stray, found.otherwise) == (1.0, 0, 20)
    assert [each.version for each in alike.predictions] == ["1.0"] * 10 + ["same"] * 10
    assert len(observe.drift(alike, tables.model(), Monitoring(window=20))) == 1
    with pytest.raises(DataError, match=r"rows of 2 numbers, .* reads rows of 3 numbers"):
        observe.drift(traffic, tables.model(), Monitoring(window=20))


def test_labels_are_joined_as_the_journal_joins_them(home: Home) -> None:
    rng = np.random.default_rng(3)
    archive = model(rng)
    answers = [answer(rng, number, request_id=f"r{rng.integers(0, 40)}") for number in range(60)]
    labels = [Feedback(f"r{rng.integers(0, 60)}", float(at), str(rng.integers(0, 10))) for at in rng.permutation(80)]
    lake = Answers(home.lake)
    lake.add("s", answers, labels, [])

    found = evidence(home, archive, 100)

    expected = join(answers, sorted(labels, key=lambda each: each.at)).labels
    right = [expected[each.request_id] == each.label if each.request_id in expected else None for each in answers]
    assert [None if value != value else bool(value) for value in found.right.tolist()] == right
    assert sum(each is not None for each in right) > 5


def test_nothing_is_an_empty_stretch(home: Home) -> None:
    found = evidence(home, model(np.random.default_rng(4)), 100)

    assert (len(found), found.fresh, found.stray) == (0, 0, 0)
    assert found.stretch.powers.shape == (0, CLASSES)
    assert replace(found, fresh=0) is not found


def test_of_very_many_answers_some_are_measured_and_all_are_counted(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    archive, answers = model(rng), [answer(rng, number) for number in range(40)]
    lake = Answers(home.lake)
    lake.add("a", answers, [Feedback("r1", 2000.0, answers[1].label)], [])
    whole = evidence(home, archive, 5)
    monkeypatch.setattr(sweep, "MOST", 4)
    monkeypatch.setattr(sweep, "SAMPLE", 5)

    some = evidence(home, archive, 5)

    assert whole.stretch.compared.all()
    assert some.stretch.compared.tolist() == [place % 2 == 0 for place in range(40)]
    assert some.stretch.told.tolist() == whole.stretch.told.tolist()
    assert some.right[1] == 1
    assert (some.stretch.pictures[::2] == whole.stretch.pictures[::2]).all()
    windows = sweep.drifts(archive.reference, some.stretch, sweep.counted(40, 10), false_alarm_rate=0.001)
    alone = sweep.drifts(
        archive.reference, whole.stretch.where(np.arange(0, 40, 2)), sweep.counted(20, 5), false_alarm_rate=0.001
    )
    assert [each.tests for each in windows] == [each.tests for each in alone]
