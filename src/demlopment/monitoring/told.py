"""What each monitor says of a version's production: a value, its interval and threshold, and a sentence. Knows no budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.intervals import wilson
from demlopment.monitoring.adwin import Adwin
from demlopment.monitoring.evidence import Evidence
from demlopment.monitoring.late import realised
from demlopment.monitoring.mix import class_mix
from demlopment.monitoring.promise import error_alarm
from demlopment.monitoring.reference import check_format, known_powers, taught
from demlopment.monitoring.strangers import USUAL
from demlopment.monitoring.unlabelled import estimated, kept
from demlopment.records import DriftReport, Interval

RECENT = 1000  # answers by which the present is told: a share of them is known to three points
HEARD = 20_000  # the newest labels among which a change is placed: a sixth of a second
OLD = "The profile is of an earlier release and does not know this: train the model again."


@dataclass(frozen=True)
class Finding:
    """What one monitor says."""

    monitor: str
    sentence: str  # in plain words
    value: float | None = None  # shares 0 to 1, or as the sentence says
    interval: Interval | None = None
    threshold: float | None = None  # of an alarm, on the scale of the value or of the interval
    alarm: bool = False
    broken: bool = False  # it could not be looked at; the sentence says why


def of_windows(windows: Sequence[DriftReport]) -> Finding:
    """Whether any of the windows differs from the reference; the value is the smallest p-value."""
    tests = [(test.p_value, test.name, window) for window in windows for test in window.tests]
    if not tests:
        return Finding("drift", f"{len(windows)} new windows, of which nothing could be compared.")
    chance, name, window = min(tests, key=lambda each: each[0] / each[2].threshold)
    alarms = sum(each.drifted for each in windows)
    said = f"{alarms} of {len(windows)} new windows differ from the reference, most in {name} (p = {chance:.1e})."
    return Finding("drift", said, chance, threshold=window.threshold, alarm=alarms > 0)


def outside(reference: Mapping[str, Any], evidence: Evidence) -> Finding:
    """Of the newest answers, how many are like no class; whether they are too many is for the windows' tests to say."""
    check_format(reference)
    known, rows = taught(reference), _compared(evidence)[-RECENT:]
    if known is None:
        return Finding("no class", OLD)
    if not len(rows):
        return Finding("no class", "Nothing was answered.")
    strange = int((evidence.stretch.strange[rows] > np.quantile(known.strangeness, USUAL, method="higher")).sum())
    share = strange / len(rows)
    said = f"{share:.1%} of the newest {len(rows)} answers are stranger than {USUAL:.0%} of those to digits that were held out."
    return Finding("no class", said, share, wilson(strange, len(rows)))


def classes(reference: Mapping[str, Any], evidence: Evidence) -> Finding:
    """What share each class has among the newest answers; the value is the largest difference from the reference."""
    check_format(reference)
    old, rows = known_powers(reference), _compared(evidence)[-RECENT:]
    if old is None:
        return Finding("mix of classes", OLD)
    if not len(rows):
        return Finding("mix of classes", "Nothing was answered.")
    found = class_mix(_shares(evidence.stretch.powers[rows]), _shares(old))
    apart = np.abs(found.shares - found.usual)
    most = int(apart.argmax())
    shown = ", ".join(f"{share:.0%}" for share in found.shares)
    said = (
        f"The classes have the shares {shown}; the class at place {most} has {found.shares[most]:.1%} "
        f"({found.low[most]:.1%} to {found.high[most]:.1%}) and had {found.usual[most]:.1%}."
    )
    return Finding("mix of classes", said, float(apart[most]))


def estimate(reference: Mapping[str, Any], evidence: Evidence, promised: float | None, rate: float | None) -> Finding:
    """How many of the newest answers are right, as their confidences say; an alarm where that is certainly less than promised.

    `rate` is how often that may be said for nothing; None where there is nothing new to say it of.
    """
    check_format(reference)
    learnt, rows = kept(reference), _ours(evidence)[-RECENT:]
    if learnt is None:
        return Finding("estimated accuracy", OLD)
    if not len(rows):
        return Finding("estimated accuracy", "Nothing was answered.")
    answers = _sure(evidence.stretch.confidence[rows])
    found = estimated(answers, learnt)
    said = f"About {found.accuracy:.1%} of the newest {len(rows)} answers are right, told without labels."
    if promised is None or rate is None:
        return Finding("estimated accuracy", said, found.accuracy, found.interval)
    certain = estimated(answers, learnt, confidence=1 - 2 * rate).interval
    alarm = certain.high < 1 - promised
    return Finding("estimated accuracy", said, found.accuracy, found.interval, 1 - promised, alarm)


