"""How sure a network may say to be: its logits are divided by one number. Knows nothing of networks or of fitting."""

from math import exp, log

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

COOLEST, HOTTEST = 0.25, 10.0  # limits of the temperature: a validation part without an error would drive it to zero


def likeliest(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """The divisor of the logits (n, classes) that makes the labels (n,) likeliest.

    Source   C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017.

    >>> round(likeliest(np.array([[4, 0], [4, 0], [4, 0], [4, 0]], np.float32), np.array([0, 0, 0, 1])), 2)  # right in 3 of 4
    3.64
    """
    best = minimize_scalar(
        lambda logarithm: cross_entropy(logits, labels, exp(logarithm)),
        bounds=(log(COOLEST), log(HOTTEST)),
        method="bounded",
    )
    return exp(float(best.x))


def cross_entropy(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], temperature: float) -> float:
    """Mean negative logarithm of the probability of the label, with the logits divided by the temperature."""
    scaled = logits.astype(np.float64) / temperature
    return float(np.mean(logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels]))
