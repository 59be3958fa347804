"""Do new rows look like the old ones? One permutation test over many figures, with one stated false-alarm rate.

Knows rows as numbers and the groups they come in, and no picture, label or table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from demlopment.data.duplicates import near_duplicates
from demlopment.records import Examples

MOST_GROUPS = 10_000  # a side, drawn by chance from more: a shift of a twentieth of a standard deviation is found in so many

Values = npt.NDArray[np.float64]
Claims = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shift:
    """How far new rows are from old ones."""

    p_value: float  # chance that luck alone brings any figure so far
    most: str  # the figure that has moved most
    old: int  # rows
    new: int


def shift(
    figures: Mapping[str, Values], came: Claims, groups: Places, false_alarm_rate: float, rng: np.random.Generator
) -> Shift | None:
    """Compare the rows that came new with the others; None where one side is empty.

    Shapes     (n,) each: the figures of every row, whether it came new, and its group: a number that rows which depend on
               each other share, such as one writer's.
    Statistic  for each figure the sum over the new rows of its rank, and of its rank's distance from the middle (which a
               mere spread moves), by their standard deviation under chance; the largest of all, without its sign.
    p-value    the share of random exchanges of whole groups between both sides that bring the largest one as far. The
               largest of all is compared with the largest of all, so the rate is that of the whole gate however its
               figures depend on each other (Westfall and Young), and nothing is lost to Bonferroni.
    Rate       p below `false_alarm_rate` happens at most so often while nothing has changed: exactly, for any number of
               groups, where it is chance which of them came new. Where it is plain that p is no less, counting stops, so
               that only an alarm takes all of its 2 / `false_alarm_rate` exchanges; p is then a rough one.
    Assumed    groups do not depend on each other: what ties rows together stands in `groups`, or the rate is higher. Rows
               of one group on both sides are two groups: since they are alike, that errs towards silence. Few groups
               cannot raise an alarm: one new writer and ten old ones have p >= 1/11.
    Source     P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", 1993; the count is (b + 1) / (m + 1) of
               B. Phipson and G. K. Smyth, "Permutation P-values Should Never Be Zero", SAGMB 9 (2010).
    """
    kept = _kept(came, groups, rng)
    if not came[kept].any() or came[kept].all():
        return None
    ranked = {name: _centred_rank(values[kept]) for name, values in figures.items()}
    columns = np.stack([*ranked.values(), *(np.abs(each) - np.abs(each).mean() for each in ranked.values())], axis=1)
    _, first, place = np.unique(2 * groups[kept] + came[kept], return_index=True, return_inverse=True)
    sums = np.zeros((len(first), columns.shape[1]))
    np.add.at(sums, place, columns)
    moved = came[kept][first]
    new = int(moved.sum())
    spread = np.sqrt((sums**2).sum(axis=0) * new * (len(sums) - new) / (len(sums) * max(1, len(sums) - 1)))
    scores = np.divide(sums, spread, out=np.zeros_like(sums), where=spread > 1e-9)
    found = np.abs(scores[moved].sum(axis=0))
    p_value = _p_value(scores, new, float(found.max()), false_alarm_rate, rng)
    return Shift(p_value, list(figures)[int(found.argmax()) % len(figures)], int((~came).sum()), int(came.sum()))


def groups(examples: Examples) -> Places:
    """A number for each row (n,), shared by those of one writer and, where nobody knows the writer, by near-duplicates."""
    alike = near_duplicates(examples.images)
    _, writer = np.unique(examples.writers, return_inverse=True)
    return np.asarray(np.where(examples.writers == "", alike, len(examples) + writer), np.int64)


def _p_value(scores: Values, new: int, found: float, rate: float, rng: np.random.Generator) -> float:
    exchanges = ceil(2 / rate)
    few = min(new, len(scores) - new)  # whoever stays says the same as whoever goes, with the other sign
    as_far = 0
    for done in range(1, exchanges + 1):
        drawn = scores[rng.choice(len(scores), few, replace=False, shuffle=False)]
        as_far += bool(np.abs(drawn.sum(axis=0)).max() >= found * (1 - 1e-9))  # sums of floats in another order
        if (as_far + 1) / (exchanges + 1) >= rate:
            return (as_far + 1) / (done + 1)
    return (as_far + 1) / (exchanges + 1)


def _kept(came: Claims, groups: Places, rng: np.random.Generator) -> Claims:
    """The rows of at most `MOST_GROUPS` groups a side: (n,)."""
    kept = np.ones(len(came), np.bool_)
    for side in (came, ~came):
        names = np.unique(groups[side])
        if len(names) > MOST_GROUPS:
            kept &= ~side | np.isin(groups, rng.choice(names, MOST_GROUPS, replace=False))
    return kept


def _centred_rank(values: Values) -> Values:
    """Ranks from -1 to 1 with mean 0, equal for equal values."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray((middle[place] - (len(values) + 1) / 2) * 2 / len(values))
