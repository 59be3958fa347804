"""How well probabilities tell labels, by the standard measures. Pure arithmetic; knows nothing of models or pictures."""

import numpy as np
import numpy.typing as npt

from demlopment.errors import DataError
from demlopment.records import Examples, Scores

BINS = 15  # of confidence, as Guo et al. use
LEAST = 1e-7  # a probability below it counts as it in the log loss: float32 cannot tell it from nothing beside 1


def scored(title: str, probabilities: npt.NDArray[np.float32], examples: Examples) -> Scores:
    """The scores of the model called `title` ("digits 2.0"), whose answers these are: (n, classes).

    Raises DataError if there are no examples, a label is not among the classes, or an answer is not a number.
    """
    if len(examples) == 0:
        raise DataError(f"There are no examples to evaluate {title} on.", "Ingest more examples, or split with another salt.")
    classes = probabilities.shape[1]
    strange = examples.labels[(examples.labels < 0) | (examples.labels >= classes)]
    if len(strange):
        raise DataError(
            f"{title} is evaluated on the label {strange[0]}, and its classes are 0 to {classes - 1}.",
            "Evaluate it on examples of the classes that it was fitted to.",
        )
    unreadable = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if unreadable:
        raise DataError(
            f"{title} answers {unreadable} of {len(examples)} examples with NaN or infinity.",
            "Fit it again with a lower training.learning_rate, and serve no network like it.",
        )
    return Scores(
        model=title,
        keys=examples.keys,
        labels=examples.labels,
        probabilities=probabilities,
        log_loss=log_loss(probabilities, examples.labels),
        calibration_error=calibration_error(probabilities, examples.labels),
    )


def log_loss(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Mean of minus the logarithm of the true class's probability, in nats.

    >>> round(log_loss(np.array([[0.5, 0.5], [0.25, 0.75]], np.float32), np.array([0, 1])), 3)
    0.49
    """
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(given.clip(LEAST)).mean())


def calibration_error(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], bins: int = BINS) -> float:
    """Expected calibration error, 0 to 1: how far confidence and accuracy are apart, averaged over bins by their rows.

    Shapes     (n, classes) and (n,); confidence is the largest probability, the bins are equally wide.
    Noise      a perfectly calibrated model does not reach 0: with 750 rows at 98.5 % accuracy it reads about 0.005.
    Source     C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017.

    >>> round(calibration_error(np.array([[0.9, 0.1], [0.8, 0.2]], np.float32), np.array([0, 1])), 2)
    0.45
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    of_bin = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(of_bin, weights=confidence - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
