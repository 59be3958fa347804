"""How a model as it is served does on labelled rows, whatever the order of its classes. Knows nothing of other models."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from demlopment.archive import Archive
from demlopment.evaluation.reader import reader
from demlopment.records import Examples, Scores
from demlopment.scores import scored


def evaluate_archive(archive: Archive, examples: Examples, classes: Sequence[str]) -> Scores:
    """The scores of an archive on `examples`, whose labels are places in `classes`.

    One that the model does not know has the probability 0; those that only the model knows come last.
    Raises DataError if there are no examples.
    """
    probabilities = reader(archive)(examples.images)
    return scored(archive.card.title, _ordered(probabilities, archive.card.classes, classes), examples)


def _ordered(probabilities: npt.NDArray[np.float32], known: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.float32]:
    """The columns for `known` classes as columns for `classes`, then for those that are known besides."""
    order = [*classes, *(name for name in known if name not in classes)]
    ordered = np.zeros((len(probabilities), len(order)), np.float32)
    ordered[:, [order.index(name) for name in known]] = probabilities
    return ordered
