"""Each corruption is what MNIST-C's authors describe, told by a slower way to make it where there is one."""

from math import pi

import cv2
import numpy as np
import pytest
from scipy import ndimage

from demlopment.evaluation import corruptions
from demlopment.evaluation.corruptions import STRENGTHS, Corruption
from demlopment.evaluation.robustness import CORRUPTIONS
from demlopment.images import Grey
from demlopment.records import Examples

every = pytest.mark.parametrize("corruption", [each for _, each, _ in CORRUPTIONS], ids=[name for name, _, _ in CORRUPTIONS])


@pytest.fixture(scope="module")
def pictures(unseen: Examples) -> Grey:
    return unseen.images[:60]


def corrupted(corruption: Corruption, pictures: Grey, strength: float, seed: int = 1) -> Grey:
    return corruption(pictures, strength, np.random.default_rng(seed))


def distance(some: Grey, others: Grey) -> float:
    return float(np.abs(some.astype(int) - others).mean())


def test_they_are_the_fifteen_of_the_paper() -> None:
    assert [name for name, _, _ in CORRUPTIONS] == [
        *("shot noise", "impulse noise", "glass blur", "motion blur", "shear", "scale", "rotate", "brightness", "translate"),
        *("stripe", "fog", "spatter", "dotted line", "zigzag", "canny edges"),
    ]


@every
def test_strength_nothing_changes_nothing(corruption: Corruption, pictures: Grey) -> None:
    assert np.array_equal(corrupted(corruption, pictures, 0), pictures)


@every
def test_a_greater_strength_is_farther_from_the_picture(corruption: Corruption, pictures: Grey) -> None:
    distances = [distance(corrupted(corruption, pictures, strength), pictures) for strength in (0, *STRENGTHS)]

    assert distances == sorted(distances)
    assert len(set(distances)) == len(distances)


@every
def test_it_is_a_function_of_its_arguments_and_leaves_them_alone(corruption: Corruption, pictures: Grey) -> None:
    before = pictures.copy()

    one, again, other = (corrupted(corruption, pictures, 3, seed) for seed in (1, 1, 2))

    chance = corruption not in (corruptions.scale, corruptions.brightness, corruptions.stripe, corruptions.canny_edges)
    assert one.shape == pictures.shape
    assert one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert np.array_equal(one, other) != chance
    assert np.array_equal(pictures, before)
    assert corrupted(corruption, pictures[:1], 5).shape == (1, 28, 28)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_translating_is_moving_by_whole_pixels_to_a_corner(pictures: Grey, strength: int) -> None:
    moved = corrupted(corruptions.translate, pictures, strength)

    wide = np.pad(pictures, ((0, 0), (5, 5), (5, 5)))
    starts = [5 - strength, 5 + strength]
    corners = np.stack([wide[:, top : top + 28, left : left + 28] for top in starts for left in starts])
    same = (corners == moved).all(axis=(2, 3))  # (4, n)
    assert same.any(axis=0).all()
    assert same.any(axis=1).all()


def test_a_quarter_turn_is_a_quarter_turn(pictures: Grey) -> None:
    turned = corrupted(corruptions.rotate, pictures, pi / 2 / 0.2)

    quarters = np.stack([np.rot90(pictures, times, axes=(1, 2)) for times in (1, 3)])
    off = np.abs(quarters.astype(int) - turned).max(axis=(2, 3)).min(axis=0)
    assert off.max() <= 1


@pytest.mark.parametrize("strength", STRENGTHS)
def test_maps_are_those_of_scipy(pictures: Grey, strength: int) -> None:
    """The oracle asks for each pixel where it comes from: the inverse of the map, about the middle."""
    smaller, sheared = (corrupted(each, pictures, strength) for each in (corruptions.scale, corruptions.shear))

    def mapped(picture: Grey, forward: list[list[float]]) -> np.ndarray:
        inverse, middle = np.linalg.inv(forward), np.full(2, 13.5)
        return np.asarray(
            ndimage.affine_transform(picture.astype(float), inverse, middle - inverse @ middle, order=1, mode="grid-constant")
        )

    for number, picture in enumerate(pictures):
        factor, slant = 1 - 0.1 * strength, 0.2 * strength
        assert np.abs(mapped(picture, [[factor, 0], [0, factor]]) - smaller[number]).max() <= 1
        either = [mapped(picture, [[1, 0], [side * slant, 1]]) for side in (-1, 1)]
        assert min(np.abs(each - sheared[number]).max() for each in either) <= 1


