"""Everything that a model is tested for on rows that it never saw, as one list of checks. Composes this room."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from demlopment import settings
from demlopment.archive import Archive
from demlopment.evaluation.behaviour import behaviour
from demlopment.evaluation.calibration import Prices, brier, money, rows_needed, selection, slope
from demlopment.evaluation.cost import cost_checks
from demlopment.evaluation.held_out import columns, evaluate_archive, ordered
from demlopment.evaluation.robustness import robustness
from demlopment.evaluation.slices import slice_checks, slices
from demlopment.intervals import wilson
from demlopment.records import Check, Examples, Interval, Scores
from demlopment.scores import calibration_error

SEED = 1  # of the pictures that are drawn: two models are shown the same
DRAWS = 500  # of a bootstrap: the ends of an interval of 95 % are known to a tenth of its width
SHOWN = 3  # confusions


def examine(
    archive: Archive, examples: Examples, classes: Sequence[str], rules: settings.Evaluation, least: float
) -> tuple[Check, ...]:
    """The checks of an archive on `examples` that no part of it was fitted to; labels are places in `classes`.

    `least` is the bound of its accuracy. Cases that a person can name, and damage, are those of pictures: rows have none.
    Raises DataError without examples.
    """
    scores, card = evaluate_archive(archive, examples, classes), archive.card
    cases = () if card.columns else _cases(archive, examples, classes)
    return (
        *held_out_checks(scores, classes, least),
        *calibration_checks(scores, rules),
        *slice_checks(scores, slices(examples, classes, card.columns), rules.least_slice),
        *(cases if rules.behaviour == "judge" else (replace(case, bound=None) for case in cases)),
        *cost_checks(archive, rules.most_milliseconds, *rules.limits(card.profile)),
    )


def _cases(archive: Archive, examples: Examples, classes: Sequence[str]) -> tuple[Check, ...]:
    read = ordered(archive, classes)
    named = behaviour(read, examples, columns(archive, classes), SEED, archive.card.answer.legible)
    return (*named, *robustness(read, examples, SEED))


def held_out_checks(scores: Scores, classes: Sequence[str], least: float | None) -> tuple[Check, ...]:
    """Accuracy with Wilson's interval, and macro F1, the mean over classes of the harmonic mean of precision and recall."""
    rows, right = len(scores.labels), int(scores.correct.sum())
    wrong = np.flatnonzero(~scores.correct)
    pairs, counts = np.unique(
        np.stack([scores.labels[wrong], scores.predicted[wrong]], axis=1).reshape(-1, 2), axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")[:SHOWN]
    names = [*classes, *("another" for _ in range(scores.probabilities.shape[1] - len(classes)))]
    note = ", ".join(f"{names[pairs[i, 0]]} read as {names[pairs[i, 1]]}: {counts[i]}" for i in order)
    value = macro_f1(scores.predicted, scores.labels)
    interval = _bootstrap(rows, lambda drawn: macro_f1(scores.predicted[drawn], scores.labels[drawn]))
    return (
        Check("held-out", "accuracy", right / rows, wilson(right, rows), least, least=True, rows=rows, note=note),
        Check("held-out", "macro F1", value, interval, None, least=True, rows=rows),
    )


def calibration_checks(scores: Scores, rules: settings.Evaluation) -> tuple[Check, ...]:
    """Whether confidence can be believed, how many fields nobody needs to read, and what a thousand of them cost."""
    answers, labels, rows = scores.probabilities, scores.labels, len(scores.labels)
    chosen = selection(answers, labels, rules.accepted_accuracy, rules.accepted_risk)
    prices = Prices(rules.price_of_error, rules.price_of_review, rules.price_of_request)
    cost = money(answers, labels, prices)
    named = f"fields read without a human at {rules.accepted_accuracy:.1%}"
    proof = (
        f"{chosen.wrong} wrong above a confidence of {chosen.threshold:.4f}"
        if chosen.threshold is not None
        else f"nothing is proved: it takes {chosen.needed} accepted rows without an error, and there are {rows}"
    )
    spent = f"{cost.accepted:.1%} accepted above {cost.threshold:.3f}; {cost.by_hand:.2f} if people read all"
    error = _bootstrap(rows, lambda drawn: calibration_error(answers[drawn], labels[drawn]))
    distance = _bootstrap(rows, lambda drawn: brier(answers[drawn], labels[drawn]))
    bound = rules.most_calibration_error
    return (
        Check("calibration", "expected calibration error", scores.calibration_error, error, bound, least=False, rows=rows),
        _slope(scores, rules.least_calibration_slope),
        Check("calibration", "Brier score", brier(answers, labels), distance, None, least=False, rows=rows),
        Check("calibration", named, chosen.share, chosen.accepted, None, least=True, rows=rows, note=proof),
        Check("calibration", "cost of 1,000 fields", cost.per_thousand, cost.interval, None, False, rows, note=spent),  # noqa: FBT003
    )


def _slope(scores: Scores, least: float) -> Check:
    rows = len(scores.labels)
    value, interval = slope(scores.probabilities, scores.labels)
    note = "1 is right, less too sure"
    needed = rows_needed(value, interval, least, rows)
    if needed is not None and needed > rows:
        note += f"; too few rows to tell, and about {needed} would be enough if it stays so"
    return Check("calibration", "calibration slope", value, interval, least, least=True, rows=rows, note=note)


def macro_f1(predicted: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> float:
    """Mean over the classes that occur as label of twice the hits over labels and answers together.

    >>> round(macro_f1(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])), 3)
    0.733
    """
    of = np.unique(labels)
    hits = np.array([((predicted == each) & (labels == each)).sum() for each in of])
    both = np.array([(predicted == each).sum() + (labels == each).sum() for each in of])
    return float((2 * hits / both).mean())


def _bootstrap(rows: int, measure: Callable[[npt.NDArray[np.int64]], float]) -> Interval:
    """Percentiles of a measure over rows drawn with replacement, from a seed of its own."""
    rng = np.random.default_rng(0)
    low, high = np.quantile([measure(rng.integers(0, rows, rows)) for _ in range(DRAWS)], [0.025, 0.975])
    return Interval(float(low), float(high))
