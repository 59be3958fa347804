"""How many labels a test needs, before it starts. Knows rates of error; knows no traffic and no calendar.

The number is found by playing the very test that will be read (betting.py) a few thousand times, always with the same draws. A
made-up test is looked at whenever its labels have grown by a fiftieth, a real one after every label, so it decides no later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from demlopment import betting
from demlopment.betting import Count
from demlopment.errors import DataError
from demlopment.monitoring.experiment import values
from demlopment.monitoring.paired import VALUES

TESTS = 2000  # that are played
DOUBT = 0.01  # chance that so many of them decided although the power is smaller than was asked for
FIRST_LOOK, GROWTH = 16, 1.02
MOST_LABELS = 5_000_000  # nobody waits for more

Decided = Callable[[Count], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Size:
    """What a test takes, in labelled requests (of different units)."""

    better: int  # until it has decided, with the asked chance, that a version which is better by the effect is better
    alike: int | None  # likewise until it has stopped, if the versions are alike; None beyond 5 million
    fixed: int  # that an ordinary test would need, which may be looked at once only


def of_arms(accuracy: float, effect: float, share: float, *, confidence: float = 0.95, power: float = 0.8) -> Size:
    """For two arms, when the control has this accuracy and the treatment, with this share of both, is better by `effect`.

    Raises DataError for what is no such test, or would take more than 5 million labels.
    """
    _check(effect, confidence, power)
    errors = _errors(accuracy, effect)
    if not 0 < share < 1:
        raise DataError(f"The share of the treatment is {share:g}.", "Give one between 0 and 1: both arms need traffic.")
    spread = errors[0] * (1 - errors[0]) / (1 - share) + errors[1] * (1 - errors[1]) / share
    chances, alike = ([(1 - share) * errors[0], share * wrong] for wrong in (errors[1], errors[0]))
    return _size(values(share), chances, alike, effect, spread, confidence, power)


def of_pairs(won: float, lost: float, *, confidence: float = 0.95, power: float = 0.8) -> Size:
    """For a shadow that alone is right on a share `won` of the requests and alone wrong on `lost`; alike, it does half of both.

    Raises DataError as for two arms.
    """
    effect, differing = won - lost, won + lost
    _check(effect, confidence, power)
    if not (lost >= 0 and differing <= 1):
        raise DataError(
            f"A shadow cannot be alone right on {won:.2%} and alone wrong on {lost:.2%} of the requests.",
            "Give shares that are not negative and add up to 1 at most.",
        )
    return _size(VALUES, [won, lost], [differing / 2] * 2, effect, differing - effect**2, confidence, power)


def independent(accuracy: float, effect: float) -> tuple[float, float]:
    """What a shadow wins and loses whose errors have nothing to do with the others': real ones have more in common.

    Raises DataError where nothing can be so much better.

    >>> [round(each, 4) for each in independent(0.9, 0.05)]
    [0.095, 0.045]
    """
    told, shadow = _errors(accuracy, effect)
    return told * (1 - shadow), (1 - told) * shadow


def _size(
    of: Sequence[float],
    chances: Sequence[float],
    alike: Sequence[float],
    effect: float,
    spread: float,
    confidence: float,
    power: float,
) -> Size:
    """`chances` are those of all values but the first, `spread` is the variance of one label about the effect."""

    def better(counts: Count) -> npt.NDArray[np.bool_]:
        return betting.above(counts, of, np.array(0.0), confidence)

    def stopped(counts: Count) -> npt.NDArray[np.bool_]:
        sides = of, [-value for value in of]
        low, high = (betting.above(counts, side, np.array(-effect), confidence) for side in sides)
        return np.asarray(low & high)

    labels = _labels(better, chances, power)
    if labels is None:
        raise DataError(
            f"A test of {100 * effect:g} points takes more than {MOST_LABELS:,} labelled requests.",
            "Look for a larger effect, give the treatment a larger share, or try it as a shadow.",
        )
    normal = NormalDist()
    reach = normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(power)
    return Size(labels, _labels(stopped, alike, power), ceil(reach**2 * spread / effect**2))


def _errors(accuracy: float, effect: float) -> tuple[float, float]:
    """Shares of errors: of what is there, and of what is better by `effect`."""
    if not 0 < accuracy < 1:
        raise DataError(f"The accuracy of the control is {accuracy:g}.", "Give a share between 0 and 1, such as 0.97.")
    room = 1 - accuracy
    if effect > room + 1e-12:
        raise DataError(
            f"From an accuracy of {accuracy:.2%} nothing can be better by {100 * effect:g} points.",
            f"Give an effect of at most {room:.4g}.",
        )
    return room, max(0.0, room - effect)


def _check(effect: float, confidence: float, power: float) -> None:
    if not 0 < effect < 1:
        raise DataError(f"The effect to look for is {effect:g}.", "Give a difference of shares between 0 and 1, such as 0.01.")
    for name, value in (("confidence", confidence), ("power", power)):
        if not 0.5 <= value <= 0.9999:
            raise DataError(f"The {name} of the test is {value:g}.", "Give a share from 0.5 to 0.9999, such as 0.8 or 0.95.")


def _labels(decided: Decided, chances: Sequence[float], power: float) -> int | None:
    """After how many labels so many of the tests have decided that the power can be vouched for."""
    rng = np.random.default_rng(0)
    enough = int(binom.isf(DOUBT, TESTS, power)) + 1
    whole = [1 - sum(chances), *chances]
    counts, done, labels = np.zeros((len(whole), TESTS), np.int64), np.zeros(TESTS, np.bool_), 0
    while labels < MOST_LABELS:
        step = max(FIRST_LOOK, ceil(labels * (GROWTH - 1)))
        labels += step
        counts += rng.multinomial(step, whole, TESTS).T
        done |= decided(counts)
        if done.sum() >= enough:
            return labels
    return None
