"""A row's part depends on its content and the salt, and on nothing else."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment.data.splits import SHARES, left_out, part, shares, split
from demlopment.records import Examples, Split

KEYS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(6)]


def made_up(keys: list[str], source: str = "mnist-5k", writers: list[str] | None = None) -> Examples:
    """Rows with blank pictures, which are nobody's near-duplicates."""
    count = len(keys)
    return Examples(
        np.array(keys, dtype=np.str_),
        np.zeros((count, 28, 28), np.uint8),
        np.zeros(count, np.int64),
        np.array([source] * count, dtype=np.str_),
        np.array(writers or [""] * count, dtype=np.str_),
    )


def drawn(pictures: list[int]) -> Examples:
    """Rows whose keys are their places; those with equal numbers show the same but for a little noise."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 8, (len(pictures), 28, 28))
    strokes = [np.random.default_rng(1000 + number).random((7, 7)) > 0.5 for number in pictures]
    images = np.array([np.kron(stroke, np.full((4, 4), 200)) for stroke in strokes]).reshape(-1, 28, 28)
    return replace(made_up([str(place) for place in range(len(pictures))]), images=(images + noise).astype(np.uint8))


def parts_of(divided: Split) -> dict[str, str]:
    return {str(key): name for name in SHARES for key in getattr(divided, name).keys}


def test_the_published_vectors_still_hold() -> None:
    # SHA-256 of "0" to "5", placed by hand with blake2b(salt:key, 6 bytes) / 2**48: 0.593, 0.613, 0.932, 0.233, 0.166, 0.058.
    assert [part(key, "demlopment-1") for key in KEYS] == ["validation", "validation", "stream", "train", "train", "train"]
    assert [part(key, "other") for key in KEYS] == ["train", "validation", "train", "validation", "train", "train"]


@given(st.lists(st.text(), unique=True), st.lists(st.text(), unique=True), st.text())
def test_adding_rows_moves_nobody(old: list[str], new: list[str], salt: str) -> None:
    before = parts_of(split(made_up(old), salt))
    after = parts_of(split(made_up(list(dict.fromkeys(old + new))), salt))

    assert before.items() <= after.items()
    assert set(before) == {str(key) for key in made_up(old).keys}


@pytest.mark.parametrize("salt", ["demlopment-1", "a", "b"])
def test_the_shares_are_what_chance_allows(salt: str) -> None:
    count = 20_000

    divided = split(made_up([hashlib.sha256(f"{n}".encode()).hexdigest() for n in range(count)]), salt)

    for name, share in SHARES.items():
        # Four standard deviations: a right split fails here once in 16,000 salts and parts.
        assert abs(len(getattr(divided, name)) / count - share) < 4 * np.sqrt(share * (1 - share) / count), name


def test_rows_that_came_back_from_production_never_stand_in_the_stream_and_leave_the_other_parts_alone() -> None:
    keys = [hashlib.sha256(f"{n}".encode()).hexdigest() for n in range(500)]

    unseen = parts_of(split(made_up(keys), "s"))
    seen = parts_of(split(made_up(keys, "feedback"), "s"))

    assert "stream" in unseen.values()
    assert seen == {key: "train" if name == "stream" else name for key, name in unseen.items()}


def test_no_examples_split_into_four_empty_parts() -> None:
    assert parts_of(split(made_up([]), "s")) == {}


def test_all_rows_of_a_writer_stand_in_one_part_which_is_the_published_one() -> None:
    writers = [f"hsf-{number % 40}" for number in range(400)]
    keys = [hashlib.sha256(f"{n}".encode()).hexdigest() for n in range(400)]

    divided = split(made_up(keys, writers=writers), "demlopment-1")

    parts = {writer: name for name in SHARES for writer in getattr(divided, name).writers.tolist()}
    assert {len(getattr(divided, name).where(getattr(divided, name).writers == writer)) for writer, name in parts.items()} == {
        10
    }
    # Read from the first run: hsf-0 to hsf-5 under the default salt, which no later version may move.
    assert [parts[f"hsf-{n}"] for n in range(6)] == ["test", "train", "test", "train", "train", "validation"]


@given(st.lists(st.integers(0, 8), min_size=1, max_size=24), st.integers(0, 24), st.sampled_from(["a", "b", "c"]))
@settings(max_examples=60)
def test_near_duplicates_stand_in_one_part_and_a_row_that_is_added_makes_nobody_change_side(
    pictures: list[int], old: int, salt: str
) -> None:
    rows = drawn(pictures)
    before, after = parts_of(split(rows.where(np.arange(min(old, len(rows)))), salt)), parts_of(split(rows, salt))

    parts = {
        number: {after[str(n)] for n, other in enumerate(pictures) if other == number and str(n) in after}
        for number in pictures
    }

    assert all(len(each) == 1 for each in parts.values())
    assert all(before[key] == name for key, name in after.items() if key in before)
    assert {*left_out(rows, salt).keys.tolist()} == {*map(str, range(len(pictures)))} - set(after)


def test_a_copy_of_a_row_that_teaches_judges_nothing() -> None:
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(6)]
    rows = replace(drawn([0, 1, 0, 1, 2, 3]), keys=np.array(keys))

    divided = parts_of(split(rows, "demlopment-1"))

    # By the vectors above the first two would validate and the fourth teaches what the second shows.
    assert divided == dict(zip([keys[0], *keys[3:]], ["validation", "train", "train", "train"], strict=True))


def test_the_report_of_shares_counts_every_row_and_finds_a_split_that_favours_a_class() -> None:
    keys = [hashlib.sha256(f"{n}".encode()).hexdigest() for n in range(2000)]
    rows = replace(made_up(keys), labels=np.arange(2000) % 4)
    fair = split(rows, "s")
    unfair = replace(fair, train=fair.train.where(fair.train.labels != 2))

    assert sum(share.rows for share in shares(fair)) == 2000
    assert not any(share.strange for share in shares(fair))
    assert {(share.part, share.label) for share in shares(unfair) if share.strange} >= {("train", 2)}
