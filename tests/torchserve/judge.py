"""Compare what a scenario was answered with what the recording and the deviations let us expect."""

from collections.abc import Mapping, Sequence

from tests.torchserve.deviations import DEVIATIONS
from tests.torchserve.normal import Seen, differences, laid_over
from tests.torchserve.table import Row, Scenario


def complaints(
    scenario: Scenario, theirs: Mapping[str, Sequence[Seen]], ours: Mapping[str, Sequence[Seen]], *, strict: bool
) -> list[str]:
    """One line for each difference that no deviation explains, and for each deviation that is none any more."""
    return [
        f"{row.title}: {complaint}"
        for row in scenario.rows
        for complaint in _of_row(row, theirs[row.title], ours[row.title], strict=strict)
    ]


def _of_row(row: Row, theirs: Sequence[Seen], ours: Sequence[Seen], *, strict: bool) -> list[str]:
    deviates = bool(row.deviation) and not (strict and DEVIATIONS[row.deviation].restored)
    expected = [laid_over(*pair) for pair in zip(theirs, row.ours, strict=True)] if deviates else theirs
    found = _against(row, expected, ours)
    if deviates and not found and not _against(row, theirs, ours):
        found.append(f"the deviation {row.deviation} is none any more: take it off this row")
    return found


def _against(row: Row, expected: Sequence[Seen], ours: Sequence[Seen]) -> list[str]:
    if len(expected) != len(ours):
        return [f"{len(expected)} kinds of answers against {len(ours)}: {ours}"]
    return [each for pair in zip(expected, ours, strict=True) for each in differences(*pair, row.view)]
