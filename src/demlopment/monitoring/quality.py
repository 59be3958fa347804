"""How good a model is, from the labels that came back. Knows predictions and their truth; decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from demlopment.intervals import wilson
from demlopment.records import Interval, Prediction

UNKNOWN = Interval(0.0, 1.0)  # what no label says of an accuracy


@dataclass(frozen=True)
class WindowAccuracy:
    """The realised accuracy of one window of traffic, as far as its labels came back."""

    start: int  # index of the window's first prediction
    labelled: int
    correct: int
    interval: Interval  # of the accuracy; 0 to 1 where nothing came back


def accuracy(predictions: Sequence[Prediction], truth: Mapping[str, str], size: int) -> tuple[WindowAccuracy, ...]:
    """The accuracy of each `size` consecutive predictions, the last window as long as it is.

    `truth` is the label of each request id, as far as it is known; what belongs to none of these is passed over.
    """
    readings = []
    for start in range(0, len(predictions), size):
        labels = [(answer.label, truth.get(answer.request_id)) for answer in predictions[start : start + size]]
        labelled = sum(true is not None for _, true in labels)
        correct = sum(answer == true for answer, true in labels)
        readings.append(WindowAccuracy(start, labelled, correct, wilson(correct, labelled) if labelled else UNKNOWN))
    return tuple(readings)
