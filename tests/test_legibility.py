"""What is no character is told by its ink, whatever a network makes of it; characters of other pens are not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment import images
from demlopment.archive import Answering
from demlopment.evaluation import changes, strangers
from demlopment.evaluation.hands import DIGITS, Page, drawn, pages, unsteady
from demlopment.images import Grey
from demlopment.legibility import ANYTHING, Limits, legible, limits
from demlopment.records import Examples
from tests.digits import digits, train, unseen
from tests.serving.test_journal import prediction

__all__ = ["digits", "train", "unseen"]


@pytest.mark.parametrize("rows", [150, 1000])
def test_of_digits_that_were_not_taught_none_is_refused(rows: int, train: Examples, digits: Examples) -> None:
    within = limits(train.images[:rows])

    assert legible(digits.images[1000:], within).mean() > 0.999


@pytest.mark.parametrize("kind", ["blank", "full", "noise"])
def test_what_shows_no_character_is_refused(kind: str, train: Examples) -> None:
    rng = np.random.default_rng(1)
    shown = np.stack([images.prepare(getattr(strangers, kind)(rng)) for _ in range(50)])

    assert not legible(shown, limits(train.images)).any()


@pytest.mark.parametrize("change", [changes.scanned, changes.sized(40), changes.thinner, changes.thicker, changes.blurred(2.0)])
def test_a_digit_that_was_sent_in_another_way_stays_legible(change: changes.Change, train: Examples, unseen: Examples) -> None:
    rng = np.random.default_rng(1)
    shown = np.stack([images.prepare(change(picture, rng)) for picture in unseen.images[:200]])

    assert legible(shown, limits(train.images)).mean() > 0.97


@given(seed=st.integers(0, 10_000), pen=st.floats(0.05, 0.18))
def test_digits_that_are_drawn_are_legible(seed: int, pen: float, train: Examples) -> None:
    rng = np.random.default_rng(seed)
    hands = [hand for each in DIGITS.values() for hand in each]
    shown = [drawn(unsteady(hand, rng), page) for hand in hands for page in pages(rng, 1, Page(pen=pen))]

    assert legible(np.stack([images.prepare(picture) for picture in shown]), limits(train.images)).all()


def test_without_limits_everything_is_legible() -> None:
    assert legible(np.zeros((2, 28, 28), np.uint8), ANYTHING).all()
    assert legible(np.zeros((0, 28, 28), np.uint8), Limits(0.1)).shape == (0,)


def test_a_full_box_is_refused_whatever_was_taught() -> None:
    box = np.zeros((1, 28, 28), np.uint8)
    box[:, 4:24, 4:24] = 255

    assert not legible(box, limits(box)).any()


def test_an_answer_needs_a_human_if_it_is_unsure_or_its_picture_illegible(train: Examples) -> None:
    digit, blank = train.images[0], np.zeros((28, 28), np.uint8)
    sure = prediction("asked")._replace(probabilities=np.array([0.9, 0.1], np.float32))
    card = Answering(threshold=0.8, legible=limits(train.images))

    def accepted(image: Grey | None, card: Answering) -> bool:
        return card.accepts(sure._replace(image=image))

    assert [accepted(image, card) for image in (digit, blank, None)] == [True, False, True]
    assert not accepted(digit, replace(card, threshold=0.95))
    assert accepted(blank, Answering(threshold=0.8))
