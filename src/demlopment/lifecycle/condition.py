"""What is known of production now: who is champion and since when, what the monitors say, what has come back since.

Composes history, journal, lake and monitors; decides nothing. A monitor that crashes is named, and the others count.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import polars as pl

from demlopment import archive, evaluation, monitoring
from demlopment.archive import Archive
from demlopment.data import Lake, split
from demlopment.errors import ArchiveError, DataError, DemlopmentError
from demlopment.home import Home
from demlopment.lifecycle import observe
from demlopment.lifecycle.compact import DAY_SECONDS
from demlopment.lifecycle.history import Entry, History
from demlopment.lifecycle.observe import Traffic
from demlopment.lifecycle.outlook import RECENT_SECONDS
from demlopment.lifecycle.workshop import MODEL, tracker_of
from demlopment.monitoring import late
from demlopment.monitoring.unlabelled import kept
from demlopment.records import Interval, Prediction, Scores
from demlopment.settings import Settings

T = TypeVar("T")
LONGEST = 300  # characters of what a monitor said when it crashed


@dataclass(frozen=True)
class Gauge:
    """How good a model is, as far as so many answers say it."""

    accuracy: float
    interval: Interval
    answers: int


@dataclass(frozen=True)
class Comparison:
    """The champion's predecessor beside it, on the same labelled pictures."""

    labelled: int
    interval: Interval  # of the predecessor's accuracy minus the champion's, always valid


@dataclass(frozen=True)
class Condition:
    """What is known of production at one moment. None is what nobody can say."""

    at: float  # seconds since 1970
    champion: str  # "digits 3.0"
    fitted: float  # when it was judged, seconds since 1970
    live: float  # since when it is champion
    examined: Gauge  # its accuracy at its examination
    new_labels: int | None  # labelled pictures that its snapshot does not have
    requests_per_day: float
    alarms: tuple[bool, ...] = ()  # of each full window of requests since it is champion, in order of time
    alarm_at: float | None = None  # when the first of them was full
    estimated: Gauge | None = None  # its accuracy on its latest answers, told without labels
    realised: Gauge | None = None  # the same of those that have a label
    predecessor: str = ""  # "digits 2.0", "" where there is none or its archive is gone
    regression: Comparison | None = None
    failed: dict[str, str] = field(default_factory=dict)  # monitors that crashed, by name, with what they said

    @property
    def version(self) -> str:
        """Of the champion."""
        return self.champion.rpartition(" ")[2]


@dataclass(frozen=True, eq=False)
class Reign:
    """The champion, and who was it before."""

    model: Archive
    fitted: float  # seconds since 1970
    live: float
    before: Archive | None  # None where nobody was, or its archive is gone


def gather(home: Home, settings: Settings, now: float) -> Condition:
    """The condition of a home at a time (seconds since 1970), as its journal, lake, model store and history have it.

    Raises DataError where nobody is champion, ArchiveError where its archive is not there or not whole.
    """
    current, lake = reign(home, settings), Lake.of(home, settings.data)
    since = min(current.fitted, current.live, now) - RECENT_SECONDS  # labels come late: also to requests from before the fit
    traffic = observe.journalled(home, MODEL, since)
    return condition(
        current,
        traffic,
        settings,
        now,
        new_labels=lambda: new_labels(lake, current.model, traffic),
        examination=lambda: examination(lake, current.model),
    )


def condition(
    current: Reign,
    traffic: Traffic,
    settings: Settings,
    now: float,
    *,
    new_labels: Callable[[], int],
    examination: Callable[[], Scores],
) -> Condition:
    """What the monitors say of the traffic; `examination` are the scores on rows that the champion did not learn from."""
    model, failed = current.model, dict[str, str]()
    since = [each for each in traffic.predictions if each.at >= current.live]
    recent = [each for each in since if each.version == model.card.version][-settings.retraining.recent :]
    windows = _heard(failed, "drift", lambda: alarms(model, since, settings)) or ()
    first = next((at for at, alarm in windows if alarm), None)
    return Condition(
        at=now,
        champion=model.card.title,
        fitted=current.fitted,
        live=current.live,
        examined=examined(model),
        new_labels=_heard(failed, "new labels", new_labels),
        requests_per_day=requests_per_day(traffic.predictions, now),
        alarms=tuple(alarm for _, alarm in windows),
        alarm_at=first,
        estimated=_heard(failed, "estimated accuracy", lambda: estimated(model, recent, examination)),
        realised=_heard(failed, "realised accuracy", lambda: realised(model, recent, traffic)),
        predecessor="" if current.before is None else current.before.card.title,
        regression=_heard(failed, "predecessor", lambda: regression(current.before, recent, traffic)),
        failed=failed,
    )


def reign(home: Home, settings: Settings) -> Reign:
    """Who is champion, from the tracker and the history. Raises as `gather`."""
    version = tracker_of(home, settings.training).champion(MODEL)
    if version is None:
        raise DataError(f"Nobody is champion in {home.root}.", "Fit the first one: demlopment train.")
    path = archive.named(home.models, MODEL, version)
    model = archive.read(path)
    # Of the same title there is one gate verdict at most; a home that was copied without its history has the file's time.
    ours = [each for each in History(home.history).entries() if _promotes(each, model.card.title)]
    fitted = next((each.at for each in ours if each.verdict.kind == "gate"), path.stat().st_mtime)
    live = ours[-1].at if ours else fitted
    former = next((each.verdict.against for each in reversed(ours) if each.verdict.against), "")
    return Reign(model, fitted, live, _stored(home, former))


