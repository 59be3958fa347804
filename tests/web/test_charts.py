"""Charts are pure functions, so their promises hold for any data that a turn can bring."""

import math
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from demlopment.intervals import wilson
from demlopment.web import charts, svg
from demlopment.web.facts import Bin
from tests.web import pages

anything = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(allow_nan=False, allow_infinity=False)
shares = st.floats(0, 1)
HUGE = sys.float_info.max


@st.composite
def proportions(draw: st.DrawFn) -> tuple[int, int]:
    trials = draw(st.integers(1, 10_000))
    return draw(st.integers(0, trials)), trials


@given(st.lists(st.tuples(finite, finite), max_size=20))
@example([(0.0, HUGE), (1.0, -HUGE)])
@example([(-HUGE, 1.0), (HUGE, 2.0)])
@example([(1.0, 5e-324), (1.0 + 2**-52, 0.0)])
def test_a_line_chart_of_losses_keeps_every_point_inside(points: list[tuple[float, float]]) -> None:
    axis = charts.loss_axis(y for _, y in points)

    drawn = charts.line_chart([charts.Line("loss", points)], axis, label="losses", x_name="epoch")

    assert pages.strays(drawn) == []


@given(st.lists(st.tuples(st.integers(1, 1000).map(float), shares), max_size=20))
@example([(1.0, 1.0)])
@example([(1.0, 0.0), (2.0, 1.0)])
def test_a_line_chart_of_shares_keeps_every_point_inside(points: list[tuple[float, float]]) -> None:
    axis = charts.share_axis(y for _, y in points)

    drawn = charts.line_chart([charts.Line("accuracy", points)], axis, label="accuracies", x_name="epoch")

    assert pages.strays(drawn) == []


@given(st.lists(st.tuples(anything, anything), max_size=20))
def test_what_is_not_finite_never_reaches_a_line_chart(points: list[tuple[float, float]]) -> None:
    axis = charts.loss_axis(y for _, y in points)

    drawn = charts.line_chart([charts.Line("loss", points)], axis, label="losses", x_name="epoch")

    assert pages.strays(drawn) == []


def test_a_point_that_is_not_finite_leaves_a_gap_in_its_line() -> None:
    points = [(1.0, 2.0), (2.0, 1.0), (3.0, math.nan), (4.0, 0.5), (5.0, 0.4)]

    drawn = charts.line_chart([charts.Line("loss", points)], charts.loss_axis([2.0, 0.4]), label="losses", x_name="epoch")

    assert len(pages.marks(drawn, "path", "line")) == 2


def test_a_better_share_lies_further_along_and_ten_times_fewer_mistakes_are_one_step() -> None:
    place = charts.share_axis([0.5, 0.99]).place

    assert place(0.5) < place(0.9) < place(0.99)
    assert place(0.99) - place(0.9) == pytest.approx(place(0.9) - place(0.0))


@given(st.lists(proportions(), min_size=1, max_size=6), st.sampled_from([350, 720]))
def test_interval_bars_keep_every_bar_inside_and_their_value_in_their_interval(rows: list[tuple[int, int]], width: int) -> None:
    bars = [charts.Bar("digits", right / trials, wilson(right, trials)) for right, trials in rows]

    drawn = charts.interval_bars(bars, label="accuracies", width=width)

    dots = [float(dot["cx"]) for dot in pages.marks(drawn, "circle", "dot")]
    whiskers = [bar for bar in pages.marks(drawn, "line", "whisker") if bar["y1"] == bar["y2"]]
    assert pages.strays(drawn) == []
    assert len(dots) == len(whiskers) == len(bars)
    assert all(float(bar["x1"]) - 0.02 <= x <= float(bar["x2"]) + 0.02 for x, bar in zip(dots, whiskers, strict=True))


