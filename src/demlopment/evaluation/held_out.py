"""How a model as it is served does on labelled rows, whatever the order of its classes. Knows nothing of other models."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from demlopment.archive import Archive
from demlopment.evaluation.reader import Reader, reader
from demlopment.images import Grey
from demlopment.records import Examples, Scores
from demlopment.scores import scored


def evaluate_archive(archive: Archive, examples: Examples, classes: Sequence[str]) -> Scores:
    """The scores of an archive on `examples`, whose labels are places in `classes`.

    One that the model does not know has the probability 0; those that only the model knows come last.
    Raises DataError if there are no examples.
    """
    return scored(archive.card.title, ordered(archive, classes)(examples.images), examples)


def ordered(archive: Archive, classes: Sequence[str]) -> Reader:
    """A reader whose columns are `classes`, and then what the model knows besides (`columns`)."""
    read, known, order = reader(archive), archive.card.classes, columns(archive, classes)

    def answers(pictures: Grey) -> npt.NDArray[np.float32]:
        probabilities = read(pictures)
        found = np.zeros((len(probabilities), len(order)), np.float32)
        found[:, [order.index(name) for name in known]] = probabilities
        return found

    return answers


def columns(archive: Archive, classes: Sequence[str]) -> tuple[str, ...]:
    """The names of `classes`, and of those that only the model knows."""
    return (*classes, *(name for name in archive.card.classes if name not in classes))
