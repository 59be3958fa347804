"""Which arm is better, and may we say so yet? Intervals that stay true however often one looks.

Knows outcomes and the traffic plan; changes no traffic and stores nothing.

Every outcome that counts becomes one number whose mean is the effect: a loss in the treatment counts -1 / share, one in the
control 1 / (1 - share), no loss 0 (inverse propensity). Losses are rare, so this varies little. How its mean is bounded stands
in betting.py.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from demlopment import betting
from demlopment.betting import Bound, Count
from demlopment.errors import DataError
from demlopment.monitoring import checks
from demlopment.monitoring.grid import Places, places
from demlopment.monitoring.metrics import ACCURACY, Metric
from demlopment.monitoring.outcomes import Counted, Outcome, counted, first_labels, of_both
from demlopment.monitoring.ratio import UNPLANNED, sample_ratio, unit_arms
from demlopment.monitoring.sequence import last, sequence
from demlopment.monitoring.terms import Terms, breaches, decide, side_effect
from demlopment.records import Arm, ArmReading, Decision, Interval, Reading, Returns, SideEffect, TrafficPlan

ACCURATE = Terms()
LEAST_SHARE = 2.0**-48  # of the points that units have: less is nobody


def read(
    plan: TrafficPlan,
    outcomes: Sequence[Outcome],
    *,
    version: str | None = None,
    terms: Terms = ACCURATE,
    now: float | None = None,
) -> Reading:
    """The experiment as it stands: what the treatment loses less than the control, in the order of labels.

    Interval   always valid: it may be read after every label and acted on at once. It assumes that the plan's arms are
               drawn at random for each unit and that labels come back as often from one as from the other.
    Labels     the first one of each unit counts. A unit keeps its arm, so its later labels are no new draw, and counting
               them would miss far more often than stated (a few busy users: in nearly half of all experiments).
    Split      units per arm against their planned shares, always valid as well; below 0.001 it voids the reading. So does
               the split of the units that have a label: labels then do not come back alike (checks.py).
    Decision   "continue" if void. "keep" if the interval is wholly below 0, or a side effect is certainly beyond its limit;
               "promote" if wholly above; "stop" if wholly within the minimum effect; else "continue".
    Effect     the difference of what both arms lose in the mean; 0 while one arm has no outcome, and then nothing is known.
    Treatment  the one of that `version`, the plan's first if None; of several each is read against the control by itself.
    Now        seconds since 1970; None is when the last outcome came.
    Outcomes of versions that the plan does not name for their arm, and of its other treatments, are passed over.
    Raises     DataError if the plan leaves one arm without traffic, or has no such treatment.
    """
    treated, share = _treatment(plan, version)
    named: dict[Arm, str] = {"control": plan.control, "treatment": treated}
    ours = sorted((row for row in outcomes if row.version == named[row.arm]), key=lambda row: row.at)
    ordered, metric, confidence = first_labels(ours), terms.metric, terms.confidence
    arms = {arm: _arm(version, [row for row in ordered if row.arm == arm]) for arm, version in named.items()}
    known = counted(ours, metric)
    found, of = _places(of_both(known), share, metric), values(share, metric)
    points = sequence(found, of, confidence, metric.scale)
    interval = Interval(*last(points, metric.scale), confidence)
    sides = tuple(_side(each, limit, of_both(counted(ours, each)), share, confidence) for each, limit in terms.limits)
    met = unit_arms(sorted(ours, key=lambda row: row.came))  # not in the order of labels: they may be slower in one arm
    ratio_p = sample_ratio(met, share)
    returned = checks.returns(ours, share, now)
    void = _askew(met, share, ratio_p) or (_unlike(returned) if metric.labelled else "")
    decision = "continue" if void else decide(interval, terms, sides)
    return Reading(
        control=arms["control"],
        treatment=arms["treatment"],
        effect=_effect(known, metric),
        interval=interval,
        sequence=points,
        sample_ratio_p=ratio_p,
        decision=decision,
        sentence=void or _sentence(arms, known, interval, terms, sides, decision),
        metric=metric.name,
        minimum_effect=terms.minimum_effect,
        sides=sides,
        novelty=checks.novelty(found, of, metric, confidence),
        returns=returned,
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


def values(share: float, metric: Metric = ACCURACY) -> tuple[float, ...]:
    """What no loss counts, then each loss of the control, then each of the treatment; of accuracy there is one, an error.

    >>> values(0.5)
    (0.0, 2.0, -2.0)
    """
    losses = metric.losses[1:]
    return (0.0, *(loss / (1 - share) for loss in losses), *(-loss / share for loss in losses))


def _places(known: Sequence[Counted], share: float, metric: Metric) -> Places:
    """Which of the values each outcome has."""
    numbers = [-each.loss / share if each.treated else each.loss / (1 - share) for each in known]
    return places(np.array(numbers, np.float64), values(share, metric))


def _means(known: Sequence[Counted], metric: Metric) -> dict[bool, tuple[int, float]]:
    """Whether treated -> outcomes, and what they lose in the mean, in the metric's unit."""
    found = {}
    for treated in (False, True):
        losses = [each.loss for each in known if each.treated == treated]
        found[treated] = len(losses), metric.scale * sum(losses) / max(1, len(losses))
    return found


