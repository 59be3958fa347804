"""Are units assigned as promised? A million of them under twenty salts: shares, stickiness, ramps, independence.

The tests do the same with small counts (tests/serving/test_traffic.py, tests/test_verdicts.py).
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from scipy.stats import chi2, chi2_contingency

from benchmarks.result import write
from demlopment.records import TrafficPlan, Treatment
from demlopment.serving.traffic import Split

UNITS, SALTS = 1_000_000, 20
SHARES = (0.1, 0.25)  # of two treatments
RAMP = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


def run() -> Path:
    """Assign them all and write the result."""
    figures = {
        "shares": shares(UNITS, SALTS),
        "stickiness": stickiness(UNITS),
        "ramp": ramp(UNITS, RAMP),
        "independence": independence(UNITS, SALTS),
    }
    return write("assignment", figures)


def shares(units: int, salts: int) -> dict[str, Any]:
    """Chi-square of the arms against their planned shares, one for each salt.

    The hash is fixed, so each is always the same; were it a fair draw, they would add up to a chi-square, and the smallest
    p-value times their number would be below 0.01 once in a hundred.
    """
    planned = (1 - sum(SHARES), *SHARES)
    distances = []
    for salt in range(salts):
        met = Counter(versions(units, plan(SHARES, salt)))
        counts = [met[f"{place}.0"] for place in range(1, len(planned) + 1)]
        distances.append(sum((n - units * part) ** 2 / (units * part) for n, part in zip(counts, planned, strict=True)))
    free = len(planned) - 1
    return {
        "units": units,
        "salts": salts,
        "p_of_all": float(chi2.sf(sum(distances), free * salts)),
        "smallest_p_times_salts": float(min(1.0, salts * chi2.sf(max(distances), free))),
    }


def stickiness(units: int) -> dict[str, Any]:
    """Units that met another arm when they were asked for again, here, and in a process whose own hashes are others."""
    again = sum(one != other for one, other in zip(versions(units, plan(SHARES)), versions(units, plan(SHARES)), strict=True))
    command = [sys.executable, "-c", f"from benchmarks.assignment import digest; print(digest({units}))"]
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    elsewhere = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    return {"units": units, "moved": again, "alike_in_another_process": elsewhere == digest(units)}


def ramp(units: int, steps: Sequence[float]) -> dict[str, Any]:
    """Units that a rising share sent back to the control, or that it took from the other treatment: must be none."""
    backwards = taken = 0
    for low, high in pairwise(steps):
        before, after = versions(units, plan((low,))), versions(units, plan((high,)))
        backwards += sum(one == "2.0" and other == "1.0" for one, other in zip(before, after, strict=True))
        before, after = (versions(units, plan((share / 2, 0.5))) for share in (low, high))
        taken += sum(one == "3.0" != other for one, other in zip(before, after, strict=True))
    return {"units": units, "steps": list(steps), "sent_back": backwards, "taken_from_another": taken}


def independence(units: int, salts: int) -> dict[str, Any]:
    """Chi-square of two experiments on the same units, each of `salts` salts beside the next one."""
    arms = [[version == "2.0" for version in versions(units, plan((0.5,), salt))] for salt in range(salts)]
    p_values = []
    for one, other in pairwise([*arms, arms[0]]):
        met = Counter(zip(one, other, strict=True))
        table = [[met[first, second] for second in (False, True)] for first in (False, True)]
        p_values.append(float(chi2_contingency(table, correction=False).pvalue))
    return {"units": units, "pairs": len(p_values), "smallest_p_times_pairs": min(1.0, len(p_values) * min(p_values))}


def plan(of: Sequence[float], salt: int = 0) -> TrafficPlan:
    """The control is 1.0, the treatments are 2.0, 3.0 and so on."""
    treatments = tuple(Treatment(f"{place}.0", share) for place, share in enumerate(of, 2))
    return TrafficPlan("digits", "1.0", treatments, salt=f"salt {salt}")


def versions(units: int, asked: TrafficPlan) -> list[str]:
    """Whom each of so many units meets."""
    split = Split(asked)
    return [split.assigned(f"user-{number}").version for number in range(units)]


def digest(units: int) -> str:
    """SHA-256 of whom they meet, hexadecimal."""
    return sha256(" ".join(versions(units, plan(SHARES))).encode()).hexdigest()