def alarms(model: Archive, since: Sequence[Prediction], settings: Settings) -> tuple[tuple[float, bool], ...]:
    """For each full window of requests since the model is champion when it was full, and whether it raises an alarm."""
    rules, traffic = settings.monitoring, Traffic(since, (), {})
    reports = observe.drift(traffic, model, rules)
    return tuple((since[each.start + each.examples - 1].at, each.drifted) for each in reports)


def estimated(model: Archive, recent: Sequence[Prediction], examination: Callable[[], Scores]) -> Gauge | None:
    """The accuracy of the latest answers as their confidence tells it; None where no answer has probabilities.

    How far that can be trusted stands in the archive's profile; one of an earlier release is examined anew.
    """
    answers = [each.probabilities for each in recent if len(each.probabilities)]
    if not answers:
        return None
    found = monitoring.estimated(np.stack(answers), kept(model.reference) or monitoring.trust(examination()))
    return Gauge(found.accuracy, found.interval, found.answers)


def realised(model: Archive, recent: Sequence[Prediction], traffic: Traffic) -> Gauge | None:
    """The accuracy of the latest answers, from those that have a label, corrected for which these are; None where none has."""
    places = {name: place for place, name in enumerate(model.card.classes)}
    answers = [each for each in recent if len(each.probabilities) and each.label in places]
    right = [float(each.label == traffic.truth.get(each.request_id)) for each in answers]
    known = [each.request_id in traffic.truth for each in answers]
    if not any(known):
        return None
    found = late.realised(
        np.array([each.at for each in answers]),
        np.array([each.probabilities.max() for each in answers], np.float64),
        np.array([places[each.label] for each in answers]),
        np.where(known, right, np.nan),
    )
    return Gauge(found.corrected, found.interval, found.labelled)


def regression(before: Archive | None, recent: Sequence[Prediction], traffic: Traffic) -> Comparison | None:
    """The predecessor on the pictures of the latest answers that have a label, as if it had been their shadow."""
    seen = [(each, each.image) for each in recent if each.request_id in traffic.truth and each.image is not None]
    if before is None or not seen:
        return None
    said = evaluation.reader(before)(np.stack([image for _, image in seen])).argmax(axis=1)
    pairs = [
        monitoring.Pair(
            told=each.label == traffic.truth[each.request_id],
            shadow=before.card.classes[answer] == traffic.truth[each.request_id],
            at=each.at,
            unit=each.unit,
        )
        for (each, _), answer in zip(seen, said.tolist(), strict=True)
    ]
    found = monitoring.paired(before.card.version, pairs)
    return Comparison(found.labelled, found.interval)


def requests_per_day(predictions: Sequence[Prediction], now: float) -> float:
    """Of the last two weeks, or since the first request; one that the clock puts after `now` was made just now.

    A day is the least that is looked back: the first hour says little of the rest.
    """
    recent = [each.at for each in predictions if each.at >= now - RECENT_SECONDS]
    days = max(1.0, (now - recent[0]) / DAY_SECONDS) if recent else 1.0
    return len(recent) / days


def new_labels(lake: Lake, model: Archive, traffic: Traffic) -> int:
    """How many labelled pictures, in the lake or still in the journal, the champion's snapshot does not have."""
    known = lake.rows(lake.rest(str(model.card.lineage["snapshot"])), ("key", "label", "source"))["key"]
    came = lake.now(pl.lit(True), ("key",))["key"]  # noqa: FBT003  polars' way to say "all"
    back = {each.digest for each in traffic.predictions if each.request_id in traffic.truth and each.image is not None}
    return len((back | set(came)) - set(known))


def examination(lake: Lake, model: Archive) -> Scores:
    """The model's scores on the test part of the snapshot that it learned from."""
    snapshot = lake.rest(str(model.card.lineage["snapshot"]))
    return evaluation.evaluate_archive(model, split(lake.load(snapshot), snapshot.salt).test, lake.classes)


def examined(model: Archive) -> Gauge:
    """What the card says of the accuracy on the test part."""
    scores = model.card.scores
    between = Interval(float(scores["accuracy_low"]), float(scores["accuracy_high"]))
    return Gauge(float(scores["accuracy"]), between, int(scores["test_rows"]))


def _promotes(entry: Entry, title: str) -> bool:
    return entry.verdict.decision == "promote" and entry.verdict.subject == title


def _stored(home: Home, title: str) -> Archive | None:
    """The archive of a version, None where it is gone or broken: then nobody can go back to it."""
    if not title:
        return None
    try:
        return archive.read(archive.named(home.models, *title.split(" ", 1)))
    except ArchiveError:
        return None


def _heard(failed: dict[str, str], name: str, monitor: Callable[[], T]) -> T | None:
    """What a monitor says; one that crashes says nothing, and is named."""
    try:
        return monitor()
    except Exception as error:  # noqa: BLE001  whatever is wrong with one monitor must not silence the others
        said = error.problem if isinstance(error, DemlopmentError) else f"{type(error).__name__}: {error}"
        failed[name] = said[:LONGEST]
        return None
