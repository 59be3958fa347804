"""The drift timeline: what the monitor saw in each window, when the truth changed, how accuracy went, who took over.

Knows records, not the loop. Every window is drawn over the requests that it holds, so the panels share one axis.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from demlopment.records import DriftReport, DriftTest
from demlopment.web import words
from demlopment.web.facts import Alarms, Window
from demlopment.web.svg import LETTER, Scale, axes, beside, drawing, element, group, line, text, ticks

SURPRISE = 12.0  # -log10 p where the axis ends at least: a smaller p-value is beyond what a test's approximations can carry


@dataclass(frozen=True)
class Timeline:
    """All that the timeline shows."""

    windows: Sequence[DriftReport]
    answered: Sequence[Window]
    change_at: int | None  # None: nothing changed
    alarms: Alarms
    requests: int
    served_by: str  # who answered these requests
    successor: str  # who serves after them; "" if nobody took over


@dataclass(frozen=True)
class Frame:
    """Where the panels lie."""

    x: Scale
    surprise: Scale
    accuracy: Scale
    width: int
    foot: float  # of the x axis
    height: float


def timeline(story: Timeline, *, label: str, width: int = 920) -> Markup:
    """The panels under each other, for a wide page or a narrow one."""
    place = frame(story, width)
    return drawing(width, place.height, label, *marks(story, place))


def marks(story: Timeline, frame: Frame) -> list[Markup]:
    return [
        *_change(story, frame),
        *_surprises(story, frame),
        *_accuracies(story, frame),
        *_servers(story, frame),
    ]


def smallest(report: DriftReport) -> DriftTest | None:
    """The window's most surprising test; None if no test gave a number."""
    return min((test for test in report.tests if math.isfinite(test.p_value)), key=lambda test: test.p_value, default=None)


def surprise(p: float, ceiling: float) -> float:
    """-log10 p, where a p-value of 0 and all that lies beyond the axis are drawn at its end.

    >>> surprise(0.001, 12), surprise(0.0, 12)
    (3.0, 12)
    """
    return min(ceiling, -math.log10(p)) + 0.0 if p > 0 else ceiling


def frame(story: Timeline, width: int) -> Frame:
    narrow = width < 600
    left, right = (50, width - 18) if narrow else (62, width - 22)
    lows = [window.interval.low for window in story.answered if window.interval is not None]
    lowest = math.floor(min(lows, default=0.5) * 10) / 10
    tall = 150 if narrow else 170
    top, second = 84, 84 + tall + 40
    foot = second + 120
    return Frame(
        x=Scale(0, max(1, story.requests), left, right),
        surprise=Scale(0, _ceiling(story.windows), top + tall, top),
        accuracy=Scale(min(lowest, 0.9), 1, foot, second),
        width=width,
        foot=foot,
        height=foot + (92 if narrow else 74),
    )


def _ceiling(windows: Sequence[DriftReport]) -> float:
    """Where the axis of surprise ends: at a tick, and high enough that an alarm stands out even above a strict threshold."""
    needed = max([SURPRISE, *(1.5 * surprise(report.threshold, 200) for report in windows)])
    return math.ceil(needed / _step(needed)) * _step(needed)


def _step(ceiling: float) -> int:
    return 3 if ceiling <= 15 else 10 * math.ceil(ceiling / 60)


def _change(story: Timeline, frame: Frame) -> list[Markup]:
    """The truth, which the monitor was not told: a line through all panels, and the way from it to the alarm."""
    if story.change_at is None:
        return []
    at = frame.x(story.change_at)
    said = f"the pens change at {story.change_at:,}"
    after = element("rect", x=at, y=22, width=max(0.0, frame.x.end - at), height=frame.foot - 22, class_="after")
    return [after, line((at, 8), (at, frame.foot), "change"), beside(at, 18, said, frame.width)]


