"""Ingest runs: each row names the one that added it, whose commit notes when and with which code. Stores nothing."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from demlopment.data.quarantine import QUARANTINE

RUN = "run"  # the column, and the entry of the note


@dataclass(frozen=True)
class Run:
    """One ingest of one source."""

    id: str
    at: float  # seconds since 1970, when it began
    commit: str  # of the code
    source: str  # of its rows; QUARANTINE of those that were put right
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
    """What the commit of a run's rows says of it: never a source's name, which would stay when its rows are forgotten."""
    said = {RUN: run.id, "at": str(run.at), "commit": run.commit, "sha256": run.sha256}
    return said | ({"source": run.source} if run.source == QUARANTINE else {})


def arrivals(rows: pl.DataFrame, notes: Iterable[Mapping[str, object]]) -> tuple[Arrival, ...]:
    """The runs by which rows (with the columns `RUN` and "source") came in, the earliest first, with how many each brought."""
    said = {str(note[RUN]): note for note in notes if RUN in note}
    came = rows.group_by(RUN).agg(pl.len(), pl.col("source").unique().sort().str.join(", "))
    found = [Arrival(count, _run(said[run], source) if run in said else None) for run, count, source in came.iter_rows()]
    return tuple(sorted(found, key=lambda each: (each.run.at, each.run.id) if each.run else (0.0, "")))


def _run(note: Mapping[str, object], source: str) -> Run:
    said = str(note.get("source", source))
    return Run(str(note[RUN]), float(str(note["at"])), str(note["commit"]), said, str(note["sha256"]))
