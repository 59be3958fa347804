"""Which arm is better, and may we say so yet? Intervals that stay true however often one looks.

Knows outcomes and the traffic plan; changes no traffic and stores nothing.

Every labelled outcome becomes one number whose mean is the effect: an error in the treatment counts -1 / share, an
error in the control 1 / (1 - share), a right answer 0 (inverse propensity). Errors are rare, so this varies little. How
its mean is bounded stands in betting.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from demlopment import betting
from demlopment.betting import Bound, Count
from demlopment.errors import DataError
from demlopment.records import Arm, ArmReading, Decision, Interval, Reading, TrafficPlan

LONGEST_SEQUENCE = 500  # points: more cannot be told apart in a picture
# A split is wrong enough to void an experiment below this p-value: with a hundred experiments a year, chance alone voids
# one in ten years.
UNPLANNED = 0.001
IMBALANCE = 100  # units: the split may well be some 5 points off its plan, says the alternative


@dataclass(frozen=True)
class Outcome:
    """What became of one request of an experiment."""

    arm: Arm
    version: str
    correct: bool | None  # None while no label came back
    at: float  # seconds since 1970: when the label came, or the request where none did
    unit: str = ""  # whom the arm sticks to; "" where each request is a unit of its own


def read(plan: TrafficPlan, outcomes: Sequence[Outcome], *, version: str | None = None, confidence: float = 0.95) -> Reading:
    """The experiment as it stands: accuracy of the treatment minus accuracy of the control, in the order of labels.

    Interval   always valid: it may be read after every label and acted on at once. It assumes that the plan's arms are
               drawn at random for each unit and that labels come back as often from one as from the other.
    Labels     the first one of each unit counts. A unit keeps its arm, so its later labels are no new draw, and counting
               them would miss far more often than stated (a few busy users: in nearly half of all experiments).
    Split      units per arm against their planned shares, always valid as well; below 0.001 it voids the reading.
    Decision   "promote" if the interval is wholly above 0, "keep" if wholly below, else "continue".
    Effect     the difference of both shares of right answers; 0 while one arm has no label.
    Treatment  the one of that `version`, the plan's first if None; of several each is read against the control by itself.
    Outcomes of versions that the plan does not name for their arm, and of its other treatments, are passed over.
    Raises     DataError if the plan leaves one arm without traffic, or has no such treatment.
    """
    treated, share = _treatment(plan, version)
    named: dict[Arm, str] = {"control": plan.control, "treatment": treated}
    ordered = _first_labels(sorted((row for row in outcomes if row.version == named[row.arm]), key=lambda row: row.at))
    arms = {arm: _arm(version, [row for row in ordered if row.arm == arm]) for arm, version in named.items()}
    control, treatment = arms["control"], arms["treatment"]
    sequence = _sequence([row for row in ordered if row.correct is not None], share, confidence)
    low, high = sequence[-1][1:] if sequence else (-1.0, 1.0)
    ratio_p = sample_ratio(_unit_arms(ordered), share)
    decision = _decision(low, high, ratio_p)
    return Reading(
        control=control,
        treatment=treatment,
        effect=_accuracy(treatment) - _accuracy(control) if control.labelled and treatment.labelled else 0.0,
        interval=Interval(low, high, confidence),
        sequence=sequence,
        sample_ratio_p=ratio_p,
        decision=decision,
        sentence=_sentence(share, control, treatment, Interval(low, high, confidence), ratio_p, decision),
    )


def confidence_sequence(
    labels: Count, control_errors: Count, treatment_errors: Count, share: float, confidence: float = 0.95
) -> tuple[Bound, Bound]:
    """Lower and upper bound of the effect after so many labels and errors, arrays of one shape.

    Over all times together they miss the true effect with a chance of at most 1 - confidence.

    >>> low, high = confidence_sequence(np.array([700]), np.array([35]), np.array([7]), share=0.5)
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.028], [0.145])
    """
    counts = np.stack([labels - control_errors - treatment_errors, control_errors, treatment_errors])
    return betting.bounds(counts, values(share), confidence)


def values(share: float) -> tuple[float, float, float]:
    """What a right answer, an error of the control and one of the treatment count."""
    return 0.0, 1 / (1 - share), -1 / share


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


def _treatment(plan: TrafficPlan, version: str | None) -> tuple[str, float]:
    """The treatment that is read, and its share of the units that met it or the control."""
    shares = {each.version: each.share for each in plan.treatments}
    treated = next(iter(shares), "") if version is None else version
    if treated not in shares:
        known = f"Read one of {', '.join(shares)}." if shares else "Give one a share of the traffic."
        raise DataError(f"The plan has no treatment {treated}".rstrip() + ".", known)
    control = 1 - sum(shares.values())
    if not (shares[treated] > 0 and control > 0):
        raise DataError(
            f"The plan gives the treatment a share of {shares[treated]:g} and the control {max(control, 0):g}.",
            "An experiment needs traffic in both arms.",
        )
    return treated, shares[treated] / (shares[treated] + control)


def _first_labels(ordered: Sequence[Outcome]) -> list[Outcome]:
    """The same outcomes, with the labels of each unit but its first forgotten; without a unit each stands for itself."""
    heard: set[str] = set()
    kept = []
    for row in ordered:
        again = row.unit in heard
        if row.correct is not None and row.unit:
            heard.add(row.unit)
        kept.append(replace(row, correct=None) if again else row)
    return kept


def _sequence(labelled: Sequence[Outcome], share: float, confidence: float) -> tuple[tuple[int, float, float], ...]:
    treated = np.array([row.arm == "treatment" for row in labelled], np.bool_)
    wrong = np.array([not row.correct for row in labelled], np.bool_)
    shown = np.unique(np.linspace(1, len(labelled), min(LONGEST_SEQUENCE, len(labelled))).round().astype(np.int64))
    control_errors = np.cumsum(wrong & ~treated, dtype=np.int64)[shown - 1]
    treatment_errors = np.cumsum(wrong & treated, dtype=np.int64)[shown - 1]
    low, high = confidence_sequence(shown, control_errors, treatment_errors, share, confidence)
    return tuple(zip(shown.tolist(), low.tolist(), high.tolist(), strict=True))


def _arm(version: str, rows: Sequence[Outcome]) -> ArmReading:
    labelled = sum(row.correct is not None for row in rows)
    return ArmReading(version, len(rows), labelled, sum(row.correct is True for row in rows))


def _unit_arms(ordered: Sequence[Outcome]) -> npt.NDArray[np.bool_]:
    """For each unit, in the order of their first outcome, whether it was treated.

    A unit's requests share its arm: counting them one by one would find the busiest user's arm too large.
    """
    units = {row.unit or f"request {place}": row.arm == "treatment" for place, row in enumerate(ordered)}
    return np.array(list(units.values()), np.bool_)


def _accuracy(arm: ArmReading) -> float:
    return arm.correct / arm.labelled


def _decision(low: float, high: float, ratio_p: float) -> Decision:
    if ratio_p < UNPLANNED:
        return "continue"
    if low > 0:
        return "promote"
    return "keep" if high < 0 else "continue"


def _sentence(
    share: float, control: ArmReading, treatment: ArmReading, interval: Interval, ratio_p: float, decision: Decision
) -> str:
    if ratio_p < UNPLANNED:
        return (
            f"The reading is void: {treatment.requests} of {treatment.requests + control.requests} requests went to the "
            f"treatment, where the plan says {share:.0%} of the units (p = {ratio_p:.1g})."
        )
    if not (control.labelled and treatment.labelled):
        return f"No conclusion yet: {control.labelled} labels for the control and {treatment.labelled} for the treatment."
    arms = " against ".join(f"{_accuracy(arm):.1%} of {arm.labelled} for version {arm.version}" for arm in (treatment, control))
    conclusion = {
        "promote": "The treatment is better",
        "keep": "The control is better",
    }.get(decision, "No conclusion yet")
    return (
        f"{conclusion}: {arms}, a difference between {100 * interval.low:+.1f} and {100 * interval.high:+.1f} points "
        f"({interval.confidence:.0%} confidence, valid at every look)."
    )
