"""What a turn learns from is looked through before anything is fitted to it."""

import numpy as np
import pytest

from demlopment.data import Lake
from demlopment.data.reviews import Review
from demlopment.errors import DataError
from demlopment.lifecycle import collect, loop
from demlopment.records import Examples, Split
from demlopment.settings import Data
from tests.fakes import MemoryStore


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


def test_digits_that_are_as_expected_are_not_remarked_upon() -> None:
    assert collect.collect(Lake("memory", MemoryStore), Data(unexpected="stop")).unexpected == ()


def test_what_is_not_expected_is_told_or_stops_as_the_settings_say() -> None:
    found = collect.collect(Lake("memory", MemoryStore), Data(most_ink=0.1))

    assert loop.warned(found) == (
        "; warning: the mean ink is 0.131, expected 0.03 to 0.1; 1 labels wait for `demlopment data review`"
    )  # the label is one of the planted bad rows
    with pytest.raises(DataError, match=r"is not as expected: the mean ink is 0\.\d+, expected 0.03 to 0.1"):
        collect.collect(Lake("memory", MemoryStore), Data(most_ink=0.1, unexpected="stop"))


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
