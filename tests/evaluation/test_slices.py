"""Every row stands in the slices that it belongs to, measures mean what they say, and the worst slice comes first."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from demlopment.evaluation.slices import ENOUGH, aspect, slant, slice_checks, slices, thickness
from demlopment.legibility import ink
from demlopment.records import Examples
from demlopment.scores import scored
from tests import tables


def bar(width: float, lean: float = 0.0, length: int = 20) -> np.ndarray:
    """A stroke from bottom to top, leaning to the right, drawn at eight times the size."""
    side, scale = 28, 8
    rows = (np.arange(side * scale) + 0.5) / scale
    middle = 14 + lean * (14 - rows)[:, None]
    inside = (np.abs(rows[None, :] - middle) <= width / 2) & (np.abs(rows - 14) <= length / 2)[:, None]
    return cv2.resize(inside.astype(np.uint8) * 255, (side, side), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("width", [2.0, 3.0, 4.5])
def test_the_width_of_a_bar_is_measured_to_a_fifth(width: float) -> None:
    assert thickness(bar(width)[None])[0] == pytest.approx(width * 20 / (20 + width), rel=0.2)  # its ends are outline too


@pytest.mark.parametrize("lean", [-0.5, -0.2, 0.0, 0.3])
def test_the_slant_of_a_leaning_bar_is_its_lean(lean: float) -> None:
    assert slant(bar(3.0, lean)[None])[0] == pytest.approx(lean, abs=0.03)


def test_a_blank_picture_has_measures_too() -> None:
    blank = np.zeros((1, 28, 28), np.uint8)

    assert [measure(blank)[0] for measure in (thickness, slant, ink, aspect)] == [0, 0, 0, 1]
    assert aspect(bar(4.0)[None])[0] == pytest.approx(0.2)
    assert ink(np.full((1, 28, 28), 51, np.uint8))[0] == pytest.approx(0.2)


def test_every_row_is_in_one_slice_of_each_kind(unseen: Examples) -> None:
    some = replace(unseen, writers=np.where(np.arange(len(unseen)) % 2, "ann", ""))

    found = slices(some, tuple("0123456789"))

    of_kind = {
        kind: [mask for name, mask in found.items() if name.startswith(kind)] for kind in ("class", "source", "slant", "ink")
    }
    assert all((np.sum(masks, axis=0) == 1).all() for masks in of_kind.values())
    assert [name for name in found if name.startswith("writer")] == ["writer ann"]
    assert not [name for name in slices(unseen, tuple("0123456789")) if name.startswith("writer")]
    np.testing.assert_array_equal(found["class 7"], unseen.labels == 7)
    assert thickness(some.images[found["stroke width low"]]).max() <= thickness(some.images[found["stroke width high"]]).min()


def test_the_worst_slice_comes_first_and_a_small_one_is_only_told(unseen: Examples) -> None:
    answers = np.full((len(unseen), 10), 0.01, np.float32)
    right = np.where(unseen.labels == 3, 4, unseen.labels)  # every 3 is read as a 4
    answers[np.arange(len(unseen)), right] = 0.91
    few = np.zeros(len(unseen), np.bool_)
    few[np.flatnonzero(unseen.labels == 3)[: ENOUGH - 1]] = True

    found = slices(unseen, tuple("0123456789")) | {"a few": few}
    checks = slice_checks(scored("digits 1.0", answers, unseen), found, bound=0.5)

    assert (checks[0].name, checks[0].value, checks[0].met) == ("class 3", 0, False)
    assert (checks[-1].name, checks[-1].met, checks[-1].note) == ("a few", True, f"told only: fewer than {ENOUGH} rows")
    assert [check.name for check in checks if not check.met] == ["class 3"]
    assert sum(check.rows for check in checks if check.name.startswith("slant")) == len(unseen)


def test_without_rows_there_is_no_slice(unseen: Examples) -> None:
    assert slices(unseen.where(np.arange(0)), tuple("0123456789")) == {}


def test_rows_of_a_table_are_sliced_by_thirds_of_each_column() -> None:
    values, labels = tables.rows(90)
    unknown = np.full(90, "")
    examples = Examples(np.arange(90).astype(np.str_), values, labels, np.full(90, "wines"), unknown)

    found = slices(examples, tables.CLASSES, tables.COLUMNS)

    assert {name for name in found if name.startswith("hue")} == {"hue low", "hue middle", "hue high"}
    assert found["hue high"].sum() == 30
    assert values[found["hue high"], 2].min() >= values[~found["hue high"], 2].max()
    assert {"class barolo", "class barbera", "source wines"} <= set(found)
