"""Charts as functions from numbers to SVG. Know nothing of the loop; their colours are classes of charts.css."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from demlopment.records import Interval
from demlopment.web import words
from demlopment.web.facts import Bin
from demlopment.web.svg import LETTER, Point, Scale, Tick, axes, below, drawing, element, group, line, path, text, ticks

SMALLEST = 1e-6  # a logarithmic axis ends here: a loss or an error rate below it is noise of single-precision arithmetic
FEWEST_MISTAKES = 0.0005  # an axis of shares ends here: no test part of a few thousand rows can tell 99.95 % from all
SHARES = (0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
MOST_POINTS = 300  # more than a chart has pixels for; a longer line is thinned


@dataclass(frozen=True)
class Line:
    """A named line; `kind` is a colour class, and a dashed one can be told apart without it."""

    name: str
    points: Sequence[Point]
    kind: str = "blue"


@dataclass(frozen=True)
class Axis:
    """How values become places on an axis, which need not be even steps."""

    place: Callable[[float], float]  # of a value; NaN for one that has no place
    low: float  # places
    high: float
    ticks: Sequence[Tick]
    words: Callable[[float], str]  # a value, spoken


@dataclass(frozen=True)
class Bar:
    """A measured value with its interval."""

    name: str
    value: float
    interval: Interval


def loss_axis(values: Iterable[float]) -> Axis:
    """A logarithmic axis that holds the values: the last halvings of a loss matter as much as the first."""
    places = [place for place in map(_log, values) if math.isfinite(place)] or [-1.0, 0.0]
    low, high = min(places) - 0.08, max(places) + 0.08
    return Axis(_log, low, high, _decades(low, high), lambda value: f"{value:.2g}")


def share_axis(values: Iterable[float]) -> Axis:
    """An axis of shares that counts mistakes: 90 %, 99 % and 99.9 % are even steps, as each has a tenth of the mistakes."""
    places = [place for place in map(_nines, values) if math.isfinite(place)] or [0.0, 2.0]
    low, high = max(0.0, min(places) - 0.06), max(places) + 0.06
    marks = [(_nines(share), f"{share * 100:g}{words.SPACE}%") for share in SHARES]
    return Axis(_nines, low, high, [tick for tick in marks if low <= tick[0] <= high], words.percent)


def line_chart(lines: Sequence[Line], axis: Axis, *, label: str, x_name: str, width: int = 400) -> Markup:
    """Lines on one pair of axes, named above it. Points that are not finite leave a gap."""
    height = 230
    xs = [x for each in lines for x, y in each.points if math.isfinite(x) and math.isfinite(y)] or [0.0, 1.0]
    x, y = Scale(min(xs), max(xs), 50, width - 14), Scale(axis.low, axis.high, height - 38, 34)
    drawn = [
        path([(x(a), y(b)) for a, b in run], f"line {each.kind}")
        for each in lines
        for run in _runs((a, axis.place(b)) for a, b in each.points)
    ]
    return drawing(
        width,
        height,
        label,
        axes(x, y, [(value, f"{value:g}") for value in ticks(x.low, x.high)], _spaced(axis.ticks, y, 14)),
        *drawn,
        _legend(lines, axis.words),
        text(width - 14, height - 4, x_name, anchor="end"),
    )


def interval_bars(bars: Sequence[Bar], *, label: str, width: int = 560) -> Markup:
    """Shares side by side, each with its interval, so that overlaps are seen."""
    step = 46
    foot = 8 + step * len(bars)
    axis = share_axis([end for bar in bars for end in (bar.interval.low, bar.interval.high)])
    x = Scale(axis.low, axis.high, 10, width - 24)
    marks = [_interval_bar(bar, x, 26 + step * i) for i, bar in enumerate(bars)]
    across = _spaced(axis.ticks, x, 46)
    grid = [line((x(value), 6), (x(value), foot), "grid") for value, _ in across]
    return drawing(width, foot + 26, label, *grid, line((x.start, foot), (x.end, foot), "axis"), below(x, foot, across), *marks)


def confusion_matrix(counts: npt.NDArray[np.int64], classes: Sequence[str], *, label: str) -> Markup:
    """True classes down, answers across. Right answers are blue, mistakes orange and framed."""
    side, left, top = 380, 44, 44
    cell = (side - left - 4) / max(1, len(classes))
    totals = counts.sum(axis=1)
    cells = [
        _cell(int(counts[i, j]), int(totals[i]), classes[i], classes[j], (left + j * cell, top + i * cell), cell, right=i == j)
        for i in range(len(classes))
        for j in range(len(classes))
    ]
    down = [text(left - 8, top + (i + 0.5) * cell + 4, _short(name), "name", "end") for i, name in enumerate(classes)]
    across = [text(left + (j + 0.5) * cell, top - 8, _short(name), "name", "middle") for j, name in enumerate(classes)]
    titles = text(left, 14, "read as →"), text(0, top - 8, "true ↓")
    return drawing(side, side + 4, label, *cells, *down, *across, *titles)


def reliability_diagram(bins: Sequence[Bin], *, label: str) -> Markup:
    """How often the model is right when it says how sure it is; on the diagonal it is as right as it is sure."""
    side, foot, strip = 380, 300, 40
    x, y = Scale(0, 1, 50, side - 22), Scale(0, 1, foot, 12)
    shares = [(value, f"{value:.0%}".replace("%", f"{words.SPACE}%")) for value in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    tallest = max((each.examples for each in bins), default=1)
    diagonal = line((x(0), y(0)), (x(1), y(1)), "dashed")
    hints = (
        text(x(0.03), y(0.94), "above the diagonal: too modest", "tick halo"),
        text(x(0.97), y(0.04), "below: too sure", "tick halo", "end"),
    )
    marks = [_reliability_mark(each, x, y) for each in bins]
    columns = [_column(each, x, foot + 38 + strip, strip * each.examples / tallest) for each in bins]
    return drawing(
        side,
        foot + strip + 60,
        label,
        axes(x, y, shares, shares),
        diagonal,
        *marks,
        *hints,
        *columns,
        line((x.start, foot + 38 + strip), (x.end, foot + 38 + strip), "axis"),
        text(x.start, foot + strip + 54, "stated confidence, with the answers in each step"),
    )


def confidence_sequence(
    sequence: Sequence[tuple[int, float, float]],
    *,
    label: str,
    width: int = 920,
    interest: float = 0.0,
    unit: str = "points",
    most: float = 1.0,
    digits: int = 1,
    counted: str = "labels",
) -> Markup:
    """The range that holds the effect, as labels (or whatever is `counted`) arrive; it is decided when zero lies outside.

    Between dashed lines lies what is less than the `interest`; `most` is the largest effect that there can be. Effects are
    told in hundredths, with `digits` after the point.
    """
    height = 260
    kept = [row for row in _thinned(sequence) if all(math.isfinite(value) for value in row)]
    if not kept:
        return drawing(width, 40, label, text(0, 24, f"No {counted[:-1]} came back, so there is nothing to draw."))
    reach = _reach(kept, most, digits)
    x, y = Scale(0, max(labels for labels, _, _ in kept), 58, width - 16), Scale(-reach, reach, height - 40, 14)
    upper, lower = [(x(n), y(high)) for n, _, high in kept], [(x(n), y(low)) for n, low, _ in kept]
    across = [(value, f"{value:,.0f}") for value in ticks(0, x.high, width // 120)]
    up = [(value, words.points(value, digits)) for value in ticks(-reach, reach, 4)]
    labels, low, high = kept[-1]
    effect = f"between {words.points(low, digits)} and {words.points(high, digits)} {unit}"
    return drawing(
        width,
        height,
        label,
        axes(x, y, across, up),
        path([*upper, *reversed(lower)], "band teal", closed=True),
        path(upper, "line teal"),
        path(lower, "line teal"),
        line((x.start, y(0)), (x.end, y(0)), "zero"),
        *(line((x.start, y(value)), (x.end, y(value)), "dashed") for value in (-interest, interest) if 0 < abs(value) < reach),
        text(x.start + 8, y(0) - 6, "no difference", "note"),
        text(x.end, y.end + 14, "↑ treatment is better", "tick halo", "end"),
        text(x.end, y.start - 8, "↓ control is better", "tick halo", "end"),
        text(x.end, height - 4, f"{counted} seen", anchor="end"),
        group(
            line((x(labels), y(low)), (x(labels), y(high)), "whisker teal"),
            tip=f"After {labels:,} {counted} the effect lies {effect}",
        ),
    )


def _reach(kept: Sequence[tuple[int, float, float]], most: float, digits: int) -> float:
    """How far the y axis goes: the first labels say almost nothing, and their range would flatten the rest.

    At least ten times the smallest difference that is told.
    """
    later = kept[len(kept) // 5 :]
    furthest = max(max(abs(low), abs(high)) for _, low, high in later)
    return min(most, max(furthest * 1.05, 0.1 * 0.1**digits))


def _interval_bar(bar: Bar, x: Scale, y: float) -> Markup:
    spoken = f"{words.percent(bar.value)} ({words.interval(bar.interval)})"
    low, high, middle = (x(_nines(share)) for share in (bar.interval.low, bar.interval.high, bar.value))
    return group(
        text(10, y - 8, bar.name, "name halo"),
        text(x.end, y - 8, spoken, "tick halo", "end"),
        line((low, y + 6), (high, y + 6), "whisker blue"),
        *(line((end, y + 2), (end, y + 10), "whisker blue") for end in (low, high)),
        element("circle", cx=middle, cy=y + 6, r=4.5, class_="dot blue"),
        tip=f"{bar.name}: {spoken}",
    )


def _cell(count: int, total: int, true: str, said: str, corner: Point, size: float, *, right: bool) -> Markup:
    # The fill stays faint enough for the number to be read on it, in light and in dark.
    share = count / max(1, total)
    strength = 0.32 * share if right else 0.12 + 0.28 * min(1.0, 5 * share)
    box = element(
        "rect",
        x=corner[0] + 1,
        y=corner[1] + 1,
        width=max(0.0, size - 2),
        height=max(0.0, size - 2),
        fill_opacity=strength,
        class_=f"cell {'none' if not count else 'blue' if right else 'orange'}",
    )
    number = (text(corner[0] + size / 2, corner[1] + size / 2 + 4, f"{count}", "number", "middle"),) if count else ()
    return group(box, *number, tip=f"{true} read as {said}: {words.plural(count, 'time')}")


def _reliability_mark(each: Bin, x: Scale, y: Scale) -> Markup:
    middle = x(each.confidence)
    tip = (
        f"Confidence {words.percent(each.confidence)}: {each.correct:,} of {each.examples:,} right, "
        f"{words.percent(each.accuracy)} ({words.interval(each.interval)})"
    )
    return group(
        line((middle, y(each.interval.low)), (middle, y(each.interval.high)), "whisker blue"),
        element("circle", cx=middle, cy=y(each.accuracy), r=4.5, class_="dot blue"),
        tip=tip,
    )


def _column(each: Bin, x: Scale, foot: float, tall: float) -> Markup:
    left, right = x(each.low) + 2, x(each.high) - 2
    tall = max(1.0, tall)
    return group(
        element("rect", x=left, y=foot - tall, width=right - left, height=tall, class_="fill blue"),
        text((left + right) / 2, foot - tall - 3, f"{each.examples:,}", "small", "middle"),
        tip=f"{words.plural(each.examples, 'answer')} with confidence {each.low:.1f} to {each.high:.1f}",
    )


def _legend(lines: Sequence[Line], spoken: Callable[[float], str]) -> Markup:
    """The name and the last value of each line, above the axes, where no line can hide them."""
    marks, x = [], 50.0
    for each in lines:
        last = next((y for _, y in reversed(each.points) if math.isfinite(y)), None)
        said = each.name if last is None else f"{each.name} {spoken(last)}"
        marks += [line((x, 14), (x + 20, 14), f"line {each.kind}"), text(x + 26, 18, said, "name")]
        x += 42 + len(said) * LETTER
    return group(*marks)


def _runs(points: Iterable[Point]) -> list[list[Point]]:
    """The points between gaps; a run of one point becomes a short stroke, so that it is seen."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if all(math.isfinite(value) for value in point):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run if len(run) > 1 else [*run, *run] for run in runs if run]


