"""A request that a person labels is an example from then on, once; what chance drew tells how often models are right."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from demlopment import images
from demlopment.data.asked import COLUMNS, keys
from demlopment.data.delta import DeltaStore
from demlopment.data.doubted import COLUMNS as DOUBTED
from demlopment.data.lake import Lake
from demlopment.data.queue import export, waiting
from demlopment.data.ranking import CHANCE, UNSURE
from demlopment.data.reviews import Review
from demlopment.data.sampled import Sampled, sampled
from demlopment.data.sources import RawRows, returned
from demlopment.data.verdicts import take
from demlopment.errors import DataError
from demlopment.intervals import wilson
from tests.data.test_queue import filled
from tests.fakes import MemoryStore

SALT = "demlopment-1"


@pytest.fixture(params=[DeltaStore, MemoryStore])
def lake(request: pytest.FixtureRequest, tmp_path: Path, few: RawRows) -> Lake:
    """With a hundred digits, a doubt about a 3, and two requests that were asked about, the last of which chance drew."""
    lake = Lake(tmp_path / "lake", request.param)
    lake.add(few)
    three = str(lake.now(pl.col("label") == "3", ("key",))["key"].min())
    lake.doubted.add(pl.DataFrame([(three, "3", "5", -0.7, "all")], schema=DOUBTED, orient="row"))
    lake.asked.add(asked([drawing(1), drawing(2)], why=[UNSURE, CHANCE], chance=[None, 0.1]))
    return lake


def drawing(strokes: int) -> bytes:
    """A prepared picture of so many strokes, which no digit is."""
    picture = np.zeros((28, 28), np.uint8)
    picture[4:24, 4] = 255
    for place in range(strokes):
        picture[4 : 10 + place, 8 + 3 * place] = 255
    return images.prepare(picture).tobytes()


def asked(
    pictures: Sequence[bytes],
    *,
    why: Sequence[str],
    chance: Sequence[float | None],
    said: str = "1",
    name: str = "asked",
    named: Sequence[str] | None = None,
    at: float = 5.0,
) -> pl.DataFrame:
    count = len(pictures)
    columns = {
        "request_id": [f"{name}-{place}" for place in range(count)],
        "key": named or keys(pictures),
        "image": list(pictures),
        "said": [said] * count,
        "model": ["digits"] * count,
        "version": ["1.0"] * count,
        "why": list(why),
        "score": [0.5] * count,
        "chance": list(chance),
        "place": list(range(count)),
        "at": [at] * count,
    }
    return pl.DataFrame(columns, schema=COLUMNS)


def written(path: Path, *verdicts: tuple[str, str]) -> Path:
    path.write_text("key,label,verdict\n" + "".join(f"{key},,{verdict}\n" for key, verdict in verdicts))
    return path


def test_requests_wait_after_the_labels_in_doubt_and_show_no_answer(lake: Lake, tmp_path: Path) -> None:
    first, second = keys([drawing(1), drawing(2)])

    doubt, *requests = waiting(lake)
    assert export(lake, tmp_path / "folder") == 3

    assert doubt.label == "3"
    assert [(item.key, item.label, item.suggestion, item.why) for item in requests] == [
        (first, "", "", "a request, unsure"),
        (second, "", "", "a request, by chance"),
    ]
    rows = list(csv.DictReader((tmp_path / "folder" / "reviews.csv").read_text().splitlines()))
    assert [(row["key"], row["label"], row["suggestion"]) for row in rows[1:]] == [(first, "", ""), (second, "", "")]
    shown = [images.prepare((tmp_path / "folder" / row["picture"]).read_bytes()).tobytes() for row in rows[1:]]
    assert shown == [drawing(1), drawing(2)]


def test_those_that_were_picked_last_come_first_and_a_picture_waits_once(lake: Lake) -> None:
    lake.asked.add(asked([drawing(3), drawing(1)], why=[UNSURE, UNSURE], chance=[None, None], name="later", at=9.0))
    lake.asked.add(asked([drawing(3), drawing(4)], why=[UNSURE, UNSURE], chance=[None, None], name="later", at=10.0))

    _, *requests = waiting(lake)

    assert [item.key for item in requests] == keys([drawing(3), drawing(1), drawing(2)])


def test_a_label_reaches_the_next_snapshot_once_with_who_said_it_and_when(lake: Lake, tmp_path: Path) -> None:
    before = lake.pin("before", SALT)
    first, second = keys([drawing(1), drawing(2)])
    export(lake, tmp_path / "folder")
    file = filled(tmp_path / "folder" / "reviews.csv", {first: "4", second: "7"})

    taken = take(lake, file, "ann", 7.0)
    again = take(lake, file, "ann", 8.0)
    other = take(lake, written(tmp_path / "copied.csv", (first, "4")), "ann", 9.0)

    assert (taken.added, taken.learned, taken.empty, dict(taken.refused)) == (2, 2, 1, {})
    assert (again.added, again.known, again.learned) == (0, 2, 0)
    assert (other.added, other.learned) == (0, 0)
    after = lake.pin("after", SALT)
    rows = lake.rows(after, ("key", "label", "source", "origin")).filter(pl.col("key").is_in([first, second]))
    assert after.rows == before.rows + 2
    assert {(row["label"], row["source"], row["origin"]) for row in rows.to_dicts()} == {
        ("4", "feedback", "asked-0"),
        ("7", "feedback", "asked-1"),
    }
    assert [(each.was, each.label, each.by, each.at) for each in lake.reviews.of([first])] == [("", "4", "ann", 7.0)]
    assert lake.load(before).labels.shape == (before.rows,)
    assert [item.label for item in waiting(lake)] == ["3"]


def test_a_second_reviewer_who_disagrees_changes_later_snapshots_and_both_stay_known(lake: Lake, tmp_path: Path) -> None:
    (first,) = keys([drawing(1)])
    take(lake, written(tmp_path / "ann.csv", (first, "4")), "ann", 7.0)
    then = lake.pin("then", SALT)

    take(lake, written(tmp_path / "bob.csv", (first, "9")), "bob", 8.0)

    now = lake.pin("now", SALT)
    assert [(each.label, each.by) for each in lake.reviews.of([first])] == [("4", "ann"), ("9", "bob")]
    for snapshot, label in ((then, 4), (now, 9)):
        loaded = lake.load(snapshot)
        assert loaded.labels[loaded.keys.tolist().index(first)] == label


def test_what_nobody_can_read_is_no_example_until_somebody_can(lake: Lake, tmp_path: Path) -> None:
    (first,) = keys([drawing(1)])

    dropped = take(lake, written(tmp_path / "ann.csv", (first, "drop")), "ann", 7.0)
    left = [item.key for item in waiting(lake)]
    read = take(lake, written(tmp_path / "bob.csv", (first, "2")), "bob", 8.0)

    assert (dropped.added, dropped.learned, read.added, read.learned) == (1, 0, 1, 1)
    assert first not in left
    assert lake.now(pl.col("key") == first, ("label",))["label"].to_list() == ["2"]


def test_bad_verdicts_are_in_quarantine_and_teach_nothing(lake: Lake, tmp_path: Path) -> None:
    first, second = keys([drawing(1), drawing(2)])
    rows = (first, "keep"), (first, "x"), ("asked-0", "4"), (second, "5")

    taken = take(lake, written(tmp_path / "ann.csv", *rows), "ann", 7.0)

    assert (taken.added, taken.learned) == (1, 1)
    assert taken.refused == {
        2: "label that is kept is none of the classes",
        3: "verdict is neither keep, drop nor a class",
        4: "no row has this key",
    }


def test_a_label_that_came_from_elsewhere_meanwhile_ends_the_question(lake: Lake, tmp_path: Path) -> None:
    first, second = keys([drawing(1), drawing(2)])
    lake.add(returned(np.frombuffer(drawing(1), np.uint8).reshape(1, 28, 28), ["8"], ["asked-0"]))

    left = [item.key for item in waiting(lake)][1:]
    taken = take(lake, written(tmp_path / "ann.csv", (first, "3")), "ann", 7.0)

    assert left == [second]
    assert (taken.added, taken.learned) == (1, 0)
    after = lake.load(lake.pin("after", SALT))
    assert after.labels[after.keys.tolist().index(first)] == 3


def test_an_empty_queue_is_written_and_taken_back_without_a_line(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")

    assert export(lake, tmp_path / "folder") == 0
    taken = take(lake, tmp_path / "folder" / "reviews.csv", "ann", 1.0)

    assert (taken.lines, taken.added, taken.learned) == (0, 0, 0)
    assert sampled(lake) == ()


def test_forgetting_a_picture_takes_the_question_with_it(lake: Lake, tmp_path: Path) -> None:
    first, second = keys([drawing(1), drawing(2)])
    take(lake, written(tmp_path / "ann.csv", (first, "4")), "ann", 7.0)

    lake.forget("key", first)

    assert lake.asked.all()["key"].to_list() == [second]
    assert lake.reviews.of([first]) == ()


KILLED = """
import os, signal, sys
from pathlib import Path
from demlopment.data import delta
from demlopment.data.lake import Lake
from demlopment.data.verdicts import take
when, left = sys.argv[3], int(sys.argv[4])
whole = delta.DeltaStore.extend
def dying(*given, **more):
    global left
    left -= 1
    if left or when == 'after':
        done = whole(*given, **more)
        if left:
            return done
    os.kill(os.getpid(), signal.SIGKILL)
