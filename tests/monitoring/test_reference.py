"""What the profile says of pictures that we know, and that it stays small."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from demlopment.errors import DataError
from demlopment.images import INK
from demlopment.monitoring.pictures import picture_statistics
from demlopment.monitoring.reference import profile
from tests import tables
from tests.monitoring.conftest import Pictures, World


def stroke(width: int, lean: int = 0) -> Pictures:
    """One straight stroke, 20 pixels tall, whose top leans `lean` pixels to the right."""
    picture = np.zeros((28, 28), np.uint8)
    cv2.line(picture, (14 + lean // 2, 4), (14 - lean // 2, 23), 255, width)
    return picture


def test_the_profile_is_json_and_stays_below_100_kilobytes(world: World) -> None:
    reference = profile(world.images, *world.model.answer(world.images))

    written = json.dumps(reference, indent=2, sort_keys=True)

    assert json.loads(written) == reference
    assert 20_000 < len(written) < 100_000
    assert reference["examples"] == 500 == sum(reference["labels"])
    assert all(values == sorted(values) and len(values) == 500 for values in reference["pictures"].values())


def test_the_same_rows_give_the_same_profile(world: World) -> None:
    few = world.images[:80]

    assert profile(few, *world.model.answer(few)) == profile(few, *world.model.answer(few))


def test_of_a_table_each_column_has_its_statistic() -> None:
    values, _ = tables.rows(120)

    reference = profile(values, tables.probabilities(values), values, columns=tables.COLUMNS)

    hue = sorted((values[:, 2].astype(float) / 2).round(4).tolist())
    assert json.loads(json.dumps(reference)) == reference
    assert list(reference["pictures"]) == ["alcohol", "ash", "hue"]
    assert reference["pictures"]["hue"] == hue


def test_a_wider_pen_has_a_larger_stroke_and_more_ink() -> None:
    thin, thick = (picture_statistics(stroke(width)[None]) for width in (2, 5))

    assert thick["stroke"] > thin["stroke"] + 1.5
    assert thick["ink"] > 1.5 * thin["ink"]


def test_a_leaning_stroke_has_its_slope_as_slant() -> None:
    # From (18, 4) to (10, 23): 8 pixels to the left for 19 pixels down.
    assert picture_statistics(stroke(2, lean=8)[None])["slant"][0] == pytest.approx(-8 / 19, abs=0.03)
    assert picture_statistics(stroke(2)[None])["slant"][0] == pytest.approx(0, abs=0.01)


def test_aspect_is_width_over_height_of_the_ink() -> None:
    picture = np.zeros((28, 28), np.uint8)
    picture[4:24, 9:19] = 255

    assert picture_statistics(picture[None])["aspect"] == [0.5]


def test_blur_raises_softness(world: World) -> None:
    sharp = world.images[:50]
    blurred = np.stack([cv2.GaussianBlur(image, (5, 5), 1.5) for image in sharp]).astype(np.uint8)

    assert picture_statistics(blurred)["softness"].mean() > 1.5 * picture_statistics(sharp)["softness"].mean()


@given(arrays(np.uint8, (3, 28, 28)))
def test_no_picture_gives_a_statistic_that_is_not_a_number(images: Pictures) -> None:
    assert all(np.isfinite(values).all() for values in picture_statistics(images).values())


@given(arrays(np.uint8, (4, 28, 28)), st.permutations(range(4)))
def test_a_picture_has_the_same_statistics_in_any_company(images: Pictures, order: list[int]) -> None:
    alone = picture_statistics(images[order[:1]])
    together = picture_statistics(images)

    assert {name: values[order[0]] for name, values in together.items()} == {name: v[0] for name, v in alone.items()}


def test_a_blank_picture_counts_as_nothing() -> None:
    assert all(values == [0] for values in picture_statistics(np.zeros((1, 28, 28), np.uint8)).values())


@pytest.mark.parametrize(
    ("rows", "answers", "words"),
    [(0, 0, "there are none"), (3, 2, "do not belong together")],
)
def test_rows_that_make_no_profile_are_refused(rows: int, answers: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        profile(np.zeros((rows, 28, 28), np.uint8), np.ones((answers, 10)) / 10, np.zeros((rows, 4)))


def test_a_network_that_answers_nan_is_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        profile(np.zeros((1, 28, 28), np.uint8), np.full((1, 10), np.nan), np.zeros((1, 4)))


def slowly(picture: Pictures) -> dict[str, float]:
    """By the definitions, one picture at a time."""
    light = picture.astype(float) / 255
    mass, rows, columns = light.sum(), *np.mgrid[:28, :28]
    edge = np.abs(np.diff(light, axis=0)).sum() + np.abs(np.diff(light, axis=1)).sum()
    inked = picture > INK
    soft = inked & (picture < 255 - INK)
    down, right = (np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0))
    middle = ((light * rows).sum() / mass, (light * columns).sum() / mass) if mass else (0, 0)
    together = (light * (rows - middle[0]) * (columns - middle[1])).sum()
    spread = (light * (rows - middle[0]) ** 2).sum()
    return {
        "ink": mass / 784,
        "stroke": 2 * mass / edge if edge else 0,
        "slant": together / spread if spread > 1e-9 else 0,
        "aspect": (np.ptp(right) + 1) / (np.ptp(down) + 1) if inked.any() else 0,
        "softness": soft.sum() / inked.sum() if inked.any() else 0,
    }


def test_statistics_are_those_of_their_definitions_for_any_number_of_pictures(world: World) -> None:
    rng = np.random.default_rng(1)
    pictures = np.concatenate(
        [world.images[:560], rng.integers(0, 256, (3, 28, 28), np.uint8), np.zeros((1, 28, 28), np.uint8)]
    )

    found = picture_statistics(pictures)

    for row in (0, 7, 499, 500, 555, 560, 562, 563):
        assert {name: values[row] for name, values in found.items()} == pytest.approx(slowly(pictures[row]), abs=1e-4)
    assert {len(values) for values in picture_statistics(pictures[:0]).values()} == {0}
