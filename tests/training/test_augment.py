from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from demlopment.records import Examples
from demlopment.training import augment as augmenting
from demlopment.training.augment import Strength, augment
from demlopment.training.network import as_tensor

AMOUNTS = {  # of each transform, large enough to be seen in every picture
    "rotation": 12.0,
    "scale": 0.12,
    "shear": 0.2,
    "shift": 1.5,
    "bend": 0.5,
    "thickness": 1.0,
    "contrast": 0.5,
    "blur": 1.0,
    "noise": 0.3,
    "occlusion": 14.0,
    "inversion": 0.5,
}
NOTHING = Strength(**dict.fromkeys(AMOUNTS, 0.0))


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(amount: str, limit: float | None = None) -> Strength:
    return replace(NOTHING, **{amount: AMOUNTS[amount] if limit is None else limit})


@given(share=st.floats(0, 1))
def test_a_share_of_the_strength_is_that_share_of_every_amount(share: float) -> None:
    whole = Strength(**AMOUNTS)

    part = whole.times(share)

    assert {name: getattr(part, name) for name in AMOUNTS} == {name: share * amount for name, amount in AMOUNTS.items()}
    assert whole.times(1) == whole
    assert whole.times(0) == NOTHING


def centres(images: Tensor) -> Tensor:
    """(n, 2): centre of mass of each image, down and across, in pixels."""
    places = torch.arange(28.0)
    weight = images.sum((1, 2, 3))
    down, across = images.sum((1, 3)) @ places, images.sum((1, 2)) @ places
    return torch.stack([down / weight, across / weight], dim=1)


@pytest.fixture(scope="module")
def pictures(train: Examples) -> Tensor:
    return as_tensor(train.images[:200])


def test_every_amount_of_the_strength_is_tested_here() -> None:
    assert {field.name for field in fields(Strength)} == set(AMOUNTS)


def test_no_strength_changes_no_pixel(pictures: Tensor) -> None:
    moved = augment(pictures, seeded(), NOTHING)

    torch.testing.assert_close(moved, pictures, atol=1e-4, rtol=0)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_each_amount_changes_the_images(pictures: Tensor, amount: str) -> None:
    moved = augment(pictures, seeded(), only(amount))

    assert (moved - pictures).abs().mean() > 0.005


@pytest.mark.parametrize("amount", AMOUNTS)
def test_more_of_an_amount_changes_more(pictures: Tensor, amount: str) -> None:
    little, much = (
        (augment(pictures, seeded(), only(amount, share * AMOUNTS[amount])) - pictures).abs().mean() for share in (0.3, 1.0)
    )

    assert little < much


