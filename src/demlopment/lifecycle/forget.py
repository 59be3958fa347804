"""Remove rows everywhere they live, and say who learned from them. Composes the lake, the journal, the cards and the models.

Killed anywhere, it is simply run again: the examples go last, and until then they say what else there is to forget.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import polars as pl

from demlopment.data import Answers, Lake
from demlopment.data.sources import FEEDBACK
from demlopment.home import Home
from demlopment.lifecycle import cards
from demlopment.lifecycle.compact import journal
from demlopment.lifecycle.lineage import learners, seen
from demlopment.serving import recorded, segments

COLUMNS = ("key", "original", "source", "writer", "origin")


@dataclass(frozen=True)
class Forgotten:
    """What was removed, and what still knows of it."""

    examples: int
    quarantined: int
    predictions: int
    waiting: int  # files of the journal that are still written and were left: forget again when they are closed
    snapshots: tuple[str, ...]  # which have lost rows, now or before
    cards: int  # of models that learned from one, which named it and no longer do
    models: tuple[str, ...]  # archives that learned from such a snapshot, or began with one that did: to be retrained


def forget(home: Home, lake: Lake, column: Literal["source", "writer", "key"], value: str) -> Forgotten:
    """Remove the rows of a source, of a writer or with a key from the home and its lake. What has none of them stays as it is.

    Raises HomeError if the home is being turned or compacted.
    """
    with home.locked("turn"), home.locked("compact"):
        chosen = lake.meant(column, value)
        rows = lake.now(chosen, COLUMNS)
        gone = set(rows["key"]) - set(lake.now(chosen.not_(), ("key",))["key"])
        if column == "key":
            gone.add(value)  # production may have shown it, and it never came back
        came_back = rows.filter(pl.col("source") == FEEDBACK)
        asked, shown = set(came_back["origin"]), gone | set(came_back["key"])
        if (column, value) == ("source", FEEDBACK):
            asked |= set(lake.bad.found(pl.col("source") == FEEDBACK, ("origin",))["origin"])
            shown |= set(lake.asked.all()["key"])
        asked |= set(lake.asked.all().filter(pl.col("key").is_in(list(shown)))["request_id"])
        asked |= {request_id for _, _, digest, request_id in seen(home) if digest in shown}
        # The labels first: until a prediction goes, it is known which picture a request showed.
        _forget_answers(home, "feedback", asked)
        predictions, waiting = _forget_answers(home, "predictions", asked)
        lake.asked.forget(shown)
        quarantined = lake.bad.forget(column, value, gone | set(rows["original"]))
        examples = lake.forget(column, value)
        rests = {name: (pinned, lake.rest(name)) for name, pinned in lake.snapshots().items()}
        lost = {name: pinned.rows - rest.rows for name, (pinned, rest) in rests.items() if rest != pinned}
        said = cards.forget(home, column, value, lost)
    models = tuple(str(path) for path, _ in learners(home, lost))
    return Forgotten(examples, quarantined, predictions, waiting, tuple(lost), said, models)


def _forget_answers(home: Home, table: Literal["predictions", "feedback"], asked: Collection[str]) -> tuple[int, int]:
    """How many rows went, and how many files of the journal had to be left."""
    answers, paths = Answers(home.lake), segments.every(journal(home))
    held = answers.held(path.stem for path in paths)  # what is in both is one row
    # The lake first: a segment that is still a file is not looked for there again.
    in_the_lake = answers.forget(table, asked)
    removed = [(path, recorded.forget(path, table, asked)) for path in paths]
    written = sum(count for path, count in removed if count and path.stem not in held)
    return in_the_lake + written, sum(count is None for _, count in removed)
