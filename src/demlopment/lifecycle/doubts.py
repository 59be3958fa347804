"""Which labels of a snapshot are likely wrong: each is judged by a network that learned from other rows. Changes no label."""

from collections.abc import Callable

import numpy as np
import polars as pl

from demlopment import training
from demlopment.data import Lake
from demlopment.data.doubted import COLUMNS
from demlopment.data.doubts import Doubt, doubts, folds
from demlopment.records import Examples, Snapshot
from demlopment.settings import Training

# A quarter of a minute for 5,000 digits on one core, eight times that in the large profile; others: docs/lab-notes.md.
FOLDS, EPOCHS = 3, 8


def doubted(
    lake: Lake, snapshot: Snapshot, recipe: Training, progress: Callable[[int, int], None] = lambda *_: None
) -> pl.DataFrame:
    """Doubt the labels of a snapshot, and put the doubts into the lake, where they wait for a person.

    As a table with the columns of data.doubted.COLUMNS, the likeliest errors first. Raises as `suspected` and Lake.load.
    """
    examples, classes = lake.load(snapshot), lake.classes
    found = suspected(examples, len(classes), recipe, progress)
    rows = [
        (str(examples.keys[each.row]), classes[each.label], classes[each.suggestion], each.margin, snapshot.name)
        for each in found
    ]
    table = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    if rows:
        lake.doubted.add(table)
    return table


def suspected(
    examples: Examples, classes: int, recipe: Training, progress: Callable[[int, int], None] = lambda *_: None
) -> tuple[Doubt, ...]:
    """The doubts about the labels of the examples, the likeliest errors first.

    A network for each fold, fitted to all others but one, which sets its temperature: so no row is judged by a network
    that has seen it, nor its writer, nor a copy of it. Raises DataError where a class has too few rows to be learned.
    """
    fold, brief = folds(examples, FOLDS), recipe.model_copy(update={"epochs": EPOCHS})
    probabilities = np.empty((len(examples), classes), np.float32)
    for each in range(FOLDS):
        held, calibrating = fold == each, fold == (each + 1) % FOLDS
        fitted = training.fit(examples.where(~held & ~calibrating), examples.where(calibrating), classes, brief)
        probabilities[held] = training.evaluate(f"fold {each}", fitted, examples.where(held)).probabilities
        progress(each + 1, FOLDS)
    return doubts(examples.labels, probabilities)
