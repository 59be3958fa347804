"""What a candidate was taught, as checks beside those of what it can do: rows as they were prepared, none that judges it,
the network and the temperature that the fit left, labels that it believes.

Composes the data room's search for leaks and doubts with the tests of the evaluation, and these with the gate. Fits nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment import training
from demlopment.archive import Archive
from demlopment.data.doubts import doubts
from demlopment.data.leaks import leaks
from demlopment.evaluation import evaluate_archive, examine, non_inferiority
from demlopment.evaluation.calibration import refitted
from demlopment.evaluation.held_out import columns, ordered
from demlopment.intervals import wilson
from demlopment.lifecycle import provenance
from demlopment.records import Check, Epoch, Examples, Scores, Split, Verdict
from demlopment.settings import Evaluation, Gate

SHOWN = 12  # letters of a key: enough to find it
EXAMPLES = 3  # of doubted labels

LEFT = "validation_loss"  # in a card's lineage: what the fit measured of the network that it left, in nats
# Of a mean over the validation part. What is served adds float32 in another order, which changes it by 0.00000003 at most;
# statistics of the normalisation that one pass over the test part has moved by a tenth, by 0.00007 and more.
MOVED = 1e-6
MOVED_ELSEWHERE = 1e-3  # on CUDA and MPS, whose products have 10 bits: what is served is computed on a processor


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
        as_left(model, parts.validation, classes),
        calibrated(model, parts.validation, classes),
        *examine(model, parts.test, classes, rules, least),
        believed(model, parts, classes, rules.most_doubted_labels),
    )


def judged(
    model: Archive,
    scores: Scores,
    champion: Scores | None,
    checks: tuple[Check, ...],
    slices: Mapping[str, npt.NDArray[np.bool_]],
    gate: Gate,
) -> tuple[Verdict, tuple[Check, ...]]:
    """What the gate says of a model by its scores and checks, and the checks: beside a champion also those by slices.

    The verdict names the code behind the model, with a sentence where no commit says all of it.
    """
    if champion is not None:
        checks += non_inferiority(scores, champion, slices, gate.slice_margin)
    verdict, lineage = training.held_to(training.judge(scores, champion, gate), checks), model.card.lineage
    commit, edited = lineage["commit"], lineage["environment"]["edited"]
    reason = f"{verdict.reason} {provenance.told(commit, edited=edited)}".rstrip()
    return replace(verdict, reason=reason, evidence={**verdict.evidence, "commit": commit, "edited": edited}), checks


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


# What a temperature that was fitted to these rows cannot be told from: fits of 150 to 2,750 digits have 0.9999 and more.
CALIBRATED = 0.95


def left(curve: Sequence[Epoch]) -> Mapping[str, Any]:
    """What a card says of the network that a fit left: the last that the fit itself measured."""
    return {LEFT: curve[-1].validation_loss}


def as_left(model: Archive, validation: Examples, classes: tuple[str, ...]) -> Check:
    """How far the loss of the network on the validation part, without its temperature, is from what the fit measured last.

    Any change of weights or statistics between fit and archive moves it, also one that no test of what it can do would see.
    A card that does not say what the fit measured keeps no bound.
    """
    lineage, rows = model.card.lineage, len(validation)
    device = lineage.get("recipe", {}).get("device", "cpu")
    bare = replace(model, card=replace(model.card, temperature=1.0))
    given = ordered(bare, classes)(validation.images)[np.arange(rows), validation.labels].astype(np.float64)
    loss = float(-np.log(given.clip(np.finfo(np.float32).tiny)).mean())
    said = lineage.get(LEFT)
    moved, note = (nan, "its card does not say") if said is None else (abs(loss - said), f"{loss:.7f}, and {said:.7f} then")
    bound = MOVED if device == "cpu" else MOVED_ELSEWHERE
    return Check("training", "loss since the fit ended", moved, None, bound, least=False, rows=rows, unit="nats", note=note)


def calibrated(model: Archive, validation: Examples, classes: tuple[str, ...]) -> Check:
    """Whether the temperature makes the labels of the validation part likeliest, to which it was fitted, or is too cold.

    No chance is in it: a temperature that somebody set, fitted to other rows or kept from another model is seen on any
    number of rows. One that is too hot is let pass, since none is fitted that is colder than a limit.
    """
    slope = refitted(ordered(model, classes)(validation.images), validation.labels)
    return Check(
        "training",
        "slope on the rows of its temperature",
        slope,
        None,
        CALIBRATED,
        least=True,
        rows=len(validation),
        note="1 is right, less too sure",
    )


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
