"""Every verdict with its evidence, append-only. Knows what a verdict is, not how it was reached."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from demlopment.home import explained
from demlopment.records import Verdict

# The triggers make the table append-only for everybody who opens the file, not only for this class.
SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, decision TEXT NOT NULL,
    subject TEXT NOT NULL, against TEXT NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS verdicts_are_never_changed BEFORE UPDATE ON verdicts
    BEGIN SELECT RAISE(ABORT, 'a verdict is never changed'); END;
CREATE TRIGGER IF NOT EXISTS verdicts_are_never_removed BEFORE DELETE ON verdicts
    BEGIN SELECT RAISE(ABORT, 'a verdict is never removed'); END;
"""


@dataclass(frozen=True)
class Entry:
    """One verdict as it stands in the history."""

    number: int  # from 1, without gaps
    at: float  # seconds since 1970
    verdict: Verdict


class History:
    """The verdicts in one SQLite file, in the order they were given."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, verdict: Verdict, at: float) -> Entry:
        """Append one verdict; when this returns it survives a crash of the process and of the machine."""
        values = (at, verdict.kind, verdict.decision, verdict.subject, verdict.against, verdict.reason)
        with explained(self.path), self._open() as database, database:
            cursor = database.execute(
                "INSERT INTO verdicts (at, kind, decision, subject, against, reason, evidence) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*values, json.dumps(verdict.evidence, sort_keys=True)),
            )
        return Entry(cursor.lastrowid or 0, at, verdict)

    def once(self, verdict: Verdict, at: float, turn: str) -> Entry:
        """Append a verdict under a name in its evidence, unless there is one under that name, which is then the answer.

        Whoever was killed before it could note that the verdict is there simply comes again.
        """
        return self.named(turn) or self.record(replace(verdict, evidence={**verdict.evidence, "turn": turn}), at)

    def named(self, turn: str) -> Entry | None:
        """The verdict of that name, None before there is one."""
        return next((each for each in self.entries() if each.verdict.evidence.get("turn") == turn), None)

    def entries(self) -> list[Entry]:
        """Every verdict, the oldest first; none if the history has not begun."""
        if not self.path.exists():
            return []
        with explained(self.path), self._open() as database:
            rows = database.execute("SELECT * FROM verdicts ORDER BY number").fetchall()
        return [
            Entry(number, at, Verdict(kind, decision, subject, against, reason, json.loads(evidence)))
            for number, at, kind, decision, subject, against, reason, evidence in rows
        ]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30)) as database:
            database.executescript(SCHEMA)
            yield database
