"""What the loop concludes from a snapshot, a reading and windows. Pure: records in, a verdict with its evidence out."""

from collections.abc import Sequence
from dataclasses import asdict

from demlopment.errors import DemlopmentError
from demlopment.monitoring import PairedReading
from demlopment.monitoring.panel import Panel
from demlopment.recall import UNLIKE
from demlopment.records import Check, DriftReport, Reading, Snapshot, TrafficPlan, Verdict


def of_data(snapshot: Snapshot, reference: str, unexpected: Sequence[str], *, stop: bool) -> Verdict:
    """What becomes of a snapshot that is not as expected, compared with the one called `reference` if there is one."""
    reason = f"The snapshot {snapshot.name!r} is not as expected: {'; '.join(unexpected)}."
    evidence = {"unexpected": list(unexpected), "rows": snapshot.rows, "digest": snapshot.digest}
    return Verdict("data", "refuse" if stop else "continue", snapshot.name, reference, reason, evidence)


def of_skew(check: Check, title: str) -> Verdict:
    """That nobody is sent to a version which the endpoint answers for otherwise than the model that was judged."""
    reason = (
        f"The endpoint does not answer as {title} did when it was judged: the logarithms of its probabilities are "
        f"{check.value:.3g} apart ({check.note}), and {check.bound:g} is allowed."
    )
    evidence = {"check": check.name, "apart": check.value, "most": check.bound, "note": check.note}
    return Verdict("serving", "refuse", title, "", reason, evidence)


def of_refused_load(error: DemlopmentError, title: str) -> Verdict:
    """That the endpoint itself does not serve a version, because it would not answer as the model that was judged."""
    return Verdict("serving", "refuse", title, "", error.problem, {"check": UNLIKE})


def of_experiment(reading: Reading, plan: TrafficPlan) -> Verdict:
    """What the experiment says of the treatment; the evidence holds the last point of its sequence, not all of them."""
    evidence = asdict(reading) | {"sequence": reading.sequence[-1:]}
    subject, against = f"{plan.model} {reading.treatment.version}", f"{plan.model} {plan.control}"
    return Verdict("experiment", reading.decision, subject, against, reading.sentence, evidence)


def of_shadow(found: PairedReading, plan: TrafficPlan) -> Verdict:
    """The same of a shadow, which stood beside whoever answered."""
    evidence = asdict(found) | {"sequence": found.sequence[-1:]}
    subject, against = f"{plan.model} {found.version}", f"{plan.model} {plan.control}"
    return Verdict("experiment", found.decision, subject, against, found.sentence, evidence)


def of_panel(title: str, sentence: str, found: Panel) -> Verdict:
    """What one look of all monitors says of a version; damaged answers are a fault of the network, which no label mends."""
    changed = any(each.monitor != "data" for each in found.alarms)
    evidence = {"windows": len(found.windows), "findings": [asdict(each) for each in found.findings]}
    return Verdict("drift", "retrain" if changed else "hold", title, "", sentence, evidence)


def of_drift(windows: Sequence[DriftReport], champion: str) -> Verdict:
    """Whether the traffic still looks like what `champion` was made for: the first alarm asks to retrain it."""
    alarm = next((window for window in windows if window.drifted), None)
    if alarm is None:
        reason = f"None of {len(windows)} windows differs from the reference of {champion}."
        return Verdict("drift", "hold", champion, "", reason, {"windows": len(windows)})
    clearest = min(alarm.tests, key=lambda test: test.p_value)
    reason = (
        f"Requests {alarm.start} to {alarm.start + alarm.examples - 1} differ from the reference of {champion} "
        f"in {clearest.name} (p = {clearest.p_value:.1e}, and the alarm stands at {alarm.threshold:.1e})."
    )
    return Verdict("drift", "retrain", champion, "", reason, asdict(alarm))