def of_accuracy(evidence: Evidence) -> Finding:
    """The accuracy of the newest answers for which labels came, corrected for which those are."""
    rows = _ours(evidence)
    labelled = np.flatnonzero(np.isfinite(evidence.right[rows]))
    if not len(labelled):
        return Finding("realised accuracy", "No label has come back.")
    part = rows[labelled[-RECENT:][0] : labelled[-1] + 1]
    stretch = evidence.stretch
    told = stretch.told[part].astype(np.int64)
    found = realised(stretch.at[part], stretch.confidence[part].astype(np.float64), told, evidence.right[part])
    said = (
        f"{found.corrected:.1%} of {found.answers} answers were right, by {found.labelled} labels; "
        f"{found.plain:.1%} if labels came alike for all."
    )
    return Finding("realised accuracy", said, found.corrected, found.interval)


def promised_errors(evidence: Evidence, promised: float, rate: float) -> Finding:
    """Whether labels say that more answers are wrong than were promised, at that many false alarms per label."""
    wrong = _wrong(evidence)
    found = error_alarm(wrong, promised, rate)
    if not found.labels:
        return Finding("errors", "No label has come back.", threshold=found.limit)
    state = f"First at label {found.first + 1}" if found.first is not None else "Nothing"
    said = (
        f"{state} says that more than the promised {promised:.1%} are wrong; {wrong.mean():.1%} of {found.labels} labels are."
    )
    return Finding("errors", said, found.wealth, threshold=found.limit, alarm=found.alarmed)


def changes_of_errors(evidence: Evidence) -> Finding:
    """Since which label the share of errors is what it is now."""
    wrong, window = _wrong(evidence)[-HEARD:], Adwin()
    if not len(wrong):
        return Finding("changes of errors", "No label has come back.")
    cuts = sum([window.see(float(each)) for each in wrong.tolist()])
    said = f"{window.mean:.1%} of the newest {window.width} labels are wrong; before that it was otherwise."
    if not cuts:
        said = f"{window.mean:.1%} of {window.width} labels are wrong, all along."
    return Finding("changes of errors", said, window.mean)


def soundness(evidence: Evidence) -> Finding:
    """Whether the answers and labels are whole; the value is the share of answers that are damaged or dated later than now."""
    stretch, n = evidence.stretch, max(1, len(evidence))
    damaged, unseen = int(stretch.damaged.sum()), int((~stretch.shown).sum())
    odd = (
        (damaged, "answers hold NaN or infinity"),
        (unseen, "answers were kept without their picture"),
        (evidence.repeated, "rows stood twice in the journal and count once"),
        (evidence.stray, "labels belong to no answer that is here"),
        (evidence.otherwise, "answers are of versions that read other columns, and are passed over"),
        (evidence.ahead, "answers are dated later than now, so a clock is wrong, and they wait for their time"),
    )
    said = "; ".join(f"{count} {what}" for count, what in odd if count) or "All answers and labels are whole"
    wrong = damaged + evidence.ahead
    return Finding("data", f"{said}.", wrong / n, threshold=0.0, alarm=wrong > 0)


def _ours(evidence: Evidence) -> npt.NDArray[np.int64]:
    return np.flatnonzero(evidence.stretch.ours)


def _compared(evidence: Evidence) -> npt.NDArray[np.int64]:
    return np.flatnonzero(evidence.stretch.ours & evidence.stretch.compared)


def _wrong(evidence: Evidence) -> npt.NDArray[np.bool_]:
    """In the order in which the labels were heard."""
    known = np.flatnonzero(~np.isnan(evidence.right))
    order = known[np.argsort(evidence.heard[known], kind="stable")]
    return np.asarray(evidence.right[order] == 0, np.bool_)


def _shares(powers: npt.NDArray[np.float16]) -> npt.NDArray[np.float64]:
    shares = np.exp(powers.astype(np.float64))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float64)


def _sure(confidence: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """All that an estimate asks of an answer, as its only class."""
    return confidence[:, None]
