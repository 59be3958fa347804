"""Measurements become checks, with the interval that their rows allow. Knows no picture and no model."""

from math import sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from demlopment.intervals import wilson
from demlopment.records import Check, Interval

Group = Literal["behaviour", "robustness"]
CONFIDENCE = 0.95


def share(
    group: Group, name: str, holds: npt.NDArray[np.bool_], bound: float | None, *, least: bool = True, note: str = ""
) -> Check:
    """How often something held, (n,), with Wilson's interval. Where there was no row it is told and not judged."""
    rows, held = len(holds), int(holds.sum())
    if rows == 0:
        return Check(group, name, float("nan"), None, None, least, 0, note=note)
    return Check(group, name, held / rows, wilson(held, rows, CONFIDENCE), bound, least, rows, note=note)


def mean(
    group: Group, name: str, values: npt.NDArray[np.float64], bound: float | None, *, least: bool = False, note: str = ""
) -> Check:
    """The mean of what was drawn by chance, (n,), with the normal interval; of one value that was not, without."""
    rows = len(values)
    if rows == 0:
        return Check(group, name, float("nan"), None, None, least, 0, note=note)
    middle = float(values.mean())
    interval = None
    if rows > 1:
        half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * float(values.std(ddof=1)) / sqrt(rows)
        interval = Interval(middle - half, middle + half, CONFIDENCE)
    return Check(group, name, middle, interval, bound, least, rows, note=note)
