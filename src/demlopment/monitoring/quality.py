"""How good a model is, from the labels that came back. Knows predictions and feedback; decides nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.errors import DataError
from demlopment.intervals import wilson
from demlopment.records import Feedback, Interval, Prediction

UNKNOWN = Interval(0.0, 1.0)  # what no label says of an accuracy


@dataclass(frozen=True)
class WindowAccuracy:
    """The realised accuracy of one window of traffic, as far as its labels came back."""

    start: int  # index of the window's first prediction
    labelled: int
    correct: int
    interval: Interval  # of the accuracy; 0 to 1 where nothing came back


@dataclass(frozen=True)
class Bin:
    """Answers of about one confidence, and how many of them were right."""

    low: float  # confidence, 0 to 1
    high: float
    answers: int
    confidence: float  # mean
    accuracy: float
    interval: Interval  # of the accuracy


def truths(feedback: Iterable[Feedback]) -> dict[str, str]:
    """The label of each request. It may have come twice, in any order: what was said last counts."""
    return {said.request_id: said.label for said in sorted(feedback, key=lambda said: said.at)}


def accuracy(predictions: Sequence[Prediction], feedback: Iterable[Feedback], size: int) -> tuple[WindowAccuracy, ...]:
    """The accuracy of each `size` consecutive predictions, the last window as long as it is.

    Feedback is joined by request id; what belongs to none of these predictions is passed over.
    """
    said = truths(feedback)
    readings = []
    for start in range(0, len(predictions), size):
        labels = [(answer.label, said.get(answer.request_id)) for answer in predictions[start : start + size]]
        labelled = sum(truth is not None for _, truth in labels)
        correct = sum(answer == truth for answer, truth in labels)
        readings.append(WindowAccuracy(start, labelled, correct, wilson(correct, labelled) if labelled else UNKNOWN))
    return tuple(readings)


def reliability(confidences: npt.NDArray[np.floating[Any]], correct: npt.NDArray[np.bool_], bins: int = 10) -> tuple[Bin, ...]:
    """Confidence against accuracy in equally wide bins, (n,) each, from low to high; empty bins are left out.

    Raises DataError if the lengths differ or a confidence is outside 0 to 1.
    """
    if len(confidences) != len(correct):
        raise DataError(f"{len(confidences)} confidences do not fit {len(correct)} outcomes.", "Give one of each per answer.")
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise DataError("A confidence is outside 0 to 1.", "Give probabilities, not logits.")
    place = np.minimum((confidences * bins).astype(np.int64), bins - 1)  # exactly 1 belongs to the last bin
    return tuple(
        _bin(number, bins, confidences[place == number], correct[place == number]) for number in np.unique(place).tolist()
    )


def _bin(number: int, bins: int, confidences: npt.NDArray[np.floating[Any]], correct: npt.NDArray[np.bool_]) -> Bin:
    right, answers = int(correct.sum()), len(correct)
    return Bin(number / bins, (number + 1) / bins, answers, float(confidences.mean()), right / answers, wilson(right, answers))
