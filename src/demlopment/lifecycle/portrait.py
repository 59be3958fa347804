"""How one fitted network did, with the pictures that show it: what the report knows of a fit. Judges nothing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from demlopment import training
from demlopment.intervals import wilson
from demlopment.lifecycle.collect import Collected
from demlopment.lifecycle.story import Fit, Sample
from demlopment.records import Examples, Scores
from demlopment.settings import Training
from demlopment.training.contacts import contact_sheet

MOST_MISTAKES, MOST_OF_ONE = 12, 3  # pictures in the report: a line or two, and never one confusion alone


def portrait(title: str, purpose: str, fitted: training.Fitted, train: Examples, collected: Collected, recipe: Training) -> Fit:
    """The fit to `train` as it did on the test part. Raises DataError if that has no example."""
    test = collected.split.test
    scores = training.evaluate(title, fitted, test)
    return Fit(
        title=title,
        purpose=purpose,
        examples=len(train),
        seconds=fitted.seconds,
        curve=fitted.curve,
        scores=scores,
        interval=wilson(int(scores.correct.sum()), len(scores.labels)),
        temperature=fitted.temperature,
        uncalibrated=training.evaluate(title, replace(fitted, temperature=1.0), test),
        sheet=contact_sheet(train, recipe),
        mistakes=mistakes(scores, test, collected.classes),
    )


def mistakes(scores: Scores, examples: Examples, classes: Sequence[str]) -> tuple[Sample, ...]:
    """Pictures of the most frequent confusions, at most three of each and twelve in all; the surest answers first.

    `scores` are those of the same rows in the same order.
    """
    wrong, sure = np.flatnonzero(~scores.correct), scores.probabilities.max(axis=1)
    pairs = scores.labels * len(classes) + scores.predicted
    times = np.bincount(pairs[wrong], minlength=len(classes) ** 2)
    # By frequency, then by pair, so that equally frequent ones do not mix, then by confidence.
    ordered = wrong[np.lexsort((-sure[wrong], pairs[wrong], -times[pairs[wrong]]))]
    _, first, group = np.unique(pairs[ordered], return_index=True, return_inverse=True)
    shown = ordered[np.arange(len(ordered)) - first[group] < MOST_OF_ONE][:MOST_MISTAKES]
    return tuple(
        Sample(examples.images[row], classes[scores.predicted[row]], float(sure[row]), classes[scores.labels[row]])
        for row in shown[np.argsort(-sure[shown], kind="stable")]
    )
