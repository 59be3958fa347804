"""What a change does to a picture is what its name says, told by what `images.prepare` makes of it."""

import cv2
import numpy as np
import pytest

from demlopment import images
from demlopment.evaluation import changes, damage, strangers
from demlopment.evaluation.behaviour import INVARIANCE, LETTERS, REFUSALS
from demlopment.evaluation.changes import Change, Sent
from demlopment.evaluation.damage import Damage
from demlopment.images import Grey
from demlopment.records import Examples


@pytest.fixture(scope="module")
def pictures(unseen: Examples) -> Grey:
    return unseen.images[:40]


def sent(change: Change, pictures: Grey, seed: int = 1) -> list[Sent]:
    rng = np.random.default_rng(seed)
    return [change(picture, rng) for picture in pictures]


def prepared(change: Change, pictures: Grey) -> Grey:
    return np.stack([images.prepare(each) for each in sent(change, pictures)])


@pytest.mark.parametrize("change", [changes.moved(1), changes.inverted, changes.floats], ids=["moved", "inverted", "floats"])
def test_what_preparation_undoes_leaves_not_a_tone(change: Change, pictures: Grey) -> None:
    assert np.array_equal(prepared(change, pictures), pictures)


@pytest.mark.parametrize("change", [
    changes.filed(".png"),
    changes.filed(".bmp"),
    changes.filed(".webp", changes.LOSSLESS),
    changes.sixteen_bits,
    changes.transparent,
    changes.coloured(ink=(0, 0, 0), paper=(255, 255, 255)),
    changes.cornered,
])  # fmt: skip
def test_a_format_without_loss_loses_nothing(change: Change, pictures: Grey) -> None:
    assert np.array_equal(prepared(change, pictures), prepared(changes.scanned, pictures))


@pytest.mark.parametrize("kind", [".jpg", ".webp"])
def test_a_lower_quality_is_a_smaller_file_that_is_farther_from_the_page(kind: str, pictures: Grey) -> None:
    files = [sent(changes.filed(kind, quality), pictures) for quality in (90, 50, 15)]

    assert all(isinstance(each, bytes) for row in files for each in row)
    sizes = [sum(map(len, row)) for row in files]
    off = [
        np.mean([np.abs(opened(each).astype(int) - changes.page(picture)) for each, picture in zip(row, pictures, strict=True)])
        for row in files
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert off == sorted(off)
    assert off[0] > 0


def opened(file: Sent) -> Grey:
    assert isinstance(file, bytes)
    return np.asarray(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)


def test_thicker_strokes_have_more_ink_and_thinner_ones_less(pictures: Grey) -> None:
    thin, plain, thick = (prepared(each, pictures).mean() for each in (changes.thinner, changes.scanned, changes.thicker))

    assert thin < 0.9 * plain
    assert thick > 1.1 * plain


def test_a_turned_page_is_the_page_again_when_it_is_turned_back(pictures: Grey) -> None:
    """The oracle: the middle of a rotation there and back is blurred a little, and nothing else."""
    for picture in pictures:
        page = changes.page(picture)
        turned = np.asarray(changes.turned(8)(picture, np.random.default_rng(1)))
        middle = (len(page) - 1) / 2

        back = [
            cv2.warpAffine(turned, cv2.getRotationMatrix2D((middle, middle), angle, 1.0), page.shape, borderValue=255)
            for angle in (8, -8)
        ]

        assert min(np.abs(each.astype(int) - page).mean() for each in back) < 3
        assert np.abs(turned.astype(int) - page).mean() > 3


def test_colours_mix_from_paper_to_ink(pictures: Grey) -> None:
    sheet = np.asarray(changes.coloured(ink=(200, 30, 40), paper=(255, 250, 245))(pictures[0], np.random.default_rng(1)))

    page = changes.page(pictures[0])
    assert sheet.shape == (*page.shape, 3)
    assert np.unique(sheet[page == 255], axis=0).tolist() == [[255, 250, 245]]
    darkest = page.min()
    assert darkest <= 2
    assert np.abs(sheet[page == darkest].astype(int) - [200, 30, 40]).max() <= 2


def test_every_change_of_the_table_changes_what_is_sent(pictures: Grey) -> None:
    idle = []
    for case in INVARIANCE:
        each = sent(case.change, pictures[:1])[0]
        if isinstance(each, np.ndarray) and np.array_equal(each, pictures[0]):
            idle.append(case.name)

    assert INVARIANCE
    assert not idle


@pytest.mark.parametrize("harm", [damage.noise, damage.blur, damage.cover, damage.fade])
def test_no_damage_is_none_and_more_is_farther_from_the_picture(harm: Damage, pictures: Grey) -> None:
    degrees = [0, 20, 40] if harm is damage.noise else [0, 1, 2] if harm is damage.blur else [0, 0.25, 0.5]

    harmed = [harm(pictures, degree, np.random.default_rng(1)) for degree in degrees]

    off = [np.abs(each.astype(int) - pictures).mean() for each in harmed]
    assert off[0] == 0
    assert 0 < off[1] < off[2]


@pytest.mark.parametrize("harm", [damage.cover, damage.fade])
def test_ink_that_is_hidden_stays_hidden_when_more_is(harm: Damage, pictures: Grey) -> None:
    less, more = (harm(pictures, degree, np.random.default_rng(1)) for degree in (0.25, 0.5))

    assert (more <= less).all()
    assert (less <= pictures).all()


def test_strangers_are_pages_and_no_two_draws_are_alike_where_chance_has_a_part() -> None:
    for case in REFUSALS:
        rng = np.random.default_rng(1)

        one, two = case.stranger(rng), case.stranger(rng)

        assert one.dtype == two.dtype == np.uint8
        assert one.ndim == 2
        assert np.array_equal(one, two) == (case.rows == 1), case.name


def test_letters_are_printed_whole_and_each_by_itself() -> None:
    printed = [strangers.letter(name)(np.random.default_rng(1)) for name in LETTERS]

    assert all((page[[0, -1]] == 255).all() and (page[:, [0, -1]] == 255).all() for page in printed)
    assert len({page.tobytes() for page in printed}) == len(LETTERS)