def _effect(known: Sequence[Counted], metric: Metric) -> float:
    means = _means(known, metric)
    return means[False][1] - means[True][1] if all(count for count, _ in means.values()) else 0.0


def _side(metric: Metric, limit: float, known: Sequence[Counted], share: float, confidence: float) -> SideEffect:
    return side_effect(metric, limit, _places(known, share, metric), values(share, metric), _effect(known, metric), confidence)


def _treatment(plan: TrafficPlan, version: str | None) -> tuple[str, float]:
    """The treatment that is read, and its share of the units that met it or the control."""
    shares = {each.version: each.share for each in plan.treatments}
    treated = next(iter(shares), "") if version is None else version
    if treated not in shares:
        known = f"Read one of {', '.join(shares)}." if shares else "Give one a share of the traffic."
        raise DataError(f"The plan has no treatment {treated}".rstrip() + ".", known)
    control = 1 - sum(shares.values())
    if not min(shares[treated], control) >= LEAST_SHARE:
        raise DataError(
            f"The plan gives the treatment a share of {shares[treated]:g} and the control {max(control, 0):g}.",
            "An experiment needs traffic in both arms.",
        )
    return treated, shares[treated] / (shares[treated] + control)


def _arm(version: str, rows: Sequence[Outcome]) -> ArmReading:
    labelled = sum(row.correct is not None for row in rows)
    return ArmReading(version, len(rows), labelled, sum(row.correct is True for row in rows))


def _askew(met: npt.NDArray[np.bool_], share: float, ratio_p: float) -> str:
    """Why the split voids the reading, or nothing."""
    if ratio_p >= UNPLANNED:
        return ""
    return (
        f"The reading is void: {np.count_nonzero(met)} of {len(met)} units met the treatment, where the plan says {share:.0%} "
        f"of them (p = {ratio_p:.1g} at the look that shows it most)."
    )


def _unlike(returned: Returns) -> str:
    """Why the labels that are missing void the reading, or nothing."""
    if returned.ratio_p >= UNPLANNED:
        return ""
    return (
        f"The reading is void: labels came back for {returned.treatment_share:.0%} of the treatment's units and for "
        f"{returned.control_share:.0%} of the control's (p = {returned.ratio_p:.1g})."
    )


def _sentence(
    arms: dict[Arm, ArmReading],
    known: Sequence[Counted],
    interval: Interval,
    terms: Terms,
    sides: Sequence[SideEffect],
    decision: Decision,
) -> str:
    metric, means, worse = terms.metric, _means(known, terms.metric), breaches(sides)
    control, treatment = arms["control"], arms["treatment"]
    if not all(count for count, _ in means.values()) and not worse:
        return _nothing(arms, {"control": means[False][0], "treatment": means[True][0]}, metric)
    both = [(means[True], treatment.version), (means[False], control.version)]
    said = " against ".join(f"{metric.mean(loss)} of {count} for version {version}" for (count, loss), version in both)
    conclusion = {
        "promote": "The treatment is better",
        "keep": f"The treatment must not be promoted, for {worse}" if worse else "The control is better",
        "stop": f"No effect of interest ({metric.factor * terms.minimum_effect:g} {metric.unit})",
    }.get(decision, "No conclusion yet")
    return (
        f"{conclusion}: {said}, a difference {metric.between(interval.low, interval.high)} "
        f"({interval.confidence:.0%} confidence, valid at every look)."
    )


def _nothing(arms: dict[Arm, ArmReading], known: dict[Arm, int], metric: Metric) -> str:
    """Why there is no conclusion where an arm has no outcome: it has no answers yet, or they do not say."""
    for arm, count in known.items():
        answers = arms[arm].labelled if metric.labelled else arms[arm].requests
        if answers and not count:
            lacking = f"the {metric.called} of version {arms[arm].version}"
            return f"No conclusion: none of the {arm}'s {answers} {metric.counts} tells {lacking}."
    return f"No conclusion yet: {known['control']} {metric.counts} for the control and {known['treatment']} for the treatment."