def _surprises(story: Timeline, frame: Frame) -> list[Markup]:
    x, y = frame.x, frame.surprise
    powers = range(_step(y.high), int(y.high), _step(y.high))
    up = [(0.0, "1"), *((float(power), words.power_of_ten(-power)) for power in powers)]
    up.append((y.high, f"≤ {words.power_of_ten(-int(y.high))}"))
    across = [(value, "") for value in ticks(0, x.high, frame.width // 110)]
    drawn = [_surprise(report, frame) for report in story.windows]
    heading = text(0, frame.surprise.end - 27, "Surprise: the smallest p-value of each window", "name halo")
    return [heading, axes(x, y, across, up), *drawn, *_threshold(story, frame), *_first_alarm(story, frame)]


def _surprise(report: DriftReport, frame: Frame) -> Markup:
    test = smallest(report)
    left, right = _extent(report.start, report.start + report.examples, frame)
    if test is None:
        return group(text((left + right) / 2, frame.surprise.start - 4, "–", "tick", "middle"), tip=_tip(report, "no test"))
    y = frame.surprise(surprise(test.p_value, frame.surprise.high))
    tip = _tip(report, f"smallest p-value {words.probability(test.p_value)} ({test.name})")
    height, colour = frame.surprise.start - y, "orange" if report.drifted else "blue"
    bar = element(
        "rect",
        x=left,
        y=y,
        width=right - left,
        height=height,
        class_=f"soft {colour}",
    )
    edge = line((left, y), (right, y), f"edge {colour}")
    alarm = (text((left + right) / 2, y - 4, "▲", "note orange", "middle"),) if report.drifted else ()
    return group(bar, edge, *alarm, tip=tip)


def _threshold(story: Timeline, frame: Frame) -> list[Markup]:
    if not story.windows:
        return []
    edges = []
    for report in story.windows:
        y = frame.surprise(surprise(report.threshold, frame.surprise.high))
        edges.append(line((frame.x(report.start), y), (frame.x(report.start + report.examples), y), "threshold"))
    first = story.windows[0].threshold
    y = frame.surprise(surprise(first, frame.surprise.high))
    return [*edges, text(frame.x.start + 4, y - 5, f"alarm line: p = {words.probability(first)}", "tick halo")]


def _first_alarm(story: Timeline, frame: Frame) -> list[Markup]:
    first = story.alarms.first
    if first is None or story.change_at is None:
        return []
    start, end = frame.x(story.change_at), frame.x(first.start + first.examples)
    level = 34
    return [
        line((start, level), (end, level), "reach"),
        line((end, level - 4), (end, level + 4), "reach"),
        beside(end, level + 4, f"alarm after {words.plural(story.alarms.delay, 'request')}", frame.width, left=start),
    ]


def _accuracies(story: Timeline, frame: Frame) -> list[Markup]:
    x, y = frame.x, frame.accuracy
    up = [(value, f"{value * 100:.3g}{words.SPACE}%") for value in ticks(y.low, y.high, 4)]
    across = [(value, f"{value:,.0f}") for value in ticks(0, x.high, frame.width // 110)]
    return [
        text(0, y.end - 14, "Accuracy on the labels that came back", "name halo"),
        axes(x, y, across, up),
        *(_accuracy(window, frame) for window in story.answered),
        text(x.end, frame.foot + 32, "request", anchor="end"),
    ]


def _accuracy(window: Window, frame: Frame) -> Markup:
    left, right = _extent(window.start, window.end, frame)
    middle, y = (left + right) / 2, frame.accuracy
    where = f"Requests {window.start:,} to {window.end - 1:,}"
    if window.interval is None:
        return group(text(middle, y.start - 4, "–", "tick", "middle"), tip=f"{where}: no label came back")
    share = window.correct / window.labelled
    tip = (
        f"{where}: {window.correct:,} of {window.labelled:,} right, {words.percent(share)} ({words.interval(window.interval)})"
    )
    return group(
        line((middle, y(window.interval.low)), (middle, y(window.interval.high)), "whisker teal"),
        line((left, y(share)), (right, y(share)), "level teal"),
        element("circle", cx=middle, cy=y(share), r=4, class_="dot teal"),
        tip=tip,
    )


def _servers(story: Timeline, frame: Frame) -> list[Markup]:
    """Who answered, and who took over: the loop's answer to the alarm."""
    x, top = frame.x, frame.foot + 42
    strip = element("rect", x=x.start, y=top, width=x.end - x.start, height=24, class_="lane")
    inside = text(x.start + 8, top + 16, f"answered by {story.served_by}", "name")
    if not story.successor:
        return [strip, inside]
    said = f"then {story.successor} takes over ▶"
    fits = (len(said) + len(story.served_by) + 14) * LETTER < x.end - x.start
    takeover = text(x.end - 8, top + 16 if fits else top + 42, said, "note teal", "end")
    return [strip, inside, takeover]


def _extent(start: int, end: int, frame: Frame) -> tuple[float, float]:
    """Left and right of a window's mark, with air between neighbours as long as there is room for any."""
    left, right = frame.x(start), frame.x(end)
    air = min(2.0, (right - left) / 4)
    return left + air, max(left + air, right - air)


def _tip(report: DriftReport, found: str) -> str:
    alarm = ": alarm" if report.drifted else ""
    return f"Requests {report.start:,} to {report.start + report.examples - 1:,}: {found}{alarm}"
