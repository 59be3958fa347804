"""What was decided about retraining before, as far as it bears on what is decided now. Reads verdicts; decides nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

from demlopment.lifecycle.history import Entry


@dataclass(frozen=True)
class Past:
    """Since the home began."""

    begun: float | None = None  # when the last retrain was decided, seconds since 1970
    labels: int = 0  # that were new then
    failures: int = 0  # retrains in a row that gave no champion
    asked: float | None = None  # when labels were last asked for


def past(entries: Iterable[Entry]) -> Past:
    """From the verdicts of a home, the oldest first. A champion, by whichever way, ends a row of failures."""
    begun, labels, failures, asked = None, 0, 0, None
    for entry in entries:
        verdict = entry.verdict
        if verdict.kind == "hand" and verdict.decision == "promote":
            failures = 0
        if verdict.kind != "retraining":
            continue
        if verdict.decision == "retrain":
            begun, labels = entry.at, int(verdict.evidence["condition"]["new_labels"] or 0)
        elif verdict.decision == "ask for labels":
            asked = entry.at
        elif verdict.decision == "promote":
            failures = 0
        elif verdict.decision in ("refuse", "keep", "stop"):
            failures += 1
    return Past(begun, labels, failures, asked)
