"""Digits that code draws are whole, wherever and however they are drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment import images
from demlopment.evaluation.hands import DIGITS, TREMOR, Page, drawn, pages, unsteady

shares = st.floats(0, 1)
hands = st.sampled_from([hand for each in DIGITS.values() for hand in each])
papers = st.builds(
    Page,
    side=st.integers(30, 300),
    height=st.floats(0.3, 0.7),
    width=st.floats(0.6, 0.9),
    pen=st.floats(0.05, 0.18),
    slant=st.floats(-0.1, 0.2),
    place=st.tuples(shares, shares),
)


@settings(max_examples=200)
@given(hand=hands, page=papers)
def test_a_character_is_whole_on_its_page_wherever_it_is_put(hand: tuple[np.ndarray, ...], page: Page) -> None:
    picture = drawn(hand, page)

    rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert picture.shape == (page.side, page.side)
    assert picture.max() == page.paper
    assert picture.min() <= (page.ink + page.paper) // 2  # a pen of one pixel may fall between two
    assert (rim == page.paper).mean() > 0.5
    inked = np.flatnonzero((picture < (page.ink + page.paper) // 2).any(axis=1))
    assert len(inked) == pytest.approx(
        page.height * page.side * (1 + page.pen), abs=8
    )  # each end, and the width of the pen, is rounded


def test_a_plain_one_is_a_bar_of_the_pens_width() -> None:
    """By hand: 60 pixels of height in the middle of 100, a pen of 6, round at both ends."""
    picture = drawn(DIGITS["1"][0], Page(side=100, height=0.6, pen=0.1, ink=0, paper=255))

    rows, columns = np.nonzero(picture < 128)
    assert columns.max() - columns.min() + 1 == pytest.approx(6, abs=1)
    assert (columns.max() + columns.min()) / 2 == pytest.approx(50, abs=1)
    assert (rows.min(), rows.max()) == (pytest.approx(17, abs=1), pytest.approx(83, abs=1))


def test_polarity_changes_nothing_once_it_is_prepared() -> None:
    for hand in (hand for each in DIGITS.values() for hand in each):
        dark, light = drawn(hand, Page(ink=0, paper=255)), drawn(hand, Page(ink=255, paper=0))

        assert np.abs(images.prepare(dark).astype(int) - images.prepare(light)).max() <= 3  # OpenCV's edges round one way


def test_each_digit_has_hands_that_differ() -> None:
    looks = {digit: [images.prepare(drawn(hand, Page())) for hand in each] for digit, each in DIGITS.items()}

    assert list(looks) == list("0123456789")
    for pictures in looks.values():
        assert len(pictures) >= 2
        assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 3


def test_pages_differ_and_a_stated_place_stays() -> None:
    rng = np.random.default_rng(1)

    anywhere, corner = pages(rng, 20, Page()), pages(rng, 20, Page(place=(0.0, 1.0)))

    assert len({page.place for page in anywhere}) == len({page.pen for page in anywhere}) == 20
    assert {page.place for page in corner} == {(0.0, 1.0)}


def test_an_unsteady_hand_is_off_by_a_little_everywhere() -> None:
    hand = DIGITS["8"][1]

    shaky = unsteady(hand, np.random.default_rng(1))

    off = np.concatenate(shaky) - np.concatenate(list(hand))
    assert 0.8 * TREMOR < off.std() < 1.2 * TREMOR
