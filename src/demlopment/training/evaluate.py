"""How a model does on labelled rows, with calibrated probabilities. Knows nothing of other models or of the gate."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime
from scipy.special import softmax

from demlopment.archive import Archive
from demlopment.errors import DataError
from demlopment.images import as_input
from demlopment.records import Examples, Scores
from demlopment.training.fit import Fitted
from demlopment.training.network import outputs

BINS = 15  # of confidence, as Guo et al. use
LEAST = 1e-7  # a probability below it counts as it in the log loss: float32 cannot tell it from nothing beside 1


def evaluate(title: str, fitted: Fitted, examples: Examples) -> Scores:
    """The scores of the model called `title` ("digits 2.0") on `examples`.

    Raises DataError if there are no examples, or a label is not among the network's classes.
    """
    _refuse_empty(title, examples)
    logits, _ = outputs(fitted.network, examples.images)
    return _scores(title, logits, fitted.temperature, examples)


def evaluate_archive(archive: Archive, examples: Examples, classes: Sequence[str]) -> Scores:
    """The same for a model as it is served: its exported network, run by ONNX Runtime.

    `classes` are those of the examples. One that the model does not know has the probability 0; those that only the
    model knows come last.
    """
    title = archive.card.title
    _refuse_empty(title, examples)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the numbers must not depend on how many cores a machine has
    session = onnxruntime.InferenceSession(archive.network, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": as_input(examples.images)})
    return _scores(title, _ordered(logits, archive.card.classes, classes), archive.card.temperature, examples)


def embed(fitted: Fitted, examples: Examples) -> npt.NDArray[np.float32]:
    """The network's penultimate layer for each row: (n, width), what monitoring takes as its reference."""
    return outputs(fitted.network, examples.images)[1]


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


def _ordered(logits: npt.NDArray[np.float32], known: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.float32]:
    """The columns for `known` classes as columns for `classes`, then for those that are known besides."""
    if tuple(known) == tuple(classes):
        return logits
    order = [*classes, *(name for name in known if name not in classes)]
    ordered = np.full((len(logits), len(order)), -np.inf, np.float32)
    ordered[:, [order.index(name) for name in known]] = logits
    return ordered


def _refuse_empty(title: str, examples: Examples) -> None:
    if len(examples) == 0:
        raise DataError(f"There are no examples to evaluate {title} on.", "Ingest more examples, or split with another salt.")


def _scores(title: str, logits: npt.NDArray[np.float32], temperature: float, examples: Examples) -> Scores:
    classes = logits.shape[1]
    strange = examples.labels[(examples.labels < 0) | (examples.labels >= classes)]
    if len(strange):
        raise DataError(
            f"{title} is evaluated on the label {strange[0]}, and its classes are 0 to {classes - 1}.",
            "Evaluate it on examples of the classes that it was fitted to.",
        )
    scaled = logits.astype(np.float64) / temperature  # the card's temperature, as the endpoint applies it
    probabilities = softmax(scaled, axis=1).astype(np.float32)
    return Scores(
        model=title,
        keys=examples.keys,
        labels=examples.labels,
        probabilities=probabilities,
        log_loss=log_loss(probabilities, examples.labels),
        calibration_error=calibration_error(probabilities, examples.labels),
    )
