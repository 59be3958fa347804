"""From an answer back to the files it was learned from, and from a source or a row forward to whom it touched.

Composes the lake, the journal, the model store and the tracker. Changes nothing.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from demlopment.archive import Card
from demlopment.data import Answers, Lake, split
from demlopment.data.reviews import Review
from demlopment.data.runs import RUN, Arrival
from demlopment.data.sources import FEEDBACK
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.compact import journal
from demlopment.lifecycle.store import archives
from demlopment.lifecycle.warm import BEGUN
from demlopment.records import Prediction, Snapshot
from demlopment.serving import recorded
from demlopment.training import Tracker

COLUMNS = ("key", "label", "source", "writer", "origin")


@dataclass(frozen=True)
class Taught:
    """The rows of one source that a model learned from."""

    source: str
    files: tuple[str, ...]  # SHA-256 of each; none for rows that came back from production
    requests: tuple[str, ...]  # ids of the requests whose pictures came back; none for files
    rows: int


@dataclass(frozen=True)
class Ancestry:
    """Where one answer came from; a link that is lost is None, and `missing` says why."""

    request_id: str
    at: float  # seconds since 1970
    said: str
    model: str
    version: str
    archive: str | None  # its path
    run: str | None  # of the tracker
    commit: str | None  # of the code that trained it
    snapshot: Snapshot | None
    taught: tuple[Taught, ...]  # what stands in the training part of the snapshot, less what was forgotten since
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Touched:
    """A model whose snapshot held a row, and what it has answered."""

    model: str
    version: str
    archive: str
    snapshot: str
    learned: int  # of the rows, those in the training part; the others judged or calibrated it
    predictions: int
    began_with: str | None = None  # the version whose weights it began with, and what that one had learned


@dataclass(frozen=True)
class Descent:
    """How the rows of a source or a writer, or one row, came in, what people said of them, and whom they touched."""

    rows: int  # that the lake holds now
    arrivals: tuple[Arrival, ...]  # of these
    reviews: tuple[Review, ...]  # of their pictures, the oldest first
    snapshots: Mapping[str, int]  # name -> of those rows, how many are in it
    models: tuple[Touched, ...]
    predictions: tuple[str, ...]  # ids of the requests that showed one of the pictures


def ancestry(home: Home, lake: Lake, tracker: Tracker | None, request_id: str) -> tuple[Ancestry, ...]:
    """Where the answers to that request came from; more than one where shadows answered too, or a client used an id again.

    Raises DataError if nothing was answered under that id.
    """
    answered = _answered(home, request_id)
    if not answered:
        raise DataError(
            f"Neither the journal nor the lake of {home.root} has an answer to the request {request_id!r}.",
            "Take the id from the answer's header x-request-id, or name the home that gave it.",
        )
    cards = dict(archives(home))
    return tuple(_ancestry(lake, cards, tracker, each) for each in answered)


def descent(home: Home, lake: Lake, column: Literal["source", "writer", "key"], value: str) -> Descent:
    """Whom the rows touched that `forget` would remove. Raises DataError if the lake holds no such row."""
    wanted = lake.meant(column, value)
    rows = lake.now(wanted, (*COLUMNS, RUN))
    held = {name: lake.entries(lake.rest(name), COLUMNS).filter(wanted) for name in lake.snapshots()}
    snapshots = {name: frame["key"].n_unique() for name, frame in held.items() if not frame.is_empty()}
    if rows.is_empty() and not snapshots:
        raise DataError(
            f"The lake {home.lake} has no row with the {column} {value!r}.",
            "`demlopment data show` lists what a snapshot holds.",
        )
    keys = set(rows["key"]).union(*(set(held[name]["key"]) for name in snapshots))
    answers = seen(home)
    answered = Counter((model, version) for model, version, _, _ in answers)
    theirs = {name: set(held[name]["key"]) for name in snapshots}
    models = tuple(_touched(lake, card, path, theirs, answered) for path, card in learners(home, snapshots))
    return Descent(
        len(rows),
        lake.arrivals(rows),
        lake.reviews.of(keys),
        snapshots,
        models,
        tuple(dict.fromkeys(asked for _, _, digest, asked in answers if digest in keys)),
    )


def _ancestry(lake: Lake, cards: Mapping[Path, Card], tracker: Tracker | None, answer: Prediction) -> Ancestry:
    model, version, missing = answer.model, answer.version, []
    path, card = next(
        ((path, card) for path, card in cards.items() if (card.name, card.version) == (model, version)), (None, None)
    )
    lineage: Mapping[str, Any] = {} if card is None else card.lineage
    if card is None:
        missing.append(f"The model store has no archive of ours that is {model} {version}.")
    run = None if tracker is None else tracker.run(model, version)
    if run is None:
        missing.append(f"No run is registered as {model} {version}.")
    snapshot = lake.snapshots().get(str(lineage.get("snapshot")))
    taught: tuple[Taught, ...] = ()
    if snapshot is None or snapshot.digest != lineage.get("digest"):
        snapshot = None
        missing.append("Its snapshot is not in the lake." if card else "So its snapshot is not known.")
    else:
        taught = _taught(lake, snapshot)
    return Ancestry(
        request_id=answer.request_id,
        at=answer.at,
        said=answer.label,
        model=model,
        version=version,
        archive=None if path is None else str(path),
        run=run,
        commit=lineage.get("commit"),
        snapshot=snapshot,
        taught=taught,
        missing=tuple(missing),
    )


def _taught(lake: Lake, snapshot: Snapshot) -> tuple[Taught, ...]:
    left = lake.rest(snapshot.name)
    keys = split(lake.load(left), snapshot.salt).train.keys
    rows = lake.entries(left, COLUMNS).filter(pl.col("key").is_in(keys.tolist()))
    return tuple(
        _summed(str(source), frame) for (source,), frame in rows.sort("source").group_by("source", maintain_order=True)
    )


def _summed(source: str, rows: pl.DataFrame) -> Taught:
    origins = tuple(rows["origin"].unique().sort().to_list())
    returned = source == FEEDBACK
    return Taught(source, () if returned else origins, origins if returned else (), len(rows))


def _touched(
    lake: Lake, card: Card, path: Path, theirs: Mapping[str, set[str]], answered: Mapping[tuple[str, str], int]
) -> Touched:
    name, learned = str(card.lineage.get("snapshot")), 0
    if name in theirs:  # otherwise only the champion that it began with learned from some
        taught = split(lake.load(lake.rest(name)), lake.named(name).salt).train.keys
        learned = len(theirs[name].intersection(taught.tolist()))
    began, answers = card.lineage.get(BEGUN, {}).get("version"), answered.get((card.name, card.version), 0)
    return Touched(card.name, card.version, str(path), name, learned, answers, began)


def _answered(home: Home, request_id: str) -> list[Prediction]:
    # The files first, as everywhere: one that goes meanwhile is already in the lake.
    written = recorded.found_in(journal(home))
    ours = [each for each in (*written.predictions, *written.shadows) if each.request_id == request_id]
    return ours + Answers(home.lake).of_request(request_id, written.segments)


def seen(home: Home) -> list[tuple[str, str, str, str]]:
    """Model, version, digest of the picture and request id of every answer in the journal and the lake."""
    written = recorded.found_in(journal(home))
    ours = [(each.model, each.version, each.digest, each.request_id) for each in (*written.predictions, *written.shadows)]
    return Answers(home.lake).seen(written.segments) + ours


def learners(home: Home, snapshots: Collection[str]) -> list[tuple[Path, Card]]:
    """The archives that learned from one of the snapshots, or began with the weights of one that did, however long ago."""
    cards, found = list(archives(home)), set[tuple[str, str]]()
    while True:
        more = {
            (card.name, card.version)
            for _, card in cards
            if str(card.lineage.get("snapshot")) in snapshots
            or (card.name, card.lineage.get(BEGUN, {}).get("version")) in found
        }
        if more == found:
            return [(path, card) for path, card in cards if (card.name, card.version) in found]
        found = more
