"""What a candidate was taught, as checks beside those of what it can do: rows as they were prepared, none that judges it,
labels that it believes.

Composes the data room's search for leaks and doubts with the tests of the evaluation. Fits nothing.
"""

import hashlib
from dataclasses import replace

import numpy as np

from demlopment.archive import Archive
from demlopment.data.doubts import doubts
from demlopment.data.leaks import leaks
from demlopment.evaluation import evaluate_archive, examine
from demlopment.evaluation.held_out import columns
from demlopment.intervals import wilson
from demlopment.records import Check, Examples, Split
from demlopment.settings import Evaluation

SHOWN = 12  # letters of a key: enough to find it
EXAMPLES = 3  # of doubted labels


def every_check(
    model: Archive, train: Examples, parts: Split, classes: tuple[str, ...], rules: Evaluation, least: float
) -> tuple[Check, ...]:
    """Every check of a model that was fitted to `train`, which may be less than the part; `least` is of its accuracy.

    Faults of the rows come first: they may explain the others. Doubts about labels come last: a bad model has them too.
    Raises DataError without rows to test it on.
    """
    taught = replace(parts, train=train)
    return (
        prepared(taught),
        apart(taught),
        *examine(model, parts.test, classes, rules, least),
        believed(model, parts, classes, rules.most_doubted_labels),
    )


def prepared(parts: Split) -> Check:
    """Whether the pixels are those that `images.prepare` made, which are what a row is called by.

    What was changed after that, as by a mean that somebody subtracted, no request will have.
    """
    whole = [row for part in (parts.train, parts.validation, parts.test) for row in zip(part.keys, part.images, strict=True)]
    strange = [str(key) for key, image in whole if hashlib.sha256(image.tobytes()).hexdigest() != key]
    note = f"not as prepared: {strange[0][:SHOWN]}" if strange else ""
    share = 1 - len(strange) / max(1, len(whole))
    return Check("training", "rows as they were prepared", share, None, 1.0, least=True, rows=len(whole), note=note)


def apart(parts: Split) -> Check:
    """How many pictures, near-duplicates and writers stand in two of the parts that teach, calibrate and judge."""
    found = [leak for leak in leaks(parts) if len(leak.parts) > 1]
    rows = len(parts.train) + len(parts.validation) + len(parts.test)
    note = str(found[0]) if found else ""
    return Check("training", "leaks between the parts", len(found), None, 0, least=False, rows=rows, note=note)


def believed(model: Archive, parts: Split, classes: tuple[str, ...], most: float) -> Check:
    """The share of the labels that a model confidently contradicts among rows that its weights never saw.

    Rows of the training part would not do: a network that is fitted for long learns wrong labels by heart.
    """
    scores = [evaluate_archive(model, part, classes) for part in (parts.validation, parts.test)]
    labels, answers = (np.concatenate([getattr(each, of) for each in scores]) for of in ("labels", "probabilities"))
    name, rows = "labels that it doubts", len(labels)
    found, named = doubts(labels, answers), columns(model, classes)
    note = ", ".join(f"{classes[each.label]} for {named[each.suggestion]}" for each in found[:EXAMPLES])
    return Check("training", name, len(found) / rows, wilson(len(found), rows), most, least=False, rows=rows, note=note)
