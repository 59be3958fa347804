"""Are units divided as the plan says? A p-value that may be looked at after every unit. Knows neither labels nor metrics."""

from collections.abc import Sequence
from math import log

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from demlopment.monitoring.outcomes import Outcome

# A split is wrong enough to void an experiment below this p-value: with a hundred experiments a year, chance alone voids
# one in ten years.
UNPLANNED = 0.001
IMBALANCE = 100  # units: the split may well be some 5 points off its plan, says the alternative


def sample_ratio(treated: npt.NDArray[np.bool_], share: float) -> float:
    """An always-valid p-value that units, in the order they came, were sent to the treatment with this share.

    The evidence is a ratio of likelihoods: shares spread around the plan (beta-binomial) against the plan itself; its
    largest value so far is at least 1 / p with a chance of at most p (Ville).
    """
    seen, hits = np.arange(1, len(treated) + 1), np.cumsum(treated)
    a, b = IMBALANCE * share, IMBALANCE * (1 - share)
    planned = hits * log(share) + (seen - hits) * log(1 - share)
    evidence = betaln(a + hits, b + seen - hits) - betaln(a, b) - planned
    return float(np.exp(-max(0.0, evidence.max(initial=0.0))))


def unit_arms(ordered: Sequence[Outcome]) -> npt.NDArray[np.bool_]:
    """For each unit, in the order of their first outcome, whether it was treated.

    A unit's requests share its arm: counting them one by one would find the busiest user's arm too large.
    """
    units = {row.unit or f"request {place}": row.arm == "treatment" for place, row in enumerate(ordered)}
    return np.array(list(units.values()), np.bool_)