def test_no_bars_at_all_are_still_a_drawing() -> None:
    drawn = charts.interval_bars([], label="nothing was fitted")

    assert pages.strays(drawn) == []


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 10_000), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
def test_a_confusion_matrix_says_every_count_and_stays_inside(rows: list[list[int]]) -> None:
    counts = np.array(rows, np.int64)
    classes = [f"c{i}" for i in range(len(rows))]

    drawn = charts.confusion_matrix(counts, classes, label="confusion")

    said = pages.tips(drawn)
    expected = [
        f"c{i} read as c{j}: {n:,} time{'' if n == 1 else 's'}" for i, row in enumerate(rows) for j, n in enumerate(row)
    ]
    assert said == expected
    assert pages.strays(drawn) == []


def test_a_mistake_is_marked_by_its_class_and_not_only_by_strength() -> None:
    drawn = charts.confusion_matrix(np.array([[5, 0], [1, 4]]), ["0", "1"], label="confusion")

    assert len(pages.marks(drawn, "rect", "cell orange")) == 1
    assert len(pages.marks(drawn, "rect", "cell blue")) == 2


@given(st.lists(proportions(), max_size=10), st.data())
def test_a_reliability_diagram_keeps_every_bin_inside(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    bins = [
        Bin(i / 10, (i + 1) / 10, trials, right, data.draw(st.floats(i / 10, (i + 1) / 10)))
        for i, (right, trials) in enumerate(rows)
    ]

    drawn = charts.reliability_diagram(bins, label="reliability")

    assert pages.strays(drawn) == []
    assert len(pages.marks(drawn, "circle", "dot")) == len(bins)


@given(st.lists(st.tuples(st.integers(0, 10**9), finite, finite), max_size=20).map(sorted), st.sampled_from([350, 920]))
def test_a_confidence_sequence_keeps_its_band_inside(rows: list[tuple[int, float, float]], width: int) -> None:
    drawn = charts.confidence_sequence(rows, label="effect", width=width)

    assert pages.strays(drawn) == []


def test_a_confidence_sequence_without_a_label_says_so() -> None:
    drawn = charts.confidence_sequence([], label="effect")

    assert pages.texts(drawn) == ["No label came back, so there is nothing to draw."]


def test_a_long_confidence_sequence_is_thinned_but_keeps_its_last_reading() -> None:
    rows = [(n, -1 / n, 1 / n) for n in range(1, 5001)]

    drawn = charts.confidence_sequence(rows, label="effect")

    (band,) = pages.marks(drawn, "path", "band")
    assert band["d"].count("L") < 2 * charts.MOST_POINTS + 4
    assert pages.tips(drawn) == ["After 5,000 labels the effect lies between 0.0 and 0.0 points"]


def test_small_effects_are_told_apart_on_the_axis_of_a_confidence_sequence() -> None:
    rows = [(n, -0.0002, 0.0003) for n in range(1, 11)]

    drawn = charts.confidence_sequence(rows, label="effect", unit="nats", digits=3, counted="answers")

    assert {"−0.020", "0.000", "+0.020", "answers seen"} <= set(pages.texts(drawn))
    assert pages.tips(drawn) == ["After 10 answers the effect lies between −0.020 and +0.030 nats"]


@given(finite, finite, st.integers(1, 10))
@example(-HUGE, HUGE, 5)
@example(1e16, 1e16 + 2, 5)
@example(0.0, 5e-324, 5)
def test_ticks_are_few_in_order_and_within_the_axis(one: float, other: float, count: int) -> None:
    low, high = sorted((one, other))

    values = svg.ticks(low, high, count)

    assert values == sorted(set(values))
    assert 1 <= len(values) <= count + 3
    assert all(low <= value <= high for value in values)


@given(st.text())
def test_whatever_is_written_into_a_drawing_stays_text(words: str) -> None:
    drawn = svg.drawing(10, 10, words, svg.text(1, 1, words), svg.group(tip=words + "!"))

    assert len(pages.texts(drawn)) == 1
    assert "<b>" not in svg.text(0, 0, "<b>")


def test_a_number_that_is_not_finite_cannot_be_drawn() -> None:
    with pytest.raises(AssertionError, match="not finite"):
        svg.text(math.nan, 0, "nowhere")
