"""A fitted network becomes an archive: with its card, what it answered, and the reference that monitors compare with."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from demlopment import evaluation, images, recall, training
from demlopment.archive import Answering, Archive, Card
from demlopment.evaluation.wear import worn
from demlopment.intervals import wilson
from demlopment.legibility import limits
from demlopment.lifecycle.schooling import left
from demlopment.monitoring import profile, trust
from demlopment.monitoring.strangers import centres
from demlopment.records import Examples, Scores, Split

TAUGHT = 5000  # rows at least, if there are, that tell where the classes lie


def pack(
    name: str,
    version: str,
    fitted: training.Fitted,
    parts: Split,
    classes: tuple[str, ...],
    scores: Scores,
    train: Examples,
    lineage: Mapping[str, Any],
) -> Archive:
    """The archive of a network that was fitted to `train`, with its scores on the test part."""
    validation = parts.validation
    card = Card(
        name=name,
        version=version,
        classes=classes,
        preprocessing=images.VERSION,
        temperature=fitted.temperature,
        scores=measured(scores),
        lineage={**lineage, **left(fitted.curve)},
        answer=Answering(legible=limits(train.images)),
    )
    # The reference is made of rows the network was not fitted on: on its training rows it looks surer than it is.
    seen = training.evaluate(card.title, fitted, validation)
    some = train.where(np.arange(0, len(train), max(1, len(train) // TAUGHT)))
    middles = centres(training.embed(fitted, some), some.labels)
    embedded, within = training.embed(fitted, validation), card.answer.legible
    reference = profile(validation.images, seen.probabilities, embedded, centres=middles, limits=within)
    sample = images.encode_png(parts.test.images[exemplar(scores)])
    packed = Archive(card, training.export(fitted), reference, sample)
    read = evaluation.reader(packed)
    answers = recall.answers(read(recall.pictures(sample)), card.classes)
    learnt = trust(scores, tuple(worn(read, parts.test)))
    return replace(packed, reference=reference | {"trust": learnt.to_json()}, answers=answers)


def exemplar(scores: Scores) -> int:
    """The place of a picture or row to try: the first that is read rightly, and as surely as half of these; or the surest.

    The surest of all is another one on each kind of processor, where fits differ in the last digits of what they answer.
    """
    confidence = scores.probabilities.max(axis=1)
    if not scores.correct.any():
        return int(confidence.argmax())
    sure = confidence >= np.median(confidence[scores.correct])
    return int((scores.correct & sure).argmax())


def measured(scores: Scores) -> dict[str, float]:
    """What a card says of a model's test."""
    between = wilson(int(scores.correct.sum()), len(scores.labels))
    return {
        "test_rows": len(scores.labels),
        "accuracy": scores.accuracy,
        "accuracy_low": between.low,
        "accuracy_high": between.high,
        "log_loss": scores.log_loss,
        "calibration_error": scores.calibration_error,
    }
