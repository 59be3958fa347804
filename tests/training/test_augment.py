import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from demlopment.records import Examples
from demlopment.training.augment import Strength, augment
from demlopment.training.network import as_tensor

NOTHING = Strength(rotation=0, scale=0, shear=0, shift=0, bend=0)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centres(images: Tensor) -> Tensor:
    """(n, 2): centre of mass of each image, down and across, in pixels."""
    places = torch.arange(28.0)
    weight = images.sum((1, 2, 3))
    down, across = images.sum((1, 3)) @ places, images.sum((1, 2)) @ places
    return torch.stack([down / weight, across / weight], dim=1)


@pytest.fixture(scope="module")
def pictures(train: Examples) -> Tensor:
    return as_tensor(train.images[:200])


def test_no_strength_changes_no_pixel(pictures: Tensor) -> None:
    moved = augment(pictures, seeded(), NOTHING)

    torch.testing.assert_close(moved, pictures, atol=1e-4, rtol=0)


@pytest.mark.parametrize("amount", ["rotation", "scale", "shear", "shift", "bend"])
def test_each_amount_changes_the_images(pictures: Tensor, amount: str) -> None:
    strength = Strength(**{**NOTHING.__dict__, amount: getattr(Strength(), amount)})

    moved = augment(pictures, seeded(), strength)

    assert (moved - pictures).abs().mean() > 0.005


def test_the_generator_alone_decides_what_happens(pictures: Tensor) -> None:
    before = torch.get_rng_state()

    first, again, other = (augment(pictures, seeded(seed)) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_augmented_images_keep_their_shape_their_range_and_most_of_their_ink(seed: int) -> None:
    images = torch.zeros(4, 1, 28, 28)
    images[:, :, 8:20, 12:16] = 1.0

    moved = augment(images, seeded(seed))

    assert moved.shape == images.shape
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1 + 1e-6
    assert (moved.sum((1, 2, 3)) > 0.6 * images.sum((1, 2, 3))).all()


def test_a_shift_moves_the_centre_by_no_more_than_its_limit_and_uses_the_room(pictures: Tensor) -> None:
    limit = 1.5

    moved = augment(pictures, seeded(), Strength(rotation=0, scale=0, shear=0, shift=limit, bend=0))

    distance = (centres(moved) - centres(pictures)).abs()
    assert distance.max() <= limit + 0.05  # ink at the margin is cut off
    assert distance.max() > 0.9 * limit
    np.testing.assert_allclose(distance.mean(), limit / 2, rtol=0.15)  # drawn evenly
