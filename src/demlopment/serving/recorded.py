"""What the journal's files hold, for whoever learns from it. Knows the rows and their older form; knows no lake."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from demlopment.errors import DataError
from demlopment.images import SIDE
from demlopment.records import Feedback, Gap, Prediction
from demlopment.serving import segments

FIRST_FORM = (
    "request_id",
    "at",
    "model",
    "version",
    "arm",
    "unit",
    "image",
    "label",
    "probabilities",
    "embedding",
    "latency_ms",
)
FORM = (*FIRST_FORM, "digest")  # the first one kept every image, from which the digest follows


@dataclass(frozen=True, eq=False)
class Recorded:
    """What was recorded in some segments, in order of time."""

    predictions: list[Prediction]
    feedback: list[Feedback]
    gaps: list[Gap]
    segments: frozenset[str]  # by name; of each of them everything is here

    def __bool__(self) -> bool:
        return bool(self.predictions or self.feedback or self.gaps)


@dataclass(frozen=True)
class Joined:
    """The labels that found their predictions."""

    labels: Mapping[str, str]  # request id -> label; the last feedback by time wins
    unknown: int  # feedback whose request id is in no prediction, or in more than one


def read(folder: Path, since: float = 0.0) -> tuple[list[Prediction], list[Feedback]]:
    """Everything in the journal's files recorded at or after `since` (seconds since 1970), in order of time.

    Reads files that are being written and what a killed process left. Raises DataError naming a file that is damaged.
    """
    found = found_in(folder, since)
    return found.predictions, found.feedback


def found_in(folder: Path, since: float = 0.0) -> Recorded:
    """As `read`, with the gaps and with the names of the segments: of those nothing has to be looked for in the lake."""
    parts: list[Recorded] = []
    for path in segments.every(folder):
        with suppress(FileNotFoundError):  # it went meanwhile, so it is in the lake
            parts.append(read_segment(path, since))
    return together(parts)


def read_segment(path: Path, since: float = 0.0) -> Recorded:
    """What one segment holds. Raises DataError if it is damaged, FileNotFoundError if it is gone."""
    with segments.opened(path) as file:
        tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "feedback" not in tables:  # its process died before the first transaction was complete
            return Recorded([], [], [], frozenset([path.stem]))
        form = tuple(name for _, name, *_ in file.execute("PRAGMA table_info(predictions)"))
        if form not in (FIRST_FORM, FORM):
            raise DataError(f"The journal {path} has a form that this version does not know.", "Read it with a newer version.")
        rows = file.execute("SELECT * FROM predictions WHERE at >= ? ORDER BY rowid", (since,)).fetchall()
        labels = file.execute("SELECT * FROM feedback WHERE at >= ? ORDER BY rowid", (since,)).fetchall()
        gaps = file.execute("SELECT * FROM gaps WHERE end_at >= ?", (since,)).fetchall() if "gaps" in tables else []
        return Recorded(
            [_prediction(*row) for row in rows],
            [Feedback(*row) for row in labels],
            [Gap(*row) for row in gaps],
            frozenset([path.stem]),
        )


def forget(path: Path, table: Literal["predictions", "feedback"], request_ids: Collection[str]) -> int | None:
    """Remove the rows of those requests from a complete segment, also from its pages, and say how many they were.

    None if the segment is still written or read. Raises DataError if it is damaged.
    """
    if not (segments.complete(path) and segments.settle(path)):
        return None
    with segments.damage_named(path), closing(sqlite3.connect(path, isolation_level=None)) as file:
        if not file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return 0
        file.execute("PRAGMA secure_delete = ON")
        file.execute("BEGIN IMMEDIATE")
        statement = f"DELETE FROM {table} WHERE request_id = ?"  # noqa: S608  one of two names of ours
        removed = sum(file.execute(statement, (each,)).rowcount for each in request_ids)
        file.execute("COMMIT")
    return removed


def together(parts: Sequence[Recorded]) -> Recorded:
    """All of them in order of time; where times are equal, in their own order."""
    whole = Recorded([], [], [], frozenset[str]().union(*(part.segments for part in parts)))
    for part in parts:
        whole.predictions.extend(part.predictions)
        whole.feedback.extend(part.feedback)
        whole.gaps.extend(part.gaps)
    whole.predictions.sort(key=lambda each: each.at)
    whole.feedback.sort(key=lambda each: each.at)
    whole.gaps.sort(key=lambda each: each.start)
    return whole


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


def _prediction(*row: Any) -> Prediction:
    request_id, at, model, version, arm, unit, image, label, probabilities, embedding, latency_ms, *digest = row
    return Prediction(
        request_id=request_id,
        at=at,
        model=model,
        version=version,
        arm=arm,
        unit=unit,
        image=None if image is None else np.frombuffer(image, np.uint8).reshape(SIDE, SIDE),
        digest=digest[0] if digest else hashlib.sha256(image).hexdigest(),
        label=label,
        probabilities=np.frombuffer(probabilities, np.float32),
        embedding=np.frombuffer(embedding, np.float32),
        latency_ms=latency_ms,
    )
