"""Every acknowledged prediction and every label that came back, on disk before the client has its answer.

One SQLite file per serving process and life, in WAL mode: what a committed transaction wrote is in the kernel's hands,
so `kill -9` of any process loses nothing. Knows nothing of HTTP, models or the lake.
"""

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from demlopment import home
from demlopment.errors import DataError, NotReadyError
from demlopment.images import SIDE
from demlopment.records import Feedback, Prediction

ENDING = ".sqlite"
TABLES = """
BEGIN;
CREATE TABLE IF NOT EXISTS predictions (
    request_id TEXT NOT NULL, at REAL NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL, arm TEXT NOT NULL,
    unit TEXT NOT NULL, image BLOB NOT NULL, label TEXT NOT NULL, probabilities BLOB NOT NULL, embedding BLOB NOT NULL,
    latency_ms REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS feedback (request_id TEXT NOT NULL, at REAL NOT NULL, label TEXT NOT NULL);
COMMIT;
"""


class Journal:
    """One process writes here; anybody may `read` meanwhile."""

    def __init__(self, folder: Path, *, name: str) -> None:
        self.failing = False  # the last write was refused, so health says no
        with home.explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        # Two lives of one process id differ by their start in nanoseconds.
        path = folder / f"{time.time_ns()}-{name}{ENDING}"
        try:
            self._file = sqlite3.connect(path, isolation_level=None, timeout=5)
            self._file.execute("PRAGMA journal_mode = WAL")
            # NORMAL leaves the disk's cache unflushed between checkpoints: a power cut may lose the last answers, a crash none.
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.executescript(TABLES)
        except sqlite3.Error as error:
            raise NotReadyError(f"The journal {path} cannot be started: {error}.", "See to the disk that holds it.") from error

    def record(self, predictions: Sequence[Prediction] = (), feedback: Sequence[Feedback] = ()) -> None:
        """Write all of it in one transaction, or none. Raises NotReadyError if the disk is full or failing."""
        try:
            self._file.execute("BEGIN")
            self._file.executemany("INSERT INTO predictions VALUES (?,?,?,?,?,?,?,?,?,?,?)", map(_row, predictions))
            self._file.executemany(
                "INSERT INTO feedback VALUES (?,?,?)", [(each.request_id, each.at, each.label) for each in feedback]
            )
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            self.failing = True
            raise NotReadyError(f"The journal cannot be written: {error}.", "Try again when the disk has room.") from error
        self.failing = False

    def probe(self) -> None:
        """Try a write that leaves nothing, so that a disk which has room again is noticed without traffic."""
        with contextlib.suppress(sqlite3.Error):
            ((times,),) = self._file.execute("PRAGMA user_version").fetchall()
            self._file.execute(f"PRAGMA user_version = {times + 1}")
            self.failing = False

    def close(self) -> None:
        """Fold the write-ahead file into the database and let go of it."""
        self._file.close()


@dataclass(frozen=True)
class Joined:
    """The labels that found their predictions."""

    labels: Mapping[str, str]  # request id -> label; the last feedback by time wins
    unknown: int  # feedback whose request id is in no prediction, or in more than one


def read(folder: Path, since: float = 0.0) -> tuple[list[Prediction], list[Feedback]]:
    """Everything recorded at or after `since` (seconds since 1970), in order of time.

    Reads files that are being written and what a killed process left. Raises DataError naming a file that is damaged.
    """
    predictions: list[Prediction] = []
    feedback: list[Feedback] = []
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            rows, labels = _rows(path, since)
        except (sqlite3.Error, ValueError, TypeError) as error:  # the file, or what stands in one of its rows
            raise DataError(f"The journal {path} is damaged: {error}.", "Move it out of the folder and read again.") from error
        predictions += rows
        feedback += labels
    predictions.sort(key=lambda each: each.at)
    feedback.sort(key=lambda each: each.at)
    return predictions, feedback


def join(predictions: Iterable[Prediction], feedback: Iterable[Feedback]) -> Joined:
    """Which label each prediction turned out to have, however late, repeated or out of order the labels came."""
    asked = Counter(prediction.request_id for prediction in predictions)
    # Clients may choose their ids. Of one that was used twice nobody can say which picture the label is about.
    known = {request_id for request_id, times in asked.items() if times == 1}
    labels: dict[str, str] = {}
    unknown = 0
    for each in sorted(feedback, key=lambda each: each.at):
        if each.request_id in known:
            labels[each.request_id] = each.label
        else:
            unknown += 1
    return Joined(labels, unknown)


def _row(prediction: Prediction) -> tuple[object, ...]:
    return (
        prediction.request_id,
        prediction.at,
        prediction.model,
        prediction.version,
        prediction.arm,
        prediction.unit,
        prediction.image.tobytes(),
        prediction.label,
        prediction.probabilities.tobytes(),
        prediction.embedding.tobytes(),
        prediction.latency_ms,
    )


def _rows(path: Path, since: float) -> tuple[list[Prediction], list[Feedback]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as file:
        tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "feedback" not in tables:  # its process died before the first transaction was complete
            return [], []
        predictions = file.execute("SELECT * FROM predictions WHERE at >= ? ORDER BY rowid", (since,)).fetchall()
        feedback = file.execute("SELECT * FROM feedback WHERE at >= ? ORDER BY rowid", (since,)).fetchall()
    return [_prediction(*row) for row in predictions], [Feedback(*row) for row in feedback]


def _prediction(*row: Any) -> Prediction:
    request_id, at, model, version, arm, unit, image, label, probabilities, embedding, latency_ms = row
    return Prediction(
        request_id=request_id,
        at=at,
        model=model,
        version=version,
        arm=arm,
        unit=unit,
        image=np.frombuffer(image, np.uint8).reshape(SIDE, SIDE),
        label=label,
        probabilities=np.frombuffer(probabilities, np.float32),
        embedding=np.frombuffer(embedding, np.float32),
        latency_ms=latency_ms,
    )
