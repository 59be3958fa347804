"""Each claim of the demonstration can fail, and says so when it does."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from demlopment.lifecycle.claims import claims
from demlopment.lifecycle.story import Story
from tests.fakes import story

WHOLE = story()


def lost_a_row(told: Story) -> Story:
    return replace(told, ingests=(replace(told.ingests[0], added=told.ingests[0].added - 1), *told.ingests[1:]))


def let_a_bad_row_through(told: Story) -> Story:
    first = told.ingests[0]
    return replace(told, ingests=(replace(first, rejected=first.rejected - 1, added=first.added + 1), *told.ingests[1:]))


def without_the_last_verdict(told: Story) -> Story:
    return replace(told, verdicts=told.verdicts[:-1])


def never_refused(told: Story) -> Story:
    return replace(told, verdicts=tuple(verdict for verdict in told.verdicts if verdict.decision != "refuse"))


def alarmed_from_the_first_window(told: Story) -> Story:
    early = replace(told.windows[0], tests=(replace(told.windows[0].tests[0], p_value=0.0),))
    return replace(told, windows=(early, *told.windows[1:]))


def never_alarmed(told: Story) -> Story:
    return replace(told, windows=tuple(window for window in told.windows if not window.drifted))


def test_a_whole_story_holds_every_claim() -> None:
    assert [claim.sentence for claim in claims(WHOLE) if not claim.held] == []


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (lost_a_row, "every good row was kept"),
        (let_a_bad_row_through, "bad rows were caught"),
        (lambda told: replace(told, parts={**told.parts, "test": 0}), "exactly one part"),
        (lambda told: replace(told, fits=told.fits[:1]), "of the test part, at least"),
        (never_refused, "refused a worse candidate"),
        (without_the_last_verdict, "retrained candidate"),
        (lambda told: replace(told, champion="digits 0.0"), "retrained candidate"),
        (lambda told: replace(told, unjournalled=1), "journalled"),
        (lambda told: replace(told, torn_units=1), "one model only"),
        (lambda told: replace(told, reading=replace(told.reading, sample_ratio_p=1e-9)), "split was the planned one"),
        (alarmed_from_the_first_window, "No alarm before"),
        (never_alarmed, "An alarm after"),
    ],
)
def test_a_spoiled_story_breaks_the_claim_it_spoils(spoil: Callable[[Story], Story], broken: str) -> None:
    failed = [claim.sentence for claim in claims(spoil(WHOLE)) if not claim.held]

    assert any(broken in sentence for sentence in failed), failed
