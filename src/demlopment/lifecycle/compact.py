"""Move the journal's complete segments into the lake, each exactly once. Composes serving's files and the data room.

Killed anywhere, it is simply run again: the lake knows which segments it holds, and a file goes only when it is held.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demlopment.data import Answers
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.serving import recorded, segments
from demlopment.serving.recorded import Recorded
from demlopment.settings import Endpoint

DAY_SECONDS = 86_400
MEGABYTE = 1_000_000  # bytes


@dataclass(frozen=True)
class Compacted:
    """What became of the journal's segments."""

    moved: int  # segments whose rows were added to the lake
    predictions: int  # in those
    labels: int  # likewise
    removed: int  # files that the lake holds, or that were empty
    waiting: int  # files that are still written, or were being read


def compact(
    home: Home,
    answers: Answers,
    rules: Endpoint,
    *,
    now: Callable[[], float] = time.time,
    step: Callable[[str], None] = lambda _: None,
) -> Compacted:
    """Add what is complete to the lake, then delete what is in the lake and old, or too much.

    `step` is told of each thing done. Raises HomeError if another process compacts this home, and DataError naming a
    damaged segment once all others are done.
    """
    with home.locked("compact"):
        folder = journal(home)
        found = segments.every(folder)
        held = answers.held(path.stem for path in found)
        moved, waiting, damaged = [], 0, []
        for path in found:
            segments.mark_stored(path, stored=path.stem in held)  # the lake decides, and it may be another than before
            if path.stem in held:
                continue
            try:
                if not segments.complete(path):
                    waiting += 1
                elif entries := recorded.read_segment(path):
                    _move(path, entries, answers, step)
                    moved.append(entries)
                else:
                    segments.remove(path)
            except FileNotFoundError:  # its writer closed it, and nothing was in it
                continue
            except DataError as error:
                damaged.append(error)
        _retire(folder, rules, now(), step)
        removed = len(set(found) - set(segments.every(folder)))
    if damaged:
        raise damaged[0]
    predictions, labels = (
        sum(len(each.predictions) + len(each.shadows) for each in moved),
        sum(len(each.feedback) for each in moved),
    )
    return Compacted(len(moved), predictions, labels, removed, waiting)


def everything(home: Home, answers: Answers, since: float = 0.0) -> Recorded:
    """What the journal and the lake hold together since a time (seconds since 1970): each row once, in order of time."""
    # The files first: one that goes meanwhile is already in the lake.
    written = recorded.found_in(journal(home), since)
    moved = Recorded(
        answers.predictions(since, written.segments),
        answers.feedback(since, written.segments),
        answers.gaps(since, written.segments),
        frozenset(),
        answers.shadows(since, written.segments),
    )
    return recorded.together([moved, written])


def journal(home: Home) -> Path:
    """Where the endpoint of a home keeps its journal."""
    return home.endpoint / "journal"


def _move(path: Path, entries: Recorded, answers: Answers, step: Callable[[str], None]) -> None:
    step(f"{path.stem} is complete")
    answers.add(path.stem, [*entries.predictions, *entries.shadows], entries.feedback, entries.gaps)
    step(f"{path.stem} is in the lake")
    segments.mark_stored(path, stored=True)
    step(f"{path.stem} is marked")


def _retire(folder: Path, rules: Endpoint, now: float, step: Callable[[str], None]) -> None:
    for path in segments.every(folder):
        since = segments.stored(path)
        if since is not None and now - since >= rules.journal_days * DAY_SECONDS:
            segments.remove(path)
            step(f"{path.stem} is removed")
    segments.make_room(folder, rules.journal_max_mb * MEGABYTE)
    segments.tidy(folder)
