"""Doubts are those that a loop over the paper's definition finds, and folds keep together what a split keeps together."""

from dataclasses import replace
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.data.doubts import confident_joint, doubts, folds
from demlopment.errors import DataError
from tests.data.test_splits import drawn, made_up

Labelled = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


@st.composite
def labelled(draw: st.DrawFn) -> Labelled:
    """Up to 30 rows of up to five classes, of which some may have no row."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, classes = draw(st.integers(1, 30)), draw(st.integers(2, 5))
    sharpness = draw(st.sampled_from([0.1, 1.0, 10.0]))
    return rng.integers(0, draw(st.integers(1, classes)), rows), rng.dirichlet([sharpness] * classes, rows).astype(np.float32)


def loop(labels: list[int], probabilities: list[list[float]]) -> tuple[list[list[int]], set[tuple[int, int]]]:
    """The confident joint, and which row is doubted for which class, word for word as in the paper."""
    classes = range(len(probabilities[0]))
    threshold = {}
    for j in classes:
        own = [row[j] for row, label in zip(probabilities, labels, strict=True) if label == j]
        if own:
            threshold[j] = float(np.mean(own))
    joint, doubted = [[0 for _ in classes] for _ in classes], set()
    for place, (row, label) in enumerate(zip(probabilities, labels, strict=True)):
        sure = [j for j in classes if j in threshold and row[j] >= threshold[j] - 1e-6]
        if sure:
            likeliest = max(sure, key=lambda j: row[j])
            joint[label][likeliest] += 1
            if row[likeliest] > row[label]:
                doubted.add((place, likeliest))
    return joint, doubted


@given(labelled())
def test_doubts_and_joint_are_those_of_a_slow_loop_over_the_definition(rows: Labelled) -> None:
    labels, probabilities = rows
    joint, doubted = loop(labels.tolist(), probabilities.astype(float).tolist())

    found = doubts(labels, probabilities)

    assert confident_joint(labels, probabilities).tolist() == joint
    assert {(doubt.row, doubt.suggestion) for doubt in found} == doubted
    for doubt in found:
        others = [p for j, p in enumerate(probabilities[doubt.row].astype(float)) if j != doubt.label]
        assert doubt.label == labels[doubt.row]
        assert doubt.margin == pytest.approx(probabilities[doubt.row, doubt.label] - max(others))
    assert [doubt.margin for doubt in found] == sorted(doubt.margin for doubt in found)


@given(labelled(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_classes_does_not_matter(rows: Labelled, random: Random) -> None:
    labels, probabilities = rows
    order, names = list(range(len(labels))), list(range(probabilities.shape[1]))
    random.shuffle(order)
    random.shuffle(names)
    place = np.argsort(names)

    moved = doubts(place[labels][order], probabilities[order][:, names])

    assert {(order[each.row], names[each.label], names[each.suggestion]) for each in moved} == {
        (each.row, each.label, each.suggestion) for each in doubts(labels, probabilities)
    }


@given(labelled())
def test_labels_that_the_model_agrees_with_are_not_doubted(rows: Labelled) -> None:
    _, probabilities = rows

    assert doubts(probabilities.argmax(axis=1), probabilities) == ()


def test_one_wrong_label_among_sure_ones_is_the_doubt() -> None:
    probabilities = np.full((9, 3), 0.02, np.float32)
    truth = np.arange(9) % 3
    probabilities[np.arange(9), truth] = 0.96
    labels = truth.copy()
    labels[4] = 2

    (found,) = doubts(labels, probabilities)

    assert (found.row, found.label, found.suggestion) == (4, 2, 1)
    assert found.margin == pytest.approx(-0.94)


@pytest.mark.parametrize(
    ("labels", "probabilities", "named"),
    [
        ([0, 1], np.ones((3, 2)), "2 labels"),
        ([0, 2], np.ones((2, 2)), "label 2"),
        ([0, 1], np.full((2, 2), np.nan), "not a number"),
    ],
)
def test_numbers_that_do_not_belong_together_are_named(
    labels: list[int], probabilities: npt.NDArray[np.float64], named: str
) -> None:
    with pytest.raises(DataError, match=named):
        doubts(np.array(labels), probabilities.astype(np.float32))


@given(st.integers(2, 6), st.integers(0, 2**32))
def test_folds_are_even_and_keep_writers_and_near_duplicates_together(number: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shown = list(range(30))
    shown[5], shown[11] = 3, 29
    writers = np.array(["ann", "bob", ""])[rng.choice(3, 30, p=[0.1, 0.1, 0.8])]
    examples = replace(drawn(shown), writers=writers)

    found = folds(examples, number)

    assert set(found) <= set(range(number))
    assert found[5] == found[3]
    assert found[11] == found[29]
    assert all(len(set(found[writers == writer])) <= 1 for writer in ("ann", "bob"))
    together = max(2, *((writers == writer).sum() + 2 for writer in ("ann", "bob")))
    assert np.bincount(found, minlength=number).max() - np.bincount(found, minlength=number).min() <= 2 * together
    order = rng.permutation(30)
    assert folds(examples.where(order), number).tolist() == found[order].tolist()


def test_fewer_writers_than_folds_cannot_be_folded() -> None:
    with pytest.raises(DataError, match="1 writers or pictures"):
        folds(made_up(["a", "b"], writers=["ann", "ann"]), 2)
