"""What one turn of the loop did, step by step: the record that the report is made of. Knows not how it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demlopment.records import DriftReport, Epoch, Exhibit, Interval, Reading, Scores, Snapshot, Verdict


@dataclass(frozen=True)
class Ingested:
    """One ingest: what came in, what was kept, and why the rest was not."""

    source: str
    sha256: str  # of the source file; "" when the rows came from the journal
    rows: int
    added: int
    known: int  # already in the lake or in quarantine
    quarantined: Mapping[str, int]  # reason -> rows, of this ingest; a row with two reasons counts under both
    rejected: int = 0  # rows that went to quarantine, now or when they were first seen
    planted: int = 0  # bad rows that the demonstration had mixed in


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture with what a model said and what was true."""

    image: npt.NDArray[np.uint8]  # (28, 28)
    said: str
    confidence: float  # 0 to 1
    true: str


@dataclass(frozen=True, eq=False)
class Fit:
    """One network that was fitted in this turn, with how it did on the test part."""

    title: str  # "digits 2.0"
    purpose: str  # one sentence: why it was fitted
    examples: int  # training rows
    seconds: float
    curve: tuple[Epoch, ...]
    scores: Scores
    interval: Interval  # of the accuracy on the test part
    temperature: float  # logits are divided by it
    uncalibrated: Scores  # as the scores, at temperature 1
    sheet: npt.NDArray[np.uint8]  # (classes, 1 + versions, 28, 28): training pictures, each with what augmentation made of it
    mistakes: tuple[Sample, ...]  # of the test part: the most frequent confusions, the surest answers first


@dataclass(frozen=True, eq=False)
class Story:
    """One turn from ingest to the last verdict."""

    started: float  # seconds since 1970
    seconds: float
    classes: tuple[str, ...]
    snapshots: tuple[Snapshot, ...]  # in order: before the traffic, after it
    parts: Mapping[str, int]  # part -> rows, of the first snapshot
    ingests: tuple[Ingested, ...]
    fits: tuple[Fit, ...]  # in order; the last one was retrained on what came back
    verdicts: tuple[Verdict, ...]  # in order
    samples: tuple[Sample, ...]  # from production, wrong answers first
    drift_samples: tuple[Sample, ...]  # from production after the change
    reading: Reading
    windows: tuple[DriftReport, ...]  # in order of time
    window_accuracy: tuple[tuple[int, int, int], ...]  # (first request, labelled, correct) per window
    change_at: int  # index of the first request after the pens changed: known to the simulation, never to the monitors
    requests: int
    labelled: int
    unjournalled: int  # answers that a client has and the journal has not: must be 0
    torn_units: int  # users who met both arms: must be 0
    champion: str  # who serves now, "digits 3.0"
    report_steps: tuple[tuple[str, str, float], ...]  # (step, what it did in one line, seconds)
    quarantine: tuple[Exhibit, ...] = ()  # the most frequent reasons of all that is in quarantine, with a few rows each
