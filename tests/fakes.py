"""Fakes and made-up records that tests share. Only append."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
import polars as pl

from demlopment import images
from demlopment.data.tables import check_storable
from demlopment.errors import ArchiveError, DataError
from demlopment.intervals import wilson
from demlopment.lifecycle.story import Fit, Ingested, Sample, Story
from demlopment.records import (
    ArmReading,
    BadRow,
    DriftReport,
    DriftTest,
    Epoch,
    Exhibit,
    Interval,
    Reading,
    Scores,
    Snapshot,
    Verdict,
)


def story(**changes: Any) -> Story:
    """A made-up turn of the loop whose numbers agree with each other. For rendering tests only: nothing was measured."""
    rng = np.random.default_rng(7)
    fits = tuple(_story_fit(rng, *row) for row in STORY_FITS)
    windows = tuple(_story_window(rng, start) for start in range(0, 1200, 100))
    whole = Story(
        started=1_795_518_300.0,
        seconds=141.2,
        classes=tuple("0123456789"),
        snapshots=(
            Snapshot("before the traffic", 2, "5f1d" * 16, 4998, "demlopment-1"),
            Snapshot("after the traffic", 3, "a90c" * 16, 5409, "demlopment-1"),
        ),
        parts={"train": 2310, "validation": 742, "test": 748, "stream": 1198},
        ingests=(
            Ingested("mnist-5k", "3b8e" * 16, 5006, 4998, 2, {"label: outside 0 to 9": 3, "pixels: not 784 bytes": 3}, 6, 6),
            Ingested("feedback", "", 414, 411, 3, {}),
        ),
        fits=fits,
        verdicts=STORY_VERDICTS,
        samples=tuple(_story_sample(rng, i, wrong=i < 4) for i in range(24)),
        drift_samples=tuple(_story_sample(rng, i, wrong=i < 7, slant=9) for i in range(16)),
        reading=_story_reading(),
        windows=windows,
        window_accuracy=STORY_ACCURACY,
        change_at=600,
        requests=1200,
        labelled=414,
        unjournalled=0,
        torn_units=0,
        champion="digits 4.0",
        report_steps=STORY_STEPS,
        quarantine=STORY_QUARANTINE,
    )
    return replace(whole, **changes)


STORY_ACCURACY = (  # first request, labelled, correct
    *((0, 41, 41), (100, 38, 37), (200, 44, 44), (300, 40, 39), (400, 37, 37), (500, 42, 41)),
    *((600, 39, 31), (700, 45, 33), (800, 36, 28), (900, 40, 30), (1000, 0, 0), (1100, 12, 10)),
)
STORY_FITS = (  # title, purpose, training rows, seconds, epochs, share of test rows read correctly
    (
        "digits 1.0",
        "The first model: it learned from 600 digits only, so that there is something to beat.",
        600,
        8.4,
        12,
        0.952,
    ),
    (
        "digits 2.0",
        "A deliberately bad candidate: it learned from inverted pixels, and the gate has to refuse it.",
        2310,
        19.6,
        12,
        0.61,
    ),
    ("digits 3.0", "The candidate that learned from the whole training part.", 2310, 31.8, 30, 0.985),
    ("digits 4.0", "Retrained on the digits that came back after the alarm.", 2721, 35.1, 30, 0.9866),
)
STORY_VERDICTS = (
    Verdict("gate", "promote", "digits 1.0", "", "digits 1.0 opens: at least 93.4 % are right.", {"accuracy": 0.952}),
    Verdict(
        "gate", "refuse", "digits 2.0", "digits 1.0",
        "digits 2.0 makes 256 more errors than digits 1.0 on the same 748 digits, so digits 1.0 stays.",
        {"only_candidate_right": 9, "only_champion_right": 265, "p_value": 1.0, "interval": [-0.379, -0.304]},
    ),
    Verdict(
        "experiment", "promote", "digits 3.0", "digits 1.0",
        "On live traffic digits 3.0 is right more often than digits 1.0, and the whole interval lies above zero.",
        {"effect": 0.0301, "interval": [0.004, 0.057], "labels": 240, "sample_ratio_p": 0.63},
    ),
    Verdict(
        "drift", "retrain", "digits 3.0", "",
        "The window from request 600 does not look like the training data (p = 8 × 10⁻¹⁹), so a new model is due.",
        {"window": 600, "test": "embedding distance", "p_value": 8e-19, "threshold": 0.000125},
    ),
    Verdict(
        "gate", "promote", "digits 4.0", "digits 3.0",
        "digits 4.0 reads 31 more of the 137 new digits correctly than digits 3.0 and is no worse on the old ones.",
        {"p_value": 2.3e-7, "rows": 137, "candidate": {"accuracy": 0.956}, "champion": {"accuracy": 0.73}},
    ),
)  # fmt: skip
STORY_PICTURE = images.encode_png(np.eye(28, dtype=np.uint8) * 255)
STORY_QUARANTINE = (
    Exhibit(
        "label outside 0 to 9", 3,
        tuple(BadRow(label, "mnist-5k", STORY_PICTURE, 784) for label in ("12", "x", "-1")),
    ),
    Exhibit(
        "image is 783 bytes, not 784", 2,
        (BadRow("4", "mnist-5k", None, 783, bytes(8)), BadRow(None, "planted", None, 0)),
    ),
    Exhibit("image missing", 1, (BadRow("4", "mnist-5k", None, None),)),
)  # fmt: skip
STORY_STEPS = (
    ("Ingest", "4,998 digits kept, 6 bad rows quarantined", 1.2),
    ("Split", "four parts by a hash of the pixels", 0.1),
    ("Fit", "digits 1.0, 2.0 and 3.0", 59.8),
    ("Gate", "digits 2.0 refused, digits 3.0 may be tried", 0.3),
    ("Archive", "model, card and checksums in one file", 2.1),
    ("Serve", "two processes on three ports", 3.4),
    ("Traffic", "1,200 requests from 80 users", 18.9),
    ("Experiment", "digits 3.0 wins over digits 1.0", 0.2),
    ("Drift", "alarm 100 requests after the change", 0.6),
    ("Retrain", "digits 4.0 from 2,721 digits", 35.1),
    ("Promote", "digits 4.0 serves", 1.4),
)


def _story_fit(rng: np.random.Generator, title: str, purpose: str, rows: int, seconds: float, epochs: int, right: float) -> Fit:
    n = 748
    labels = rng.integers(0, 10, n)
    said = np.where(np.arange(n) < round(right * n), labels, (labels + rng.integers(1, 10, n)) % 10)
    sure = np.where(said == labels, rng.beta(30, 0.7, n), rng.beta(4, 3, n)).clip(0.3, 0.999)
    probabilities = np.repeat(((1 - sure) / 9)[:, None], 10, axis=1)
    probabilities[np.arange(n), said] = sure
    scores = Scores(
        model=title,
        keys=np.array([f"{i:064x}" for i in range(n)]),
        labels=labels,
        probabilities=probabilities.astype(np.float32),
        log_loss=float(-np.log(probabilities[np.arange(n), labels]).mean()),
        calibration_error=0.011,
    )
    curve = tuple(
        Epoch(
            train_loss=2.2 * np.exp(-0.35 * i) + 0.06,
            validation_loss=2.1 * np.exp(-0.45 * i) + 3 * (1.002 - right),
            validation_accuracy=right - 0.5 * np.exp(-0.6 * i),
        )
        for i in range(epochs)
    )
    own = np.random.default_rng(n)
    sheet = np.stack([[_story_sample(own, digit, wrong=False, slant=pen).image for pen in range(8)] for digit in range(10)])
    surer = scores.probabilities**1.5 / np.sum(scores.probabilities**1.5, axis=1, keepdims=True)
    return Fit(
        title=title,
        purpose=purpose,
        examples=rows,
        seconds=seconds,
        curve=curve,
        scores=scores,
        interval=wilson(int(scores.correct.sum()), n),
        temperature=1.5,
        uncalibrated=replace(scores, probabilities=surer, calibration_error=0.034),
        sheet=sheet,
        mistakes=tuple(_story_sample(own, digit, wrong=True) for digit in range(6)),
    )


def _story_window(rng: np.random.Generator, start: int) -> DriftReport:
    scale = 1.0 if start < 600 else 10.0 ** -(6 + start / 100)
    names = ("stroke weight", "slant", "confidence", "embedding distance")
    tests = tuple(DriftTest(name, float(rng.normal()), float(rng.uniform(0.02, 1)) * scale) for name in names)
    return DriftReport(start, 100, tests, threshold=0.00025, false_alarm_rate=0.001)


def _story_reading() -> Reading:
    sequence = tuple((n, max(-1.0, 0.031 - 0.42 * n**-0.5), min(1.0, 0.031 + 0.42 * n**-0.5)) for n in range(2, 241, 2))
    return Reading(
        control=ArmReading("1.0", 297, 121, 114),
        treatment=ArmReading("3.0", 303, 119, 118),
        effect=0.0495,
        interval=Interval(0.004, 0.058),
        sequence=sequence,
        sample_ratio_p=0.81,
        decision="promote",
        sentence="digits 3.0 is right more often than digits 1.0: by 0.4 to 5.8 points, and zero is not among them.",
    )


def _story_sample(rng: np.random.Generator, number: int, *, wrong: bool, slant: int = 0) -> Sample:
    paper = np.full((120, 100), 255, np.uint8)
    true = number % 10
    cv2.putText(paper, str(true), (25, 95), cv2.FONT_HERSHEY_SIMPLEX, 3.0, 0, 9 + slant)
    said = (true + 5) % 10 if wrong else true
    return Sample(
        images.prepare(paper), str(said), float(rng.uniform(0.45, 0.8) if wrong else rng.uniform(0.9, 0.999)), str(true)
    )


class MemoryStore:
    """A TableStore in memory: every version of every table is kept as a frame."""

    def __init__(self, root: object = "memory") -> None:
        self.root = root
        self.tables: dict[str, list[pl.DataFrame]] = {}
        self.notes: list[Mapping[str, str]] = []
        self.histories: dict[str, list[Mapping[str, object]]] = {}
        self.extended: dict[str, int] = {}  # table -> the version that the last extension made
        self.appended: set[tuple[str, str]] = set()  # (table, batch)
        self._lock = Lock()

    def exists(self, table: str) -> bool:
        return table in self.tables

    def version(self, table: str) -> int | None:
        return len(self.tables[table]) - 1 if table in self.tables else None

    def read(
        self,
        table: str,
        *,
        version: int | None = None,
        columns: Sequence[str | pl.Expr] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        versions = self.tables.get(table, [])
        wanted = len(versions) - 1 if version is None else version
        if not 0 <= wanted < len(versions):
            raise DataError(f"There is no table {table} at version {version}.", "Insert something first.")
        later = [name for name in columns or () if isinstance(name, str) and name not in versions[wanted].columns]
        whole = versions[wanted].with_columns(pl.lit(None, pl.String).alias(name) for name in later)
        found = whole if where is None else whole.filter(where)
        return found.select(list(columns) if columns else pl.all().exclude(later))

    def slices(
        self, table: str, size: int, *, version: int | None = None, columns: Sequence[str | pl.Expr] | None = None
    ) -> Iterator[pl.DataFrame]:
        return self.read(table, version=version, columns=columns).iter_slices(size) if table in self.tables else iter(())

    def extend(self, table: str, frames: Iterable[pl.DataFrame], *, since: int | None, note: Mapping[str, str]) -> bool:
        taken = list(frames)
        for frame in taken:
            check_storable(table, frame)
        with self._lock:
            if not taken:
                return True
            if self.extended.get(table, -1) > (-1 if since is None else since):
                return False
            versions = self.tables.setdefault(table, [taken[0].clear()])
            versions.append(pl.concat([versions[-1], *taken], how="diagonal"))
            self.extended[table] = len(versions) - 1
            self.notes.append(note)
            self.histories.setdefault(table, []).insert(0, {**note, "version": len(versions) - 1})
            return True

    def insert(self, table: str, frame: pl.DataFrame, *, by: Sequence[str], note: Mapping[str, str]) -> int:
        check_storable(table, frame)
        with self._lock:
            versions = self.tables.setdefault(table, [frame.clear()])
            fresh = frame.join(versions[-1], on=list(by), how="anti", maintain_order="left")
            if not fresh.is_empty():
                versions.append(pl.concat([versions[-1], fresh], how="diagonal"))
                self.notes.append(note)
            return len(fresh)

    def amend(self, table: str, frame: pl.DataFrame, *, by: str, note: Mapping[str, str]) -> int:
        if frame.is_empty():
            return 0
        with self._lock:
            versions = self.tables.get(table, [])
            met = frame.join(versions[-1], on=by, how="semi") if versions else frame.clear()
            if not met.is_empty():
                versions.append(versions[-1].update(met, on=by))
                self.notes.append(note)
            return len(met)

    def append(self, table: str, frame: pl.DataFrame, *, batch: str) -> bool:
        check_storable(table, frame)
        with self._lock:
            if (table, batch) in self.appended:
                return False
            versions = self.tables.setdefault(table, [frame.clear()])
            versions.append(pl.concat([versions[-1], frame]))
            self.appended.add((table, batch))
            return True

    def batches(self, table: str, names: Iterable[str]) -> set[str]:
        return {name for name in names if (table, name) in self.appended}

    def history(self, table: str) -> tuple[Mapping[str, object], ...]:
        return tuple(self.histories.get(table, ()))

    def remove(self, table: str, column: str, values: Collection[str], *, note: Mapping[str, str]) -> int:
        with self._lock:
            versions = self.tables.get(table, [])
            kept = [frame.filter(pl.col(column).is_in(sorted(values)).fill_null(value=False).not_()) for frame in versions[-1:]]
            removed = sum(len(frame) for frame in versions[-1:]) - sum(len(frame) for frame in kept)
            if removed:
                versions.extend(kept)
            return removed

    def prune(self, table: str, *, keep: Collection[int], abandoned_hours: int, dry_run: bool = False) -> tuple[str, ...]:
        return ()


def without_runs(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows less the run that added them, which two lakes with the same rows never share."""
    return rows.select(pl.all().exclude("run"))