delta.DeltaStore.extend = dying
take(Lake(Path(sys.argv[1])), Path(sys.argv[2]), 'ann', 1.0)
"""


@pytest.mark.parametrize("commit", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_taking_labels_that_is_killed_anywhere_is_simply_repeated(few: RawRows, tmp_path: Path, when: str, commit: int) -> None:
    lake = Lake(tmp_path / "lake")
    lake.add(few)
    lake.asked.add(asked([drawing(1), drawing(2)], why=[UNSURE, CHANCE], chance=[None, 0.1]))
    first, second = keys([drawing(1), drawing(2)])
    file = written(tmp_path / "ann.csv", (first, "4"), (second, "7"))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "lake"), str(file), when, str(commit)]
    killed = subprocess.run(command, env=os.environ, check=False)

    take(lake, file, "ann", 2.0)

    assert killed.returncode == -signal.SIGKILL
    assert lake.pin("after", SALT).rows == 102
    assert len(lake.reviews.all()) == 2
    assert lake.now(pl.col("source") == "feedback", ("label",))["label"].sort().to_list() == ["4", "7"]
    assert waiting(lake) == ()


def lots(right: Sequence[bool | None], *, chance: float | None, name: str) -> tuple[pl.DataFrame, list[Review]]:
    """Requests and what a person said of each: that the answer was right or wrong, or that nothing can be read."""
    named = [f"{name}-{place}" for place in range(len(right))]
    rows = asked(
        [drawing(1)] * len(right), why=[CHANCE] * len(right), chance=[chance] * len(right), said="1", name=name, named=named
    )
    labels = [None if each is None else "1" if each else "2" for each in right]
    return rows, [
        Review(key, "", label, "ann", 1.0, name, row) for row, (key, label) in enumerate(zip(named, labels, strict=True))
    ]


def told(lake: Lake, *parts: tuple[pl.DataFrame, list[Review]]) -> Sampled:
    lake.asked.add(pl.concat([rows for rows, _ in parts]))
    lake.reviews.add([review for _, reviews in parts for review in reviews])
    (found,) = sampled(lake)
    return found


@pytest.fixture(params=[DeltaStore, MemoryStore])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", request.param)


def test_what_chance_drew_tells_how_often_a_model_is_right_and_what_was_chosen_does_not(empty: Lake) -> None:
    drawn = lots([True] * 45 + [False] * 3 + [None] * 2, chance=0.1, name="drawn")
    hard = lots([False] * 10, chance=None, name="hard")

    found = told(empty, drawn, hard)

    assert (found.model, found.version, found.drawn, found.labelled, found.right) == ("digits", "1.0", 50, 48, 45)
    assert found.accuracy == pytest.approx(45 / 48)
    assert found.interval == wilson(45, 48)


def test_a_lot_from_many_counts_for_more_than_one_from_few(empty: Lake) -> None:
    found = told(empty, lots([True] * 20, chance=0.01, name="busy"), lots([False] * 20, chance=0.5, name="calm"))

    assert (found.labelled, found.right) == (40, 20)
    assert found.accuracy == pytest.approx(2000 / 2040)
    assert found.interval == wilson(20, 20), "20 lots stand for nearly everything, and 40 do not make it surer"


def test_the_interval_from_chance_covers_the_truth_as_often_as_it_says() -> None:
    held, rounds = 0, 300
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        right = rng.random(600) < rng.uniform(0.6, 0.98)
        drawn = rng.choice(600, 60, replace=False)
        wrong = np.setdiff1d(np.flatnonzero(~right), drawn)

        found = told(
            Lake("memory", MemoryStore),
            lots(right[drawn].tolist(), chance=0.1, name="drawn"),
            lots(right[wrong].tolist(), chance=None, name="hard"),
        )

        held += found.interval.low <= right.mean() <= found.interval.high

    # of 95 %: the least that chance would give once in a thousand times is 91.3
    assert held >= 0.913 * rounds


def test_a_request_is_asked_about_once_however_often_it_is_picked(lake: Lake) -> None:
    again = lake.asked.add(asked([drawing(1), drawing(2)], why=[UNSURE, CHANCE], chance=[None, 0.1], at=99.0))

    assert again == 0
    assert set(lake.asked.all()["at"]) == {5.0}


def test_keys_are_those_that_the_lake_gives(lake: Lake, tmp_path: Path) -> None:
    (key,) = keys([drawing(5)])
    lake.add(returned(np.frombuffer(drawing(5), np.uint8).reshape(1, 28, 28), ["8"], ["some"]))

    assert lake.now(pl.col("origin") == "some", ("key",))["key"].to_list() == [key]
    assert keys([bytes(784), b"short"]) == ["", ""]
    with pytest.raises(DataError):
        take(lake, tmp_path / "absent.csv", "ann", 1.0)
