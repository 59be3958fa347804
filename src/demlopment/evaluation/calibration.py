"""Can a model's confidence be believed, and how many fields can be read without a human? Knows no pictures.

Everything takes probabilities (n, classes) and labels (n,), as records.Scores has them.
"""

from dataclasses import dataclass
from math import ceil, exp, log, log1p

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import softmax
from scipy.stats import beta

from demlopment.errors import DataError
from demlopment.intervals import wilson
from demlopment.records import Interval
from demlopment.scores import BINS

# Confidences above which an answer is accepted without a human, the strictest first: fixed before any label is seen.
THRESHOLDS = tuple(float(each) for each in 1 - np.logspace(-6, -0.001, 200))

FAINTEST = 1e-30  # a probability below it counts as it: float32 ends at 1e-45
SLOPES = (1e-3, 1e3)  # that are looked at

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Powers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """The rows whose confidence lies in one part of 0 to 1: one point of a reliability diagram."""

    low: float
    high: float
    rows: int
    confidence: float  # mean; NaN without rows
    accuracy: float  # share that is right; NaN without rows


@dataclass(frozen=True)
class Selection:
    """Which answers are accepted without a human, so that of these at least `accuracy` are right."""

    accuracy: float  # that was asked for
    risk: float  # chance that the promise is false
    threshold: float | None  # confidence from which answers are accepted; None where too few rows prove nothing
    accepted: Interval | None  # Wilson's, of the share of all rows
    share: float  # of the rows that are accepted
    wrong: int  # of the accepted rows
    rows: int
    needed: int  # accepted rows without an error that would prove it, were there as many


@dataclass(frozen=True)
class Prices:
    """What a field costs, in one currency."""

    error: float  # an accepted answer that is wrong
    review: float  # a person who reads the field
    request: float  # the machine's answer


@dataclass(frozen=True)
class Money:
    """What a thousand fields cost if answers above the cheapest threshold are accepted and people read the rest."""

    per_thousand: float
    interval: Interval  # bootstrap over rows
    threshold: float
    accepted: float  # share
    by_hand: float  # what a thousand cost if people read them all


def brier(probabilities: Probabilities, labels: Labels) -> float:
    """Mean squared distance between probabilities and what was true, 0 to 2.

    Source   G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950), 1-3.

    >>> round(brier(np.array([[0.8, 0.2], [0.4, 0.6]], np.float32), np.array([0, 0])), 2)
    0.4
    """
    truth = np.zeros(probabilities.shape)
    truth[np.arange(len(labels)), labels] = 1
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def slope(probabilities: Probabilities, labels: Labels) -> tuple[float, Interval]:
    """What the logarithms of the probabilities should be multiplied by: 1 is right, less is too sure, more too unsure.

    The calibration error of a model that is always sure is only the share of its errors, however few; its slope is near 0.
    Half a row is added, the least sure answer read as its runner-up, so that a model without an error has a slope too.
    Interval 95 %, of a maximum of the likelihood whose model may be wrong ("sandwich"); all that is looked at if nothing is
             known.
    Raises   DataError without rows.
    Sources  D. R. Cox, "Two further applications of a model for binary regression", Biometrika 45 (1958), 562-565; H. White,
             "Maximum likelihood estimation of misspecified models", Econometrica 50 (1982), 1-25.

    >>> labels = np.array([0] * 800 + [1] * 200)
    >>> [round(slope(np.array([[sure, 1 - sure]] * 1000, np.float32), labels)[0], 1) for sure in (0.8, 0.99)]
    [1.0, 0.3]
    """
    if not len(labels):
        raise DataError("There are no rows to tell how sure a model may be.", "Ingest more examples, or split anew.")
    powers, told, weights = _with_half_a_row(_powers(probabilities), labels)
    best = _likeliest(powers, told, weights)
    shares, scores = softmax(best * powers, axis=1), _scores(powers, told, best)
    spread = weights @ ((shares * powers**2).sum(axis=1) - (shares * powers).sum(axis=1) ** 2)
    if spread <= 0:  # equal probabilities stay equal, whatever they are multiplied by
        return best, Interval(*SLOPES)
    half = 1.96 * float(np.sqrt(weights @ scores**2) / spread)
    return best, Interval(best - half, best + half)


def refitted(probabilities: Probabilities, labels: Labels) -> float:
    """The slope on the very rows that a temperature was fitted to, which is 1 if that was done: no row is added.

    One at the end of what is looked at where nothing speaks against being surer.
    """
    return _likeliest(_powers(probabilities), labels, np.ones(len(labels)))


def rows_needed(value: float, interval: Interval, least: float, rows: int) -> int | None:
    """How many rows would have the whole interval above `least` if the value stays; None where it is not above itself.

    An interval is as wide as one over the root of its rows.

    >>> rows_needed(0.8, Interval(0.4, 1.2), least=0.5, rows=90)
    160
    """
    return ceil(rows * ((value - interval.low) / (value - least)) ** 2) if value > least else None


