"""Who should answer more often, for those who want right answers now and no verdict. Knows counts; changes no traffic.

Thompson sampling: a version gets units in proportion to the chance that it is the best one, as its labels leave it; so the
traffic moves to the better one as fast as the evidence does, and what was unlucky at first is tried again.

Source   W. R. Thompson, "On the likelihood that one unknown probability exceeds another in view of the evidence of two
         samples", Biometrika 25 (1933), 285-294.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from demlopment.errors import DataError

POINTS = 401  # for each version, within ten standard deviations: chances are exact to 1e-3


@dataclass(frozen=True)
class Record:
    """What the labels say of a version so far."""

    labelled: int
    right: int


def shares(records: Mapping[str, Record], floor: float) -> dict[str, float]:
    """The share of each version: `floor` at least, and of the rest its chance to be the best, all flat before the labels.

    Raises DataError for a floor that not every version can have.

    >>> found = shares({"1.0": Record(100, 80), "2.0": Record(100, 90)}, floor=0.05)
    >>> {version: round(share, 2) for version, share in found.items()}
    {'1.0': 0.07, '2.0': 0.93}
    """
    if not 0 <= floor * len(records) <= 1:
        raise DataError(
            f"The floor is {floor:g}, and {len(records)} versions share the traffic.", f"Give at most {1 / len(records):g}."
        )
    rest = 1 - floor * len(records)
    return {version: floor + rest * chance for version, chance in best(records).items()}


def best(records: Mapping[str, Record]) -> dict[str, float]:
    """The chance of each version to have the highest accuracy; together they are 1."""
    points = np.sort(np.concatenate([[0.0, 1.0], *map(_around, records.values())]))
    below = {
        version: beta.cdf(points, 1 + record.right, 1 + record.labelled - record.right) for version, record in records.items()
    }
    middles = {version: (each[1:] + each[:-1]) / 2 for version, each in below.items()}
    chances = {
        version: float(np.sum(np.diff(each) * np.prod([middles[other] for other in records if other != version], axis=0)))
        for version, each in below.items()
    }
    total = sum(chances.values())
    return {version: chance / total for version, chance in chances.items()}


def _around(record: Record) -> npt.NDArray[np.float64]:
    """Where the accuracy may lie."""
    posterior = beta(1 + record.right, 1 + record.labelled - record.right)
    middle, reach = posterior.mean(), 10 * posterior.std()
    return np.linspace(max(0.0, middle - reach), min(1.0, middle + reach), POINTS)