@pytest.mark.parametrize("strength", STRENGTHS)
def test_brightness_adds_a_tenth_of_white_for_each_strength(pictures: Grey, strength: int) -> None:
    lighter = corrupted(corruptions.brightness, pictures, strength)

    assert np.abs(np.minimum(pictures + 25.5 * strength, 255) - lighter).max() <= 0.5


def test_photons_keep_the_mean_and_vary_by_their_number() -> None:
    grey = np.full((50, 28, 28), 102, np.uint8)  # a strength of 2 gives white 15 photons, and this 6

    noisy = corrupted(corruptions.shot_noise, grey, 2).astype(float)

    assert noisy.mean() == pytest.approx(102, abs=1)
    assert noisy.std() == pytest.approx(6**0.5 * 17, rel=0.02)


def test_dead_pixels_are_black_or_white_and_stay_dead(pictures: Grey) -> None:
    grey = np.full((50, 28, 28), 100, np.uint8)

    few, many = (corrupted(corruptions.impulse_noise, grey, strength) for strength in (1, 5))

    assert set(np.unique(many)) == {0, 100, 255}
    assert (few != 100).mean() == pytest.approx(0.05, abs=0.01)
    assert (many == 0).mean() == pytest.approx(0.125, abs=0.01)
    assert (many[few != 100] != 100).all()


def test_glass_and_motion_spread_a_point_over_their_reach() -> None:
    point = np.zeros((200, 28, 28), np.uint8)
    point[:, 14, 14] = 255

    moved = corrupted(corruptions.motion_blur, point, 4)

    rows, columns = np.nonzero(moved.max(axis=0))
    assert (columns.min(), columns.max()) == (10, 18)
    assert (rows.min(), rows.max()) == (11, 17)  # up to 45 degrees from level
    assert moved.sum(axis=(1, 2)) == pytest.approx(np.full(200, 255), abs=12)
    glass = corrupted(corruptions.glass_blur, np.full((1, 28, 28), 90, np.uint8), 5)
    assert (glass == 90).all()


def test_stripes_invert_the_sides(pictures: Grey) -> None:
    striped = corrupted(corruptions.stripe, pictures, 5)

    assert np.array_equal(striped[:, :, 7:21], pictures[:, :, 7:21])
    assert np.array_equal(striped[:, :, :7], 255 - pictures[:, :, :7])
    assert np.array_equal(striped[:, :, 21:], 255 - pictures[:, :, 21:])


def test_mud_covers_a_sixteenth_for_each_strength(pictures: Grey) -> None:
    muddy = [corrupted(corruptions.spatter, np.zeros_like(pictures), strength) == corruptions.MUD for strength in (1, 4)]

    assert [each.mean(axis=(1, 2)).tolist() for each in muddy] == [[1 / 16] * 60, [1 / 4] * 60]
    assert (muddy[1] >= muddy[0]).all()


@pytest.mark.parametrize("lines", [corruptions.dotted_line, corruptions.zigzag])
def test_lines_only_add_ink_and_reach_from_side_to_side(lines: Corruption, pictures: Grey) -> None:
    one, all_five = (corrupted(lines, np.zeros_like(pictures), strength) for strength in (1, 5))

    assert (corrupted(lines, pictures, 3) >= pictures).all()
    assert (all_five >= one).all()
    inked = one.max(axis=1) > 0
    assert (inked[:, :4].any(axis=1) & inked[:, -4:].any(axis=1)).mean() > 0.9


def test_at_the_greatest_strength_there_are_edges_alone(pictures: Grey) -> None:
    edges = corrupted(corruptions.canny_edges, pictures, 5)

    assert np.array_equal(edges, np.stack([cv2.Canny(each, 100, 200) for each in pictures]))


def test_fog_lightens_paper_and_veils_ink(pictures: Grey) -> None:
    foggy = corrupted(corruptions.fog, pictures, 5).astype(float)

    ink, paper = foggy[pictures > 200].mean(), foggy[pictures == 0].mean()
    assert 20 < ink - paper < 100
    assert paper > 60
