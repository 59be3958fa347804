"""How a fitted network does on labelled rows, with calibrated probabilities. Knows nothing of archives or of the gate."""

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from demlopment.records import Examples, Scores
from demlopment.scores import scored
from demlopment.training.fit import Fitted
from demlopment.training.network import outputs


def evaluate(title: str, fitted: Fitted, examples: Examples) -> Scores:
    """The scores of the model called `title` ("digits 2.0") on `examples`.

    Raises DataError if there are no examples, or a label is not among the network's classes.
    """
    logits, _ = outputs(fitted.network, examples.images)
    scaled = logits.astype(np.float64) / fitted.temperature  # as the endpoint applies it
    return scored(title, softmax(scaled, axis=1).astype(np.float32), examples)


def embed(fitted: Fitted, examples: Examples) -> npt.NDArray[np.float32]:
    """The network's penultimate layer for each row: (n, width), what monitoring takes as its reference."""
    return outputs(fitted.network, examples.images)[1]
