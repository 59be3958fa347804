"""What a turn learns from is looked through before anything is fitted to it."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from demlopment.data import Lake, RawRows, packaged_digits
from demlopment.data.reviews import Review
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle import collect, loop
from demlopment.lifecycle.history import History
from demlopment.lifecycle.workshop import Workshop
from demlopment.records import Examples, Split
from demlopment.settings import Data, Settings, Training
from tests.data.sources.written import folder_of_pictures, idx_bytes, idx_pair, zip_of_pictures
from tests.fakes import MemoryStore

Pixels = npt.NDArray[np.uint8]


def torn(examples: Examples, _: str) -> Split:
    """A split that somebody made with too little care: the first row stands in two parts."""
    return Split(*(examples.where(np.array(rows)) for rows in ([0, 1, 2], [3], [0, 4], [5])))


def test_a_snapshot_whose_split_leaks_is_not_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake("memory", MemoryStore)
    collect.collect(lake, Data())
    monkeypatch.setattr(collect, "split", torn)

    with pytest.raises(DataError, match=r"leaks .same pixels: [0-9a-f]{12} and [0-9a-f]{12} in train and test"):
        collect.everything(lake, Data(), "all")


def test_the_packaged_digits_are_all_in_the_parts_they_were_in() -> None:
    split = collect.collect(Lake("memory", MemoryStore), Data()).split

    assert [len(split.train), len(split.validation), len(split.test), len(split.stream)] == [2801, 488, 736, 975]


def idx_of_noise(folder: Path, count: int) -> Path:
    path = idx_pair(folder, count, packed=False)
    noise = np.random.default_rng(1).integers(0, 256, (count, 20, 20), np.uint8)
    path.write_bytes(idx_bytes(np.pad(noise, ((0, 0), (4, 4), (4, 4)))))
    return path


@pytest.mark.parametrize("made", [idx_of_noise, folder_of_pictures, zip_of_pictures])
def test_a_turn_learns_from_any_source_and_its_own_bad_rows_are_not_taken_for_planted_ones(
    made: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    lake = Lake("memory", MemoryStore, classes=tuple("012345678"))

    found = collect.collect(lake, Data(source=made(tmp_path, 200)))

    assert (found.ingested.rows, found.ingested.planted, found.ingested.rejected) == (206, 6, 26)
    assert found.snapshot.rows == 180


def test_digits_that_are_as_expected_are_not_remarked_upon() -> None:
    assert collect.collect(Lake("memory", MemoryStore), Data(unexpected="stop")).unexpected == ()


def test_what_is_not_expected_is_told() -> None:
    found = collect.collect(Lake("memory", MemoryStore), Data(most_ink=0.1))

    assert loop.warned(found) == (
        "; warning: the mean ink is 0.131, expected 0.03 to 0.1; 1 labels wait for `demlopment data review`"
    )  # the label is one of the planted bad rows


@pytest.mark.parametrize("rule", ["warn", "stop"])
def test_what_is_not_expected_is_in_the_history_whether_it_stops_or_not(rule: Literal["warn", "stop"], tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.open()
    rules = Data(most_ink=0.1, unexpected=rule)
    workshop = Workshop(home, Settings.model_construct(data=rules, training=Training()), lambda: 1.0)
    found = collect.collect(Lake("memory", MemoryStore), rules)

    expectation = (
        pytest.raises(DataError, match=r"is not as expected: the mean ink is 0\.131") if rule == "stop" else nullcontext()
    )
    with expectation:
        workshop.take(found)

    (entry,) = History(home.history).entries()
    assert (entry.verdict.kind, entry.verdict.subject) == ("data", found.snapshot.name)
    assert entry.verdict.decision == {"stop": "refuse", "warn": "continue"}[rule]
    assert entry.verdict.evidence["unexpected"] == list(found.unexpected)
    assert workshop.verdicts == [entry.verdict]


def test_a_snapshot_that_is_as_expected_leaves_no_verdict(tmp_path: Path) -> None:
    workshop = Workshop(Home(tmp_path), Settings.model_construct(data=Data(), training=Training()), lambda: 1.0)

    workshop.take(collect.collect(Lake("memory", MemoryStore), Data()))

    assert workshop.verdicts == []


def grown(change: Callable[[Pixels], Pixels], labels: str = "0123456789", writers: int = 0) -> tuple[str, ...]:
    """What is unexpected of 400 new rows beside 2,000 old ones, all digits of MNIST, but for a change of the new."""
    lake, rows = Lake("memory", MemoryStore), packaged_digits()
    order = np.random.default_rng(7).permutation(5000)
    old, new = rows.frame[order[:2000]], rows.frame[order[2000:]].filter(pl.col("label").is_in(list(labels))).head(400)
    pictures = np.frombuffer(b"".join(new["image"]), np.uint8).reshape(-1, 28, 28)
    changed = [change(picture).tobytes() for picture in pictures]
    writer = pl.format("writer {}", pl.int_range(pl.len()) % writers) if writers else pl.lit(None, pl.String)
    lake.add(RawRows(rows.name, rows.sha256, old.with_columns(writer=writer)))
    lake.pin("before", "salt")
    new = new.with_columns(writer=pl.concat_str(pl.lit("another "), writer), image=pl.Series(changed, dtype=pl.Binary))
    lake.add(RawRows("new", "", new.with_columns(source=pl.lit("new"))))
    return collect.everything(lake, Data(), "after", "before").unexpected


def same(picture: Pixels) -> Pixels:
    return picture


def thicker(picture: Pixels) -> Pixels:
    return np.asarray(cv2.dilate(picture, np.ones((2, 2), np.uint8)), np.uint8)


def slanted(picture: Pixels) -> Pixels:
    turn = np.array([[1, 0.25, -3.5], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(picture, turn, (28, 28)), np.uint8)


def test_new_rows_like_the_old_ones_are_not_remarked_upon() -> None:
    assert grown(same) == grown(same, writers=40) == ()


@pytest.mark.parametrize(
    ("change", "labels", "writers", "most"),
    [
        (thicker, "0123456789", 0, "stroke|ink|softness"),
        (slanted, "0123456789", 0, "slant|softness"),
        (same, "012345678", 0, "class 9"),
        (slanted, "0123456789", 40, "slant|softness"),
    ],
)
def test_new_rows_of_another_pen_hand_or_mix_are_told_with_what_moved_most(
    change: Callable[[Pixels], Pixels], labels: str, writers: int, most: str
) -> None:
    (told,) = grown(change, labels, writers)

    assert re.fullmatch(
        rf"the chance that 400 new rows differ so much from 2000 of before \(most in ({most})\) is 0.0005, expected 0.001 to 1",
        told,
    )


def test_a_class_that_came_or_went_is_told() -> None:
    lake, rows = Lake("memory", MemoryStore), packaged_digits()
    frame = rows.frame.gather_every(50)
    lake.add(RawRows("a", "", frame.filter(pl.col("label") == "9").with_columns(source=pl.lit("a"))))
    lake.add(RawRows("b", "", frame.filter(pl.col("label") < "8").with_columns(source=pl.lit("b"))))
    lake.pin("before", "salt")
    lake.forget("source", "a")
    lake.add(RawRows("c", "", frame.filter(pl.col("label") == "8").with_columns(source=pl.lit("c"))))

    came_and_went = collect.everything(lake, Data(drift_alarm_rate=1e-5), "after", "before").unexpected

    assert "the number of classes that came or went since before (8) is 1, expected 0 to 0" in came_and_went
    assert collect.everything(lake, Data(least_class_share=0), "again", "after").unexpected == ()


def test_a_reference_that_the_lake_has_not_is_passed_over() -> None:
    lake = Lake("memory", MemoryStore)
    collect.collect(lake, Data())

    assert collect.everything(lake, Data(), "all", "somebody else's").reference == ""


def test_a_turn_after_reviews_learns_from_the_corrected_labels_under_a_name_of_their_own() -> None:
    lake = Lake("memory", MemoryStore)
    first = collect.collect(lake, Data())
    key, label = str(first.split.train.keys[0]), int(first.split.train.labels[0])

    lake.reviews.add([Review(key, str(label), str((label + 1) % 10), "ann", 1.0, "file", 1)])
    second, third = collect.collect(lake, Data()), collect.collect(lake, Data())

    assert (first.waiting, second.waiting) == (1, 1)
    assert second.snapshot == third.snapshot
    assert second.snapshot.name == f"{first.snapshot.name}-reviewed-1"
    assert second.split.train.keys.tolist() == first.split.train.keys.tolist()
    assert second.split.train.labels[0] == (label + 1) % 10
    assert lake.load(first.snapshot).labels.tolist() != lake.load(second.snapshot).labels.tolist()
