"""Are there more errors than were promised? A test on a stream of labels, for looking after each of them. Knows numbers.

A gambler as in betting.py, but a new one starts at every label with one coin, and what all of them own together is watched: so
evidence of long ago neither helps nor hinders, and where the promise is kept the mean number of labels until a false alarm is
at least the limit that their wealth must reach.
Source   J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", NEJSDS 2
         (2024), 229-260: the Shiryaev-Roberts detector.
"""

from dataclasses import dataclass
from math import inf, log

import numpy as np
import numpy.typing as npt

from demlopment.betting import BETS, BOLDEST, PURSE
from demlopment.errors import DataError

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ErrorAlarm:
    """What the labels so far say against a promise."""

    labels: int
    promised: float  # the share of errors that is allowed, 0 to 1
    wealth: float  # natural logarithm of what all gamblers own; it falls again where the errors cease
    limit: float  # likewise: an alarm stands where the wealth reaches it
    first: int | None  # index of the label at which it first did

    @property
    def alarmed(self) -> bool:
        return self.first is not None


def error_alarm(wrong: npt.NDArray[np.bool_], promised: float, false_alarm_rate: float) -> ErrorAlarm:
    """Of labelled answers (n,) in the order in which labels came, against at most the share `promised` of errors.

    Rate     false alarms per label: where the promise is kept, 1 / rate labels pass before one on average, at least, however
             often it is looked at.
    Raises   DataError for a promise that is no share below one, or a rate that is none.
    """
    if not 0 <= promised < 1 or not 0 < false_alarm_rate < 1:
        raise DataError(
            f"A promise of {promised:g} errors, at {false_alarm_rate:g}, is none.", "Give shares from 0 to below 1."
        )
    limit = -log(false_alarm_rate)
    if not len(wrong):
        return ErrorAlarm(0, promised, -inf, limit, None)
    held = max(promised, 1e-6)
    gains = np.log1p(BOLDEST * BETS[:, None] / held * (wrong.astype(np.float64) - held))  # (bets, n)
    grown = np.cumsum(gains, axis=1)
    # Whoever starts before label s owns exp(grown[t] - grown[s - 1]) after label t.
    started = np.logaddexp.accumulate(np.concatenate([np.zeros((len(BETS), 1)), -grown[:, :-1]], axis=1), axis=1)
    wealth = np.logaddexp.reduce(grown + started + np.log(PURSE)[:, None], axis=0)
    beyond = np.flatnonzero(wealth >= limit)
    return ErrorAlarm(len(wrong), promised, float(wealth[-1]), limit, int(beyond[0]) if len(beyond) else None)