def _thinned(sequence: Sequence[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """At most MOST_POINTS of the rows, the last one always among them."""
    step = max(1, math.ceil(len(sequence) / MOST_POINTS))
    return [*sequence[: len(sequence) - 1 : step], *sequence[-1:]]


def _spaced(marks: Sequence[Tick], scale: Scale, gap: float) -> list[Tick]:
    """The ticks that stand at least `gap` pixels apart."""
    kept: list[Tick] = []
    for tick in marks:
        if not kept or abs(scale(tick[0]) - scale(kept[-1][0])) >= gap:
            kept.append(tick)
    return kept


def _nines(share: float) -> float:
    """0 for nothing right, 1 for 90 %, 2 for 99 %; NaN for what is not a share."""
    return -math.log10(max(1 - share, FEWEST_MISTAKES)) + 0.0 if 0 <= share <= 1 else math.nan


def _log(value: float) -> float:
    return math.log10(max(value, SMALLEST)) if math.isfinite(value) else math.nan


def _decades(low: float, high: float) -> list[Tick]:
    """Ticks of a logarithmic axis: powers of ten, and where there are few of them also their 2 and 5."""
    factors = (1,) if high - low > 3 else (1, 2, 5)
    powers = range(math.floor(low), math.floor(high) + 1)
    values = [float(f"{factor}e{power}") for power in powers for factor in factors]
    return [(math.log10(value), f"{value:g}") for value in values if low <= math.log10(value) <= high]


def _short(name: str) -> str:
    return name if len(name) <= 5 else f"{name[:4]}…"
