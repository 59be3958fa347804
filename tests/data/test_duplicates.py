"""Copies of a picture are found, whatever stands beside them, and two different pictures are never taken for copies."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment.data.duplicates import NEAREST, near_duplicates, perceptual_hash
from demlopment.data.sources import RawRows

Pictures = npt.NDArray[np.uint8]
GOLDEN = [
    138_247_724_005,
    852_559_939_072,
    552_208_201_838,
    185_374_660_872,
    901_989_286_229,
    623_207_629_320,
    10_449_069_067,
    310_672_566_811,
]


@pytest.fixture(scope="module")
def pictures(digits: RawRows) -> Pictures:
    return np.frombuffer(b"".join(digits.frame["image"]), np.uint8).reshape(-1, 28, 28)


def noisy(pictures: Pictures, grey_levels: float, seed: int = 0) -> Pictures:
    noise = np.random.default_rng(seed).normal(0, grey_levels, pictures.shape)
    return np.clip(pictures + noise, 0, 255).astype(np.uint8)


def compared_one_by_one(pictures: Pictures) -> list[int]:
    """The slow and obvious way: every picture with every other, then the first row that can be reached."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    near = np.linalg.norm(unit[:, None] - unit[None], axis=2) < NEAREST
    first = list(range(len(pictures)))
    for _ in pictures:
        first = [min(first[other] for other in np.flatnonzero(near[row])) for row in range(len(pictures))]
    return first


def test_the_groups_are_those_of_comparing_every_pair(pictures: Pictures) -> None:
    few = pictures[::125]
    mixed = np.concatenate([few, noisy(few[:20], 6), noisy(few[:10], 6, seed=1), few[:5] // 2])

    groups = near_duplicates(mixed).tolist()

    assert groups == compared_one_by_one(mixed)
    assert groups[40:] == [*range(20), *range(10), *range(5)]


def test_no_two_of_the_packaged_digits_are_taken_for_copies(pictures: Pictures) -> None:
    assert near_duplicates(pictures).tolist() == list(range(len(pictures)))


def test_copies_with_noise_are_found_among_five_thousand(pictures: Pictures) -> None:
    copies = noisy(pictures[::10], 6)

    found = near_duplicates(np.concatenate([pictures, copies]))

    # 500 copies, all near; the bands of the hash miss one in some hundreds.
    assert (found[5000:] == np.arange(0, 5000, 10)).sum() >= 495
    assert found[:5000].tolist() == list(range(5000))


@given(st.permutations(range(60)), st.integers(1, 60))
@settings(max_examples=25)
def test_rows_that_are_added_never_part_a_group_and_order_does_not_matter(
    pictures: Pictures, order: list[int], kept: int
) -> None:
    base = pictures[::250]
    rows = np.concatenate([base, noisy(base, 4, seed=1), noisy(base, 4, seed=2)])[order]

    some, every = near_duplicates(rows[:kept]), near_duplicates(rows)

    assert [order[row] % 20 for row in every] == [place % 20 for place in order]
    assert every[:kept].tolist() == some.tolist()


def test_blank_pictures_are_nobodys_copies_and_equal_ones_are() -> None:
    blank, line = np.zeros((28, 28), np.uint8), np.eye(28, dtype=np.uint8)

    assert near_duplicates(np.stack([blank, line, blank, line])).tolist() == [0, 1, 2, 1]
    assert near_duplicates(np.zeros((0, 28, 28), np.uint8)).tolist() == []


def test_a_crowd_of_equal_pictures_is_one_group(pictures: Pictures) -> None:
    crowd = np.repeat(pictures[:1], 500, axis=0)

    assert near_duplicates(crowd).tolist() == [0] * 500


def test_the_hash_has_the_bits_it_had() -> None:
    ramp = np.arange(784).reshape(1, -1).astype(np.uint8)

    hashed = perceptual_hash(ramp)

    # Read from the first run: another machine or library must not find other copies.
    assert hashed[0].tolist() == GOLDEN