@pytest.mark.parametrize("amount", AMOUNTS)
def test_the_generator_alone_decides_what_happens(pictures: Tensor, amount: str) -> None:
    before = torch.get_rng_state()

    first, again, other = (augment(pictures, seeded(seed), only(amount)) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_no_image_is_changed_by_those_beside_it(pictures: Tensor, amount: str) -> None:
    others = pictures.clone()
    others[1:] = pictures[:-1]

    first, again = (augment(batch, seeded(), only(amount)) for batch in (pictures, others))

    torch.testing.assert_close(first[0], again[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_the_images_that_are_given_stay_as_they_are(pictures: Tensor, amount: str) -> None:
    given_ones = pictures.clone()

    augment(given_ones, seeded(), only(amount))

    assert torch.equal(given_ones, pictures)


amounts = st.fixed_dictionaries({name: st.floats(0, limit) for name, limit in AMOUNTS.items()})


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), limits=amounts, n=st.integers(1, 5))
def test_augmented_images_keep_their_shape_and_range_at_any_strength(seed: int, limits: dict[str, float], n: int) -> None:
    images = torch.rand(n, 1, 28, 28, generator=seeded(seed))
    images[0] = 0.0

    moved = augment(images, seeded(seed), Strength(**limits))

    assert moved.shape == images.shape
    assert moved.dtype == torch.float32
    assert -1e-6 <= float(moved.min()) <= float(moved.max()) <= 1 + 1e-6


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_images_augmented_by_default_keep_a_part_of_their_ink_even_if_their_strokes_become_thinner(seed: int) -> None:
    images = torch.zeros(4, 1, 28, 28)
    images[:, :, 8:20, 12:16] = 1.0

    moved = augment(images, seeded(seed))

    assert (moved.sum((1, 2, 3)) > 0.2 * images.sum((1, 2, 3))).all()


def test_a_shift_moves_the_centre_by_no_more_than_its_limit_and_uses_the_room(pictures: Tensor) -> None:
    limit = 1.5

    moved = augment(pictures, seeded(), only("shift", limit))

    distance = (centres(moved) - centres(pictures)).abs()
    assert distance.max() <= limit + 0.05  # ink at the margin is cut off
    assert distance.max() > 0.9 * limit
    np.testing.assert_allclose(distance.mean(), limit / 2, rtol=0.15)  # drawn evenly


@pytest.mark.parametrize("amount", ["rotation", "scale", "shear", "shift"])
def test_an_affine_change_is_what_scipy_makes_of_the_same_numbers(pictures: Tensor, amount: str) -> None:
    limit, middle = AMOUNTS[amount], 13.5
    drawn = 2 * torch.rand(6, len(pictures), generator=seeded()).numpy().astype(np.float64) - 1

    moved = augment(pictures, seeded(), only(amount))

    for image, result, numbers in zip(pictures[:20, 0].numpy(), moved[:20, 0].numpy(), drawn[:, :20].T, strict=True):
        angle = np.radians(limit) * numbers[0] if amount == "rotation" else 0.0
        across, down = np.exp(limit * numbers[1:3]) if amount == "scale" else (1.0, 1.0)
        slant = limit * numbers[3] if amount == "shear" else 0.0
        shift = limit * numbers[[5, 4]] if amount == "shift" else np.zeros(2)
        # scipy counts rows before columns, so x and y change their places.
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        matrix = turn @ np.array([[down, 0.0], [slant, across]])
        offset = middle - matrix @ [middle, middle] + shift
        expected = ndimage.affine_transform(image.astype(np.float64), matrix, offset, order=1, mode="grid-constant")
        np.testing.assert_allclose(result, expected, atol=1e-4)


def drawn_each(n: int) -> np.ndarray:
    """The number of each image that a transform draws first from a fresh generator, (n, 1, 1)."""
    return torch.rand(n, generator=seeded()).numpy().reshape(-1, 1, 1)


def test_strokes_become_thicker_and_thinner_as_scipy_s_grey_dilation_and_erosion_say(pictures: Tensor) -> None:
    images, change = pictures[:, 0].numpy(), 2 * drawn_each(len(pictures)) - 1
    thick, thin = ndimage.grey_dilation(images, size=(1, 3, 3)), ndimage.grey_erosion(images, size=(1, 3, 3))

    result = augmenting.thickened(pictures, seeded(), 1.0)[:, 0].numpy()

    expected = images + np.where(change > 0, change * (thick - images), -change * (thin - images))
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert (change > 0.9).any()
    assert (change < -0.9).any()


def test_contrast_leaves_black_and_white_and_the_order_of_tones() -> None:
    tones = torch.linspace(0, 1, 28 * 28).reshape(1, 1, 28, 28).repeat(50, 1, 1, 1)

    result = augmenting.contrasted(tones, seeded(), 0.5)

    flat = result.reshape(50, -1)
    assert (flat.diff(dim=1) > 0).all()
    assert (flat[:, 0] == 0).all()
    assert (flat[:, -1] == 1).all()
    expected = np.linspace(0, 1, 784) ** np.exp(0.5 * (2 * drawn_each(50)[:, :, 0] - 1))
    np.testing.assert_allclose(flat.numpy(), expected, atol=1e-5)


def test_a_blur_is_a_share_of_scipy_s_mean_over_the_neighbourhood(pictures: Tensor) -> None:
    images, share = pictures[:, 0].numpy(), drawn_each(len(pictures))

    result = augmenting.blurred(pictures, seeded(), 1.0)[:, 0].numpy()

    mean = ndimage.uniform_filter(images, size=(0, 3, 3), mode="constant")
    np.testing.assert_allclose(result, images + share * (mean - images), atol=1e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), limit=st.floats(2, 28))
def test_what_is_occluded_is_one_rectangle_of_no_more_than_its_limit(seed: int, limit: float) -> None:
    blank = augmenting.occluded(torch.ones(20, 1, 28, 28), seeded(seed), limit)[:, 0] == 0

    for hidden in blank.numpy():
        rows, columns = hidden.any(axis=1), hidden.any(axis=0)
        assert np.array_equal(hidden, np.outer(rows, columns))
        assert max(rows.sum(), columns.sum()) <= np.ceil(limit)
        for line in (rows, columns):
            assert np.count_nonzero(np.diff(line.astype(int))) <= 2  # one stretch


def test_grain_has_the_spread_that_was_drawn_and_no_mean() -> None:
    grey = torch.full((100, 1, 28, 28), 0.5)

    noise = (augmenting.grained(grey, seeded(), 0.1) - grey).flatten(1).numpy()

    np.testing.assert_allclose(noise.std(axis=1), 0.1 * drawn_each(100)[:, 0, 0], rtol=0.12, atol=1e-4)
    assert abs(noise.mean()) < 0.001


def test_an_inverted_image_is_the_whole_opposite_and_so_are_as_many_as_the_probability_says(pictures: Tensor) -> None:
    result = augmenting.inverted(pictures, seeded(), 0.3)

    opposite, same = ((result - each).abs().amax((1, 2, 3)) == 0 for each in (1 - pictures, pictures))
    assert (opposite ^ same).all()
    np.testing.assert_array_equal(opposite.numpy(), drawn_each(len(pictures))[:, 0, 0] < 0.3)
