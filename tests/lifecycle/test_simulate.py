"""The simulated world is the same for the same seed, sends each example once, and changes its pens when it says."""

import socket
from dataclasses import replace

import numpy as np
import pytest

from demlopment import images
from demlopment.errors import NotReadyError
from demlopment.lifecycle import simulate
from demlopment.lifecycle.simulate import Pen, World
from demlopment.records import Examples

CLASSES = tuple("0123456789")


@pytest.fixture
def stream() -> Examples:
    rng = np.random.default_rng(5)
    pictures = np.zeros((60, 28, 28), np.uint8)
    for picture in pictures:
        top, left = rng.integers(4, 8, size=2)
        picture[top : top + 16, left : left + 3] = 255
        picture[top : top + 3, left : left + 12] = 255
    labels = rng.integers(10, size=60)
    return Examples(np.array([f"{i:064x}" for i in range(60)]), pictures, labels, np.full(60, "mnist-5k"), np.full(60, ""))


def test_the_same_seed_writes_the_same_letters_and_another_seed_others(stream: Examples) -> None:
    first, again = simulate.letters(stream, CLASSES, World()), simulate.letters(stream, CLASSES, World())
    other = simulate.letters(stream, CLASSES, World(seed=12))

    assert first == again
    assert first != other


def test_each_example_is_sent_once_with_its_truth(stream: Examples) -> None:
    plain = World(after=Pen(), seed=3)

    letters, _ = simulate.letters(stream, CLASSES, plain)

    expected = sorted(
        (CLASSES[label], images.prepare(picture).tobytes()) for label, picture in zip(stream.labels, stream.images, strict=True)
    )
    assert sorted((letter.truth, images.prepare(letter.png).tobytes()) for letter in letters) == expected


def test_the_default_pen_changes_nothing_and_a_thicker_one_adds_ink(stream: Examples) -> None:
    digit = images.prepare(stream.images[0])

    plain, thick = images.prepare(Pen().draw(digit)), images.prepare(Pen(thickness=2).draw(digit))

    assert np.array_equal(plain, digit)
    assert (thick > images.INK).sum() > 1.2 * (digit > images.INK).sum()


def test_a_slanted_pen_leans_to_the_right(stream: Examples) -> None:
    upright = np.zeros((28, 28), np.uint8)
    upright[4:24, 13:15] = 255

    leaning = 255 - Pen(slant=20).draw(upright)

    columns = np.arange(leaning.shape[1])
    top, bottom = leaning[20], leaning[35]
    assert (top * columns).sum() / top.sum() > (bottom * columns).sum() / bottom.sum() + 2


def test_the_pens_change_at_the_stated_request_and_not_before(stream: Examples) -> None:
    calm = World(after=Pen())
    changed = replace(calm, after=Pen(thickness=2), change_at=0.4)

    before, _ = simulate.letters(stream, CLASSES, calm)
    after, change_at = simulate.letters(stream, CLASSES, changed)

    assert change_at == 24
    assert after[:24] == before[:24]
    assert all(one.png != other.png for one, other in zip(after[24:], before[24:], strict=True))


def test_labels_come_back_late_and_for_some_only(stream: Examples) -> None:
    letters, _ = simulate.letters(stream, CLASSES, World(labelled=0.5, delay=10))

    delays = [letter.label_after - i for i, letter in enumerate(letters) if letter.label_after is not None]

    assert 10 <= len(delays) <= 50
    assert min(delays) >= 1


def test_an_endpoint_that_went_away_is_named(stream: Examples) -> None:
    letters, _ = simulate.letters(stream, CLASSES, World())
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"

        with pytest.raises(NotReadyError, match=r"does not answer /predictions/digits"):
            simulate.send(letters, address, "digits", headers={}, progress=lambda _: None)
