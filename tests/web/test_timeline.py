"""The drift timeline shows what the monitor saw, whatever it saw."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from demlopment.records import DriftReport, DriftTest
from demlopment.web import facts
from demlopment.web.timeline import Timeline, smallest, surprise, timeline
from tests.web import pages


def window(start: int, *p_values: float, examples: int = 100, threshold: float = 0.0001) -> DriftReport:
    tests = tuple(DriftTest(f"test {i}", 0.0, p) for i, p in enumerate(p_values))
    return DriftReport(start, examples, tests, threshold, 0.001)


def story(windows: list[DriftReport], change_at: int | None = 100, answered: tuple[facts.Window, ...] = ()) -> Timeline:
    requests = max((each.start + each.examples for each in windows), default=0)
    return Timeline(windows, answered, change_at, facts.alarms(windows, change_at), requests, "digits 1.0", "digits 2.0")


@given(
    p_values=st.lists(st.floats(0, 1) | st.just(math.nan), min_size=1, max_size=12),
    threshold=st.floats(0, 1),
    labels=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted), max_size=12),
    change_at=st.none() | st.integers(0, 1_199),
    width=st.sampled_from([350, 920]),
)
@example(p_values=[0.0], threshold=5e-324, labels=[[0, 0]], change_at=0, width=350)
def test_every_mark_stays_inside(
    p_values: list[float], threshold: float, labels: list[list[int]], change_at: int | None, width: int
) -> None:
    windows = [window(100 * i, p, threshold=threshold) for i, p in enumerate(p_values)]
    answered = tuple(facts.Window(100 * i, 100 * i + 100, total, right) for i, (right, total) in enumerate(labels))

    drawn = timeline(story(windows, change_at, answered), label="drift", width=width)

    assert pages.strays(drawn) == []


def test_a_p_value_of_exactly_zero_is_drawn_at_the_end_of_the_axis() -> None:
    drawn = timeline(story([window(0, 0.5), window(100, 0.0)]), label="drift")

    quiet, alarm = pages.marks(drawn, "rect", "soft")
    assert float(alarm["height"]) == pytest.approx(170)
    assert 0 < float(quiet["height"]) < 10


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_smaller_p_value_is_never_drawn_lower(one: float, other: float) -> None:
    small, large = sorted((one, other))

    assert 12 >= surprise(small, 12) >= surprise(large, 12) >= 0


def test_only_windows_below_the_threshold_carry_the_sign_of_an_alarm() -> None:
    drawn = timeline(story([window(0, 0.5), window(100, 1e-9), window(200, 0.0001)]), label="drift")

    alarms = [tip for tip in pages.tips(drawn) if tip.endswith(": alarm")]
    assert pages.texts(drawn).count("▲") == 1
    assert [tip.split(":")[0] for tip in alarms] == ["Requests 100 to 199"]


def test_the_way_from_the_change_to_the_alarm_is_told_in_requests() -> None:
    drawn = timeline(story([window(0, 0.5), window(100, 0.2), window(200, 1e-9)], change_at=150), label="drift")

    said = pages.texts(drawn)
    assert "the pens change at 150" in said
    assert "alarm after 150 requests" in said
    assert len(pages.marks(drawn, "line", "change")) == 1


def test_without_a_change_no_line_claims_one() -> None:
    drawn = timeline(story([window(0, 0.5), window(100, 1e-9)], change_at=None), label="drift")

    assert pages.marks(drawn, "line", "change") == []
    assert not any("change" in words or "alarm after" in words for words in pages.texts(drawn))


def test_a_window_whose_labels_have_not_come_back_has_no_accuracy() -> None:
    answered = facts.Window(0, 100, 0, 0), facts.Window(100, 200, 10, 10)

    drawn = timeline(story([window(0, 0.5), window(100, 0.4)], None, answered), label="drift")

    assert "Requests 0 to 99: no label came back" in pages.tips(drawn)
    assert len(pages.marks(drawn, "circle", "dot teal")) == 1


def test_the_most_surprising_test_speaks_for_its_window() -> None:
    found = smallest(window(0, 0.5, math.nan, 0.02, 0.3))

    assert found is not None
    assert found.name == "test 2"
    assert smallest(window(0, math.nan)) is None
