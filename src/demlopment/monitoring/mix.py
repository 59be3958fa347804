"""What mix of classes production has now, told from answers without labels. Knows probabilities; no picture and no truth.

Holds as long as the classes still look as they did, and only come more or less often (label shift).
Source   M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities: a simple
         procedure", Neural Computation 14 (2002), 21-41; the interval is Fisher's information over the reference's answers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from demlopment.errors import DataError

STEPS, NEAR = 500, 1e-7  # of the iteration, which is slow only where hardly anything is known
RIDGE = 1e-9  # keeps the information invertible where a class is not told from another

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassMix:
    """The share of each class, (classes,) each: expected, as an interval, and in the reference."""

    shares: Values
    low: Values
    high: Values
    usual: Values
    answers: int
    confidence: float = 0.95

    @property
    def moved(self) -> npt.NDArray[np.bool_]:
        """Which classes come more or less often than in the reference, each with the confidence of its interval."""
        return np.asarray((self.usual < self.low) | (self.usual > self.high), np.bool_)


def class_mix(
    probabilities: npt.NDArray[np.floating], reference: npt.NDArray[np.floating], confidence: float = 0.95
) -> ClassMix:
    """From calibrated answers (n, classes) and the reference's (m, classes), by maximum likelihood.

    Interval   Jeffreys' for as many answers as the information is worth: n where each answer is sure, fewer where they are not.
    Raises     DataError for an empty window or reference, or other classes.
    """
    if not len(probabilities) or not len(reference):
        raise DataError("There are no answers to tell the mix of classes from.", "Wait for traffic.")
    if probabilities.shape[1] != reference.shape[1]:
        raise DataError(
            f"The answers have {probabilities.shape[1]} classes and the reference {reference.shape[1]}.",
            "Compare a model's answers with the profile in its own archive.",
        )
    known = reference.astype(np.float64)
    usual = known.mean(axis=0) + RIDGE
    ratios = probabilities.astype(np.float64) / usual
    shares = usual / usual.sum()
    for _ in range(STEPS):
        posterior = ratios * shares
        posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), RIDGE)
        before, shares = shares, posterior.mean(axis=0)
        if np.abs(shares - before).max() < NEAR:
            break
    n, classes = probabilities.shape
    smooth = (n * shares + 0.5) / (n + classes / 2)
    variance = _variance(smooth, known / usual, n)
    worth = np.clip(smooth * (1 - smooth) / variance, 1.0, n)
    ends = [
        beta.ppf(end, shares * worth + 0.5, (1 - shares) * worth + 0.5) for end in ((1 - confidence) / 2, (1 + confidence) / 2)
    ]
    low, high = np.minimum(ends[0], shares), np.maximum(ends[1], shares)
    return ClassMix(shares, low, high, usual / usual.sum(), n, confidence)


def _variance(shares: Values, ratios: Values, n: int) -> Values:
    """Of each share, estimated from `n` answers, where the reference's answers have these likelihood ratios."""
    density = ratios @ shares  # of production over the reference
    information = n * (ratios / density[:, None]).T @ ratios / len(ratios)
    free = np.linalg.svd(np.ones((1, len(shares))))[2][1:]  # shares sum to one: only these directions are free
    inner = free @ information @ free.T
    inner += RIDGE * np.trace(information) * np.eye(len(inner))
    return np.asarray(np.maximum(np.diag(free.T @ np.linalg.inv(inner) @ free), 1e-12), np.float64)
