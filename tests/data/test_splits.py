"""A row's part depends on its content and the salt, and on nothing else."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.data.splits import SHARES, part, split
from demlopment.records import Examples, Split

KEYS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(6)]


def made_up(keys: list[str], source: str = "mnist-5k") -> Examples:
    count = len(keys)
    return Examples(
        np.array(keys, dtype=np.str_),
        np.zeros((count, 28, 28), np.uint8),
        np.zeros(count, np.int64),
        np.array([source] * count, dtype=np.str_),
        np.array([""] * count, dtype=np.str_),
    )


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