def reliability(probabilities: Probabilities, labels: Labels, bins: int = BINS) -> tuple[Bin, ...]:
    """Confidence beside accuracy, in equally wide bins of confidence."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    of_bin = np.minimum((confidence * bins).astype(int), bins - 1)
    found = []
    for each in range(bins):
        rows = of_bin == each
        mean, share = (float(values[rows].mean()) if rows.any() else float("nan") for values in (confidence, right))
        found.append(Bin(each / bins, (each + 1) / bins, int(rows.sum()), mean, share))
    return tuple(found)


def selection(probabilities: Probabilities, labels: Labels, accuracy: float = 0.999, risk: float = 0.05) -> Selection:
    """The lowest confidence from which answers may be accepted, with a guarantee that holds for any model.

    Thresholds are tested from the strictest that has enough rows to prove anything to the loosest, and the first that
    fails ends it: so all of them together are wrong with at most the probability `risk`, if the rows are drawn as those
    to come. Each test is Clopper and Pearson's exact bound on the share of errors among the accepted rows. Where it
    begins depends on confidences only, never on labels.
    Sources  C. Clopper, E. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
             Biometrika 26 (1934), 404-413; A. Angelopoulos, S. Bates, E. Candes, M. Jordan, L. Lei, "Learn then test:
             calibrating predictive algorithms to achieve risk control" (2021), fixed sequence testing.
    Raises   DataError unless both are shares between 0 and 1.
    """
    for name, share in (("accuracy", accuracy), ("risk", risk)):
        if not 0 < share < 1:
            raise DataError(f"The {name} of accepted answers is {share}.", "Give a number between 0 and 1.")
    rows, needed = len(labels), ceil(log(risk) / log1p(-(1 - accuracy)))
    confidence, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels
    proved, count, errors = None, 0, 0
    for threshold in THRESHOLDS:
        accepted = confidence >= threshold
        n = int(accepted.sum())
        if n < needed:
            continue
        k = int(wrong[accepted].sum())
        if beta.ppf(1 - risk, k + 1, n - k) > 1 - accuracy:
            break
        proved, count, errors = threshold, n, k
    interval = wilson(count, rows) if rows else None
    return Selection(accuracy, risk, proved, interval, count / rows if rows else 0.0, errors, rows, needed)


def money(probabilities: Probabilities, labels: Labels, prices: Prices, seed: int = 0, draws: int = 1000) -> Money:
    """Dollars, or whatever the prices are in, per thousand fields.

    An answer is accepted where its expected error costs less than a person: confidence >= 1 - review / error. That is the
    cheapest rule if the confidence can be believed, and needs no label. The interval is a percentile bootstrap over rows.
    Raises DataError for a negative or not finite price, or without rows.
    """
    if not len(labels):
        raise DataError("There are no rows to put a price on.", "Ingest more examples, or split with another salt.")
    for name in ("error", "review", "request"):
        if not 0 <= getattr(prices, name) < float("inf"):
            raise DataError(f"The price of one {name} is {getattr(prices, name)}.", "Give a number that is not negative.")
    threshold = max(0.0, 1 - prices.review / prices.error) if prices.error else 0.0
    accepted, wrong = probabilities.max(axis=1) >= threshold, probabilities.argmax(axis=1) != labels
    each = prices.request + np.where(accepted, wrong * prices.error, prices.review)
    rng = np.random.default_rng(seed)
    means = each[rng.integers(0, len(each), (draws, len(each)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Money(
        1000 * float(each.mean()),
        Interval(1000 * float(low), 1000 * float(high)),
        threshold,
        float(accepted.mean()),
        1000 * prices.review,
    )


def _powers(probabilities: Probabilities) -> Powers:
    return np.asarray(np.log(probabilities.astype(np.float64).clip(FAINTEST)), np.float64)  # (n, classes)


def _likeliest(powers: Powers, labels: Labels, weights: Powers) -> float:
    """The slope within `SLOPES` that makes the labels likeliest."""

    def pull(logarithm: float) -> float:
        return float(weights @ _scores(powers, labels, exp(logarithm)))

    ends = tuple(map(log, SLOPES))
    return exp(brentq(pull, *ends) if pull(ends[0]) > 0 > pull(ends[1]) else ends[pull(ends[0]) > 0])


def _with_half_a_row(powers: Powers, labels: Labels) -> tuple[Powers, Labels, Powers]:
    """The rows with their weights (n + 1,): that of the last, the least sure answer with its runner-up as label, is a half."""
    unsure = powers[powers.max(axis=1).argmin()]
    weights = np.append(np.ones(len(labels)), 0.5)
    return np.vstack([powers, unsure]), np.append(labels, unsure.argsort()[-2]), weights


def _scores(powers: Powers, labels: Labels, slope: float) -> Powers:
    """How the log likelihood of each row grows with the slope: (n,)."""
    shares = softmax(slope * powers, axis=1)
    return np.asarray(powers[np.arange(len(labels)), labels] - (shares * powers).sum(axis=1), np.float64)
