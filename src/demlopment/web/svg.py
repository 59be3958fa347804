"""Elements, scales, ticks and axes of a drawing. Knows nothing of what is drawn.

Text is escaped here, and a number that is not finite stops here, so that no chart has to think of either.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Point = tuple[float, float]
Tick = tuple[float, str]  # value on the axis, words beside it

LETTER = 6.6  # pixels: a generous mean width of a letter at 12 pixels, to see whether words fit
BOLD = 7.3
UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 forbids them


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """One element; `class_` becomes class, `text_anchor` becomes text-anchor. Children are escaped unless they are Markup.

    >>> element("text", "4 < 9", x=1.5, class_="tick")
    Markup('<text x="1.5" class="tick">4 &lt; 9</text>')
    """
    pairs = [Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value)) for key, value in attributes.items()]
    inside = [escape(child if isinstance(child, Markup) else _printable(child)) for child in children]
    return Markup("<{0}{1}>{2}</{0}>").format(name, Markup("").join(pairs), Markup("").join(inside))


def drawing(width: float, height: float, label: str, *children: str, **attributes: str | float) -> Markup:
    """The root of a drawing; `label` tells its content to those who cannot see it."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
        **attributes,
    )


def text(x: float, y: float, words: str, kind: str = "tick", anchor: str = "start") -> Markup:
    return element("text", words, x=x, y=y, class_=kind, text_anchor=anchor)


def line(start: Point, end: Point, kind: str) -> Markup:
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=kind)


def path(points: Iterable[Point], kind: str, *, closed: bool = False) -> Markup:
    """A line through `points`, or the area that they enclose."""
    steps = " L".join(f"{_value(x)} {_value(y)}" for x, y in points)
    return element("path", d=f"M{steps}{'Z' if closed else ''}", class_=kind)


def group(*children: str, tip: str = "", kind: str = "") -> Markup:
    """Marks that belong together, with the words that appear when one points at them."""
    title = (element("title", tip),) if tip else ()
    return element("g", *title, *children, **({"class_": kind} if kind else {}))


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` become pixels from `start` to `end`; what lies outside is held at the edge."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high / 2 - self.low / 2  # halves, because the difference of two finite numbers may not be finite
        share = (value / 2 - self.low / 2) / span if span > 0 else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values from `low` to `high`, in order; the ends alone where no round value can be told apart.

    >>> ticks(0, 1000)
    [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]
    """
    span = high - low
    if not 0 < span < math.inf or span / count < 1e-300:
        return sorted({low, high})
    size = 10.0 ** math.floor(math.log10(span / count))
    step = size * next(factor for factor in (1, 2, 5, 10) if size * factor >= span / count * 0.999)
    first = math.ceil(low / step)
    values = [(first + i) * step for i in range(count + 3)]
    return sorted({value for value in values if low <= value <= high}) or sorted({low, high})


def axes(x: Scale, y: Scale, across: Sequence[Tick], up: Sequence[Tick]) -> Markup:
    """A rule and words for every tick: values of y at the left, of x below."""
    rows = [line((x.start, y(value)), (x.end, y(value)), "grid") for value, _ in up]
    names = [text(x.start - 6, y(value) + 4, words, anchor="end") for value, words in up]
    return group(*rows, line((x.start, y.start), (x.end, y.start), "axis"), *names, below(x, y.start, across))


def below(x: Scale, foot: float, across: Sequence[Tick]) -> Markup:
    """The words under the x axis, each with its short mark."""
    marks = [line((x(value), foot), (x(value), foot + 4), "axis") for value, _ in across]
    words = [text(x(value), foot + 16, words, anchor="middle") for value, words in across]
    return group(*marks, *words)


def beside(x: float, y: float, words: str, width: float, left: float | None = None) -> Markup:
    """A note to the right of `x`, or, where it would leave the drawing, to the left of `left` (or `x`)."""
    kind, length = "note orange halo", len(words) * BOLD
    if x + 6 + length <= width:
        return text(x + 6, y, words, kind)
    edge = (x if left is None else left) - 6
    return text(edge if edge >= length else width, y, words, kind, "end")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return _printable(value)
    assert math.isfinite(value), "charts leave out what is not finite"
    return f"{round(float(value), 2) + 0.0:.10g}"  # + 0.0 turns -0 into 0


def _printable(words: str) -> str:
    return UNPRINTABLE.sub("\ufffd", words)
