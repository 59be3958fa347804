"""The page of a search can be drawn whatever the trials came to."""

import math

from hypothesis import given
from hypothesis import strategies as st

from demlopment.lifecycle.tune import Searched
from demlopment.records import Snapshot, Trial, TrialState
from demlopment.settings import Training
from demlopment.training.space import SPACE
from demlopment.web import trials as page
from tests.web import pages

losses = st.floats(0, 1e300)


@st.composite
def tried(draw: st.DrawFn) -> tuple[Trial, ...]:
    """Trials of every state."""
    every: tuple[TrialState, ...] = ("complete", "pruned", "failed", "running")
    states = draw(st.lists(st.sampled_from(every), max_size=12))
    return tuple(
        Trial(
            number,
            {"learning_rate": 0.001, "label_smoothing": 0.0, "batch_size": 32},
            state,
            draw(losses) if state == "complete" else None,
            tuple(draw(st.lists(st.floats(0, 1), max_size=3))),
            reason="The loss is <nan>." if state == "failed" else "",
        )
        for number, state in enumerate(states)
    )


@given(tried())
def test_every_trial_is_a_mark_inside_the_drawing(trials: tuple[Trial, ...]) -> None:
    drawn = page.history(trials)

    assert pages.strays(drawn) == []
    assert drawn.count("<title>") == len(trials)


@given(st.dictionaries(st.sampled_from(sorted(SPACE)), st.floats(0, 1)))
def test_importances_stay_inside_the_drawing(shares: dict[str, float]) -> None:
    drawn = page.importances(shares)

    assert pages.strays(drawn) == []
    assert drawn.count("<rect") == len(shares)


def test_the_page_has_the_best_first_and_the_reasons_of_what_failed() -> None:
    parameters = {"learning_rate": 0.00123456, "label_smoothing": 0.0, "batch_size": 32}
    trials = (
        Trial(0, parameters, "complete", 0.5, (0.1,), "run-0"),
        Trial(1, parameters, "failed", reason="The loss is <nan>."),
        Trial(2, parameters, "complete", 0.25, (0.05,), "run-2"),
        Trial(3, parameters, "pruned", errors=(0.5, 0.4)),
    )
    snapshot = Snapshot("search-spring", 2, "ab" * 32, 5000, "salt")
    searched = Searched("spring", snapshot, Training(), SPACE, "random", trials, {"learning_rate": 0.75, "batch_size": 0.25})

    html = page.render(searched)

    assert (
        "Trial 2 of the study spring is the best of 4 (2 complete, 1 given up early, 1 failed): a loss of 0.2500 nats" in html
    )
    assert html.index("run-2") < html.index("run-0")
    assert "Trial 1 failed: The loss is &lt;nan&gt;." in html
    assert "learning_rate 75" in html
    assert "0.001235" in html
    assert math.isclose(searched.best.value or 0, 0.25)
