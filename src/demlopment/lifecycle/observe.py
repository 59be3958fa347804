"""Read what the endpoint journalled and hand it to the monitors. Composes the journal, the lake and the monitoring room."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from demlopment import monitoring, serving
from demlopment.archive import Archive, Card
from demlopment.data import Answers
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.images import SIDE
from demlopment.lifecycle.compact import everything
from demlopment.lifecycle.judging import Judging
from demlopment.lifecycle.store import otherwise
from demlopment.lifecycle.story import Sample
from demlopment.monitoring import PairedReading
from demlopment.monitoring.late import periods
from demlopment.records import DriftReport, Feedback, Prediction, Reading, TrafficPlan
from demlopment.serving import state
from demlopment.settings import Monitoring

SAMPLES = 24  # pictures in the report
PLAINLY = Judging()


@dataclass(frozen=True, eq=False)
class Traffic:
    """One stretch of production as the journal holds it, in the order of time, and the truth where it has come back."""

    predictions: Sequence[Prediction]
    feedback: Sequence[Feedback]
    truth: Mapping[str, str]  # request id -> label, the last one said
    shadows: Sequence[Prediction] = ()  # what other versions would have answered to the same requests


def registered(home: Home, model: str) -> state.Model | None:
    """The versions and the plan of a model, as the endpoint of a home wrote them down; None where it serves no such model."""
    return state.load(state.path(home)).models.get(model)


def plan(home: Home, model: str) -> TrafficPlan:
    """The traffic plan in force. Raises DataError for a model without one."""
    found = registered(home, model)
    if found is None or found.plan is None:
        raise DataError(f"Model {model} of {home.root} has no traffic plan.", "Begin one: demlopment traffic split.")
    return found.plan


def journalled(home: Home, model: str, since: float) -> Traffic:
    """What the journal, and the lake that took over its older files, hold of one model since a time (seconds since 1970)."""
    recorded = everything(home, Answers(home.lake), since)
    ours = [prediction for prediction in recorded.predictions if prediction.model == model]
    shadows = [prediction for prediction in recorded.shadows if prediction.model == model]
    return Traffic(ours, recorded.feedback, serving.join(ours, recorded.feedback).labels, shadows)


def reading(
    plan: TrafficPlan,
    traffic: Traffic,
    version: str | None = None,
    *,
    judging: Judging = PLAINLY,
    now: float | None = None,
) -> Reading:
    """The experiment as the labels stand, of a treatment or of the first. Requests that named a version were in no arm."""
    came_at = {said.request_id: said.at for said in traffic.feedback}
    outcomes = [
        monitoring.Outcome(
            arm=prediction.arm,
            version=prediction.version,
            correct=None if label is None else label == prediction.label,
            at=prediction.at if label is None else came_at[prediction.request_id],
            unit=prediction.unit,
            asked=prediction.at,
            recorded=judging.recorded(prediction, label),
        )
        for prediction in traffic.predictions
        if prediction.arm != "direct"
        for label in [traffic.truth.get(prediction.request_id)]
    ]
    return monitoring.read(plan, outcomes, version=version, terms=judging.terms, now=now)


def shadowed(version: str, traffic: Traffic, *, judging: Judging = PLAINLY) -> PairedReading:
    """A shadow beside what clients were told, on the same requests."""
    came_at = {said.request_id: said.at for said in traffic.feedback}
    told = {prediction.request_id: prediction for prediction in traffic.predictions}
    pairs = [
        monitoring.Pair(
            told=None if label is None else heard.label == label,
            shadow=None if label is None else shadow.label == label,
            at=heard.at if label is None else came_at[heard.request_id],
            unit=shadow.unit,
            asked=heard.at,
            told_recorded=judging.recorded(heard, label),
            shadow_recorded=judging.recorded(shadow._replace(image=heard.image), label),
        )
        for shadow in traffic.shadows
        if shadow.version == version and shadow.request_id in told
        for heard, label in [(told[shadow.request_id], traffic.truth.get(shadow.request_id))]
    ]
    return monitoring.paired(version, pairs, terms=judging.terms)


def alike(home: Home, traffic: Traffic, card: Card) -> Traffic:
    """The same without answers of versions that read other columns than this one: what they were shown is not compared."""
    other, shape = otherwise(home, card), (len(card.columns),) if card.columns else (SIDE, SIDE)
    fit = [each for each in traffic.predictions if each.image is None or each.image.shape == shape]
    return replace(traffic, predictions=[each for each in fit if each.version not in other])


def drift(traffic: Traffic, model: Archive, rules: Monitoring) -> tuple[DriftReport, ...]:
    """Every full window of the traffic, of versions that read `alike`, against the reference of one model."""
    rate, version = rules.false_alarm_rate, model.card.version
    return tuple(
        monitoring.drift(model.reference, window, start=start, false_alarm_rate=rate, version=version)
        for start, window in windows(traffic.predictions, rules)
    )


def windows(predictions: Sequence[Prediction], rules: Monitoring) -> Iterator[tuple[int, Sequence[Prediction]]]:
    """Each full one with the index of its first prediction: of so many answers, or as long as the settings say."""
    if not rules.window_seconds:
        yield from monitoring.windows(predictions, rules.window)
        return
    for part in periods(np.array([each.at for each in predictions]), rules.window_seconds):
        yield part.start, predictions[part]


def window_accuracy(traffic: Traffic, rules: Monitoring) -> tuple[tuple[int, int, int], ...]:
    """(first request, labelled, correct) for every full window."""
    found = (
        (start, monitoring.accuracy(window, traffic.truth, len(window))[0])
        for start, window in windows(traffic.predictions, rules)
    )
    return tuple((start, window.labelled, window.correct) for start, window in found)


def samples(traffic: Traffic, version: str, since: int = 0) -> tuple[Sample, ...]:
    """Labelled pictures that one version answered from request `since` on, as far as they were kept, wrong answers first."""
    shown = [
        Sample(
            prediction.image,
            prediction.label,
            float(prediction.probabilities.max(initial=0.0)),
            traffic.truth[prediction.request_id],
        )
        for prediction in traffic.predictions[since:]
        if prediction.version == version and prediction.request_id in traffic.truth and prediction.image is not None
    ]
    return tuple(sorted(shown, key=lambda sample: sample.said == sample.true)[:SAMPLES])
