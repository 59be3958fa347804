"""How good a model is where no label came back: told from how sure it is. Knows answers and an examination with labels.

It holds as long as an answer that is so sure is right so often as before: also where pictures change, but not where a class
means something else, which no confidence can tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import beta

from demlopment.errors import DataError
from demlopment.records import Interval, Scores

SUREST = 1e-6  # what float32 still tells from 1
# Before labels are seen, confidences are believed: odds are off by a factor of e, or a power of them by 1, one time in three.
BELIEF = np.diag([1.0, 1.0])
STEPS = 50  # Newton's method; it needs fewer than ten

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trust:
    """How often answers of a confidence are right: expit(weights @ (1, logit of the confidence)), with its uncertainty."""

    weights: Values  # (2,)
    covariance: Values  # (2, 2)
    lower: float = 0.0  # by so much the odds' logarithm is lower, on average over pictures of other kinds
    between: float = 0.0  # variance of that among them

    def to_json(self) -> dict[str, Any]:
        """As a profile keeps it."""
        arrays = {"weights": self.weights.tolist(), "covariance": self.covariance.tolist()}
        return {**arrays, "lower": self.lower, "between": self.between}


def kept(reference: Mapping[str, Any]) -> Trust | None:
    """What a profile keeps of it; None where an earlier release wrote it."""
    found = reference.get("trust")
    if found is None:
        return None
    weights, covariance = (np.asarray(found[name], np.float64) for name in ("weights", "covariance"))
    return Trust(weights, covariance, float(found["lower"]), float(found["between"]))


@dataclass(frozen=True)
class Estimate:
    """The accuracy of answers of which nobody has said what was true."""

    answers: int
    accuracy: float  # expected share that is right
    interval: Interval  # of the share that is right among these answers


def trust(scores: Scores, worn: Sequence[Scores] = ()) -> Trust:
    """Learnt from labelled rows that the model did not learn from, with its probabilities as the endpoint gives them.

    Worn     the same or other rows in pictures of other kinds: production is taken for one more kind like these and the first,
             and how the odds differ among them is added to the doubt. Without them nothing is known of other kinds.

    Method   logistic regression of "right" on the logit of the confidence, by Newton's method; the belief before is that
             confidences are right. Without a single error it so stays finite.
    Sources  D. R. Cox, "Two further applications of a model for binary regression", Biometrika 45 (1958), 562-565; D. MacKay,
             "The evidence framework applied to classification networks", Neural Computation 4 (1992), 720-736.
    Raises   DataError without rows.
    """
    if not len(scores.labels):
        raise DataError("There are no labelled rows to learn from how far answers can be trusted.", "Give the test part.")
    features, right = _features(scores.probabilities), scores.correct.astype(np.float64)
    belief, weights = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    for _ in range(STEPS):
        chances = expit(features @ weights)
        slope = features.T @ (right - chances) - BELIEF @ (weights - belief)
        curvature = (features * (chances * (1 - chances))[:, None]).T @ features + BELIEF
        step = np.linalg.solve(curvature, slope)
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    lower, between = _among([_offset(weights, each) for each in worn])
    return Trust(weights, np.linalg.inv(curvature), lower, between)


def estimated(probabilities: npt.NDArray[np.floating], learnt: Trust, confidence: float = 0.95) -> Estimate:
    """The accuracy of answers (n, classes), calibrated, without their labels.

    Interval   each answer is right or wrong by its own chance, and these chances are known only as well as `learnt`, for this
               kind of pictures too: a beta law of that mean and variance, rounded outwards to whole answers, because a share of
               few has few values.
    Holds for  covariate shift, as far as equal confidence goes on meaning equal chance. Under concept drift it is wrong
               and does not know it.
    Raises     DataError for an empty window.
    """
    if not len(probabilities):
        raise DataError("The window holds no answers.", "Wait for traffic, or choose a smaller window.")
    features, n = _features(probabilities), len(probabilities)
    chances = expit(features @ learnt.weights - learnt.lower)
    spread = chances * (1 - chances)
    pull = (features * spread[:, None]).mean(axis=0)  # of the mean chance, for each weight
    variance = float(spread.sum()) / n**2 + float(pull @ learnt.covariance @ pull) + float(pull[0]) ** 2 * learnt.between
    mean = float(chances.mean())
    low, high = _beta(mean, variance, confidence)
    low, high = min(low, mean), max(high, mean)  # of a few sure answers the law is nearly at one
    return Estimate(n, mean, Interval(float(np.floor(n * low) / n), float(np.ceil(n * high) / n), confidence))


def _offset(weights: Values, scores: Scores) -> float:
    """By how much the odds of one kind of pictures are lower; believed to be 0 within 1 before."""
    powers, right = _features(scores.probabilities) @ weights, float(scores.correct.sum())
    lower = 0.0
    for _ in range(STEPS):
        chances = expit(powers - lower)
        step = (float(chances.sum()) - right - lower) / (float((chances * (1 - chances)).sum()) + 1)
        lower += max(-1.0, min(1.0, step))
        if abs(step) < 1e-9:
            break
    return lower


def _among(kinds: Sequence[float]) -> tuple[float, float]:
    """Mean and variance of the offsets of pictures of other kinds and of the first one's, which is 0.

    Some of the variance is the luck of few errors. It stays: production may be of a kind that nobody thought of.
    """
    offsets = np.array([0.0, *kinds])
    return float(offsets.mean()), float(offsets.var(ddof=1)) if kinds else 0.0


def _features(probabilities: npt.NDArray[np.floating]) -> Values:
    """(n, 2): a one, and the logit of the confidence."""
    confidence = np.clip(probabilities.max(axis=1).astype(np.float64), SUREST, 1 - SUREST)
    return np.stack([np.ones(len(confidence)), logit(confidence)], axis=1)


def _beta(mean: float, variance: float, confidence: float) -> tuple[float, float]:
    size = max(mean * (1 - mean) / variance - 1, 1e-3)
    low, high = beta.ppf([(1 - confidence) / 2, (1 + confidence) / 2], mean * size, (1 - mean) * size)
    return float(low), float(high)