class ListNarrator:
    """A narrator that remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def begin(self, title: str) -> None:
        self.heard.append(("begin", title))

    def progress(self, done: int, total: int) -> None:
        self.heard.append(("progress", f"{done}/{total}"))

    def end(self, title: str, sentence: str, seconds: float) -> None:
        self.heard.append(("end", f"{title}: {sentence}"))


class MemoryTracker:
    """A Tracker in memory."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.files: dict[str, list[str]] = {}  # run -> names
        self.versions: dict[tuple[str, str], str] = {}  # (name, version) -> run
        self.aliases: dict[tuple[str, str], str] = {}

    def record(
        self,
        title: str,
        parameters: Mapping[str, Any],
        curve: Sequence[Epoch],
        metrics: Mapping[str, float],
        archive: Path | None,
        *,
        commit: str,
        edited: bool | None,
    ) -> str:
        run = f"run-{len(self.runs)}"
        self.runs[run] = title
        return run

    def attach(self, run: str, files: Sequence[Path]) -> None:
        self.files.setdefault(run, []).extend(file.name for file in files)

    def register(self, name: str, version: str, run: str) -> None:
        self.versions[name, version] = run

    def alias(self, name: str, alias: str, version: str) -> None:
        if (name, version) not in self.versions:
            raise ArchiveError(f"{name} {version} is not registered.", "Register it before it gets a name.")
        self.aliases[name, alias] = version

    def champion(self, name: str) -> str | None:
        return self.aliases.get((name, "champion"))

    def run(self, name: str, version: str) -> str | None:
        return self.versions.get((name, version))
