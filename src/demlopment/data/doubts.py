"""Which labels a model doubts that did not learn from them. Pure arithmetic: fits nothing, stores nothing, changes no label."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from demlopment.data.duplicates import near_duplicates
from demlopment.data.splits import names
from demlopment.errors import DataError
from demlopment.records import Examples

CLOSE = 1e-6  # float32 knows no difference below it: equal probabilities reach their own mean
NONE = -1  # the class of a row that is confidently of no class

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Doubt:
    """A label that is likely wrong."""

    row: int
    label: int
    suggestion: int  # the class that the row confidently is of
    margin: float  # probability of the label less that of the likeliest other class, -1 to 0: the lower, the likelier wrong


def doubts(labels: Labels, probabilities: Probabilities) -> tuple[Doubt, ...]:
    """The suspected label errors, the likeliest first.

    Shapes     (n,) and (n, classes); the probabilities of each row come from a model that did not learn from it.
    Doubted    is a row that stands beside the diagonal of `confident_joint`, unless its own label is the likelier one
               after all: the paper counts those few too, and a person who looks at them finds them right.
    Order      by the normalised margin, with equal ones by row.
    Noise      a share of errors that the model itself has learned is not found; docs/lab-notes.md has what was measured.
    Raises     DataError if the shapes or labels do not fit, or a probability is not a number.
    Source     C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
               JAIR 70, 2021, https://arxiv.org/abs/1911.00068

    >>> sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9]])
    >>> [(doubt.row, doubt.suggestion, round(doubt.margin, 1)) for doubt in doubts(np.array([0, 0, 1, 1, 0]), sure)]
    [(4, 1, -0.8)]
    """
    confident = confident_classes(labels, probabilities)
    rows = np.arange(len(labels))
    own = probabilities[rows, labels].astype(np.float64)
    others = probabilities.astype(np.float64)
    others[rows, labels] = -np.inf
    margins = own - others.max(axis=1, initial=-np.inf)
    doubted = np.flatnonzero((confident != NONE) & (probabilities[rows, confident] > probabilities[rows, labels]))
    order = doubted[np.lexsort((doubted, margins[doubted]))]
    return tuple(Doubt(int(row), int(labels[row]), int(confident[row]), float(margins[row])) for row in order)


def confident_joint(labels: Labels, probabilities: Probabilities) -> npt.NDArray[np.int64]:
    """How many rows with each label are confidently of each class: (classes, classes), by label and class.

    Source     as `doubts`, equation 1.

    >>> confident_joint(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8]])).tolist()
    [[1, 1], [0, 1]]
    """
    confident, classes = confident_classes(labels, probabilities), probabilities.shape[1]
    sure = confident != NONE
    counts = np.bincount(labels[sure] * classes + confident[sure], minlength=classes**2)
    return np.asarray(counts.reshape(classes, classes), np.int64)


def confident_classes(labels: Labels, probabilities: Probabilities) -> Labels:
    """For each row the likeliest of the classes whose threshold it reaches, `NONE` where it reaches none: (n,)."""
    _refuse_unfit(labels, probabilities)
    reached = np.where(probabilities >= thresholds(labels, probabilities) - CLOSE, probabilities, -np.inf)
    return np.where(np.isfinite(reached).any(axis=1), reached.argmax(axis=1), NONE)


def thresholds(labels: Labels, probabilities: Probabilities) -> npt.NDArray[np.float64]:
    """For each class the mean probability of it among the rows that are labelled so: (classes,), infinite without rows.

    A class of which the model is never sure has a low one, so that its rows are not all doubted.

    >>> thresholds(np.array([0, 0]), np.array([[0.9, 0.1], [0.5, 0.5]])).tolist()
    [0.7, inf]
    """
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    counts, sums = np.bincount(labels, minlength=classes), np.bincount(labels, weights=own, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def folds(examples: Examples, number: int) -> npt.NDArray[np.int64]:
    """Which of so many nearly even folds each row is in: (n,). All rows of a writer are in one, and so are near-duplicates.

    The order of the rows does not matter. Raises DataError if fewer than `number` of the rows can be told apart so.
    """
    groups = _together(examples)
    keys = examples.keys[np.lexsort((examples.keys, groups))]
    sizes = np.bincount(groups)
    if len(sizes) < number:
        raise DataError(
            f"{len(sizes)} writers or pictures cannot be told apart into {number} folds.", "Ingest rows of more writers first."
        )
    first = keys[np.cumsum(sizes) - sizes]  # the least key of each group
    order = sorted(range(len(sizes)), key=lambda group: (-sizes[group], blake2b(first[group].encode()).digest()))
    return _dealt(sizes[order], number)[np.argsort(order)][groups]


def _together(examples: Examples) -> npt.NDArray[np.int64]:
    """A number for each row, the same for rows that a writer or a near-duplicate ties together, however many links away."""
    count = len(examples)
    _, named = np.unique(names(examples), return_inverse=True)
    pictures = near_duplicates(examples.images)
    rows, links = np.arange(count), np.concatenate([named + count, pictures])
    ones = np.ones(2 * count, np.int8)
    graph = coo_array((ones, (np.tile(rows, 2), links)), shape=(2 * count, 2 * count))
    _, group = connected_components(graph, directed=False)
    return np.asarray(np.unique(group[:count], return_inverse=True)[1], np.int64)


def _dealt(sizes: Sequence[int] | npt.NDArray[np.int64], number: int) -> npt.NDArray[np.int64]:
    """The fold of each group, which goes to the emptiest so far."""
    filled, dealt = np.zeros(number, np.int64), np.empty(len(sizes), np.int64)
    for place, size in enumerate(sizes):
        dealt[place] = fold = int(filled.argmin())
        filled[fold] += size
    return dealt


def _refuse_unfit(labels: Labels, probabilities: Probabilities) -> None:
    if probabilities.ndim != 2 or len(labels) != len(probabilities):
        raise DataError(
            f"{len(labels)} labels and probabilities of the shape {probabilities.shape} do not belong together.",
            "Give one row of probabilities for each label.",
        )
    strange = labels[(labels < 0) | (labels >= probabilities.shape[1])]
    if len(strange):
        raise DataError(
            f"There is a label {strange[0]}, and the probabilities are of the classes 0 to {probabilities.shape[1] - 1}.",
            "Give a probability for each class.",
        )
    if not np.isfinite(probabilities).all():
        raise DataError("A probability is not a number.", "Fit the model again: its loss was no longer finite.")
