"""Which labels of a snapshot are likely wrong: each is judged by a network that learned from other rows. Changes no label."""

from collections.abc import Callable

import numpy as np

from demlopment import training
from demlopment.data.doubts import Doubt, doubts, folds
from demlopment.lifecycle.workshop import CLASSES
from demlopment.records import Examples
from demlopment.settings import Training

FOLDS, EPOCHS = 3, 8  # a quarter of a minute for 5,000 digits on one core; docs/lab-notes.md has what others find


def suspected(
    examples: Examples, recipe: Training, progress: Callable[[int, int], None] = lambda *_: None
) -> tuple[Doubt, ...]:
    """The doubts about the labels of the examples, the likeliest errors first.

    A network for each fold, fitted to all others but one, which sets its temperature: so no row is judged by a network
    that has seen it, nor its writer, nor a copy of it. Raises DataError where a class has too few rows to be learned.
    """
    fold, brief = folds(examples, FOLDS), recipe.model_copy(update={"epochs": EPOCHS})
    probabilities = np.empty((len(examples), len(CLASSES)), np.float32)
    for each in range(FOLDS):
        held, calibrating = fold == each, fold == (each + 1) % FOLDS
        fitted = training.fit(examples.where(~held & ~calibrating), examples.where(calibrating), len(CLASSES), brief)
        probabilities[held] = training.evaluate(f"fold {each}", fitted, examples.where(held)).probabilities
        progress(each + 1, FOLDS)
    return doubts(examples.labels, probabilities)
