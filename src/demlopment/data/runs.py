"""Ingest runs: each row names the one that added it, whose commit notes when and with which code. Stores nothing."""

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

RUN = "run"  # the column, and the entry of the note


@dataclass(frozen=True)
class Run:
    """One ingest of one source."""

    id: str
    at: float  # seconds since 1970, when it began
    commit: str  # of the code
    source: str
    sha256: str  # of the source's file or files; "" for rows from the journal


@dataclass(frozen=True)
class Arrival:
    """Rows that came in together."""

    rows: int
    run: Run | None  # None: they came before runs were noted


def begun(at: float, commit: str, source: str, sha256: str) -> Run:
    """A new run, with an id that no other has."""
    return Run(secrets.token_hex(8), at, commit, source, sha256)


def noted(run: Run) -> dict[str, str]:
    """What the commit of a run's rows says of it."""
    return {RUN: run.id, "at": str(run.at), "commit": run.commit, "source": run.source, "sha256": run.sha256}


def arrivals(rows: pl.DataFrame, notes: Iterable[Mapping[str, object]]) -> tuple[Arrival, ...]:
    """The runs by which rows (with the column `RUN`) came in, the earliest first, with how many each brought."""
    runs = {str(note[RUN]): _run(note) for note in notes if RUN in note}
    counts = Counter(runs.get(each) for each in rows[RUN])
    came = (Arrival(count, run) for run, count in counts.items())
    return tuple(sorted(came, key=lambda each: (each.run.at, each.run.id) if each.run else (0.0, "")))


def _run(note: Mapping[str, object]) -> Run:
    return Run(str(note[RUN]), float(str(note["at"])), str(note["commit"]), str(note["source"]), str(note["sha256"]))
