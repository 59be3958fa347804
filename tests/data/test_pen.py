"""A drawing is the same wherever, however large and in whichever direction it was drawn."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment import images
from demlopment.data.pen import BOX, PEN, SIDE, Points, drawn
from demlopment.errors import DataError

whole = st.integers(-500, 500).map(float)
finite = st.floats(allow_nan=False, allow_infinity=False)


def strokes_of(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[list[Points]]:
    stroke = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6).map(lambda points: np.array(points, np.float64))
    return st.lists(stroke, min_size=1, max_size=4)


@given(strokes_of(whole), whole, whole, st.integers(1, 1000), st.integers(-200, 200))
def test_neither_place_nor_size_matters(strokes: list[Points], right: float, down: float, times: int, power: int) -> None:
    moved = [np.ldexp((stroke + np.array([right, down])) * times, power) for stroke in strokes]

    assert np.array_equal(drawn(moved), drawn(strokes))


@given(strokes_of(whole), st.randoms())
def test_neither_direction_nor_order_matters(strokes: list[Points], random: object) -> None:
    turned = [stroke[::-1] for stroke in strokes]
    random.shuffle(turned)  # type: ignore[attr-defined]  # hypothesis' own

    assert np.array_equal(drawn(turned), drawn(strokes))


@given(strokes_of(finite))
def test_whatever_is_finite_leaves_ink_and_leaves_it_again(strokes: list[Points]) -> None:
    first, again = drawn(strokes), drawn(strokes)

    assert first.max() >= 128
    assert first.shape == (SIDE, SIDE)
    assert np.array_equal(first, again)
    assert images.prepare(first).any()


@settings(max_examples=25)
@given(strokes_of(whole))
def test_it_is_what_a_slow_obvious_pen_draws(strokes: list[Points]) -> None:
    assert np.abs(drawn(strokes).astype(int) - dotted(strokes).astype(int)).max() <= 12


def dotted(strokes: list[Points]) -> npt.NDArray[np.uint8]:
    """Discs set down so densely along each stroke that no pixel is more than a twentieth too dark."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    extent = max(high - low) or 1.0
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    picture = np.zeros((SIDE, SIDE))
    for stroke in strokes:
        placed = (stroke - (low + high) / 2) / extent * BOX + SIDE / 2
        for start, end in zip(placed, placed[1:] if len(placed) > 1 else placed, strict=False):
            for along in np.linspace(0, 1, 120):
                x, y = start + along * (end - start)
                picture = np.maximum(picture, PEN / 2 + 0.5 - np.hypot(columns - x, rows - y))
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def test_a_straight_line_is_a_bar_with_round_ends() -> None:
    """By hand: from (28, 8) to (28, 48), so the pen covers columns 25.5 to 30.5, the outer two by half."""
    picture = drawn([np.array([[3.0, -1.0], [3.0, 7.0]])])

    across = [0] * 25 + [128, 255, 255, 255, 255, 128] + [0] * 25
    assert picture[10:46].tolist() == [across] * 36
    # Above the upper end the nearest point is that end: centre (27.5, 5.5) is sqrt(0.25 + 6.25) away, 0.45 of a pixel.
    assert picture[5, 27] == round(255 * (3 - 6.5**0.5))
    assert not picture[:5].any()
    assert not picture[51:].any()


def test_a_dot_is_seen_beside_a_stroke() -> None:
    picture = drawn([np.array([[0.0, 10.0], [0.0, 40.0]]), np.array([[0.0, 0.0]])])

    assert picture[8, 28] == 255
    assert not picture[13].any()


@pytest.mark.parametrize("points", [[], [[np.nan, 0.0]], [[np.inf, 0.0]]], ids=["none", "nan", "infinity"])
def test_what_is_no_point_is_refused(points: list[list[float]]) -> None:
    with pytest.raises(DataError, match="points, not all of them finite"):
        drawn([np.array(points).reshape(-1, 2)])
