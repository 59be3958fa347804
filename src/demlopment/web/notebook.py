"""Charts and pictures as a notebook's cell shows them: drawings that stand alone. Knows no notebook and not what is drawn."""

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from demlopment.images import encode_png
from demlopment.web.alone import alone
from demlopment.web.svg import element, text

MARGIN, GAP, CAPTION = 14, 16, 20  # pixels


@dataclass(frozen=True)
class Drawn:
    """The last value of a cell that is a drawing."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg


def drawn(*charts: Markup) -> Drawn:
    """Charts side by side."""
    sizes = [(_length(chart, "width"), _length(chart, "height")) for chart in charts]
    placed, left = [], MARGIN
    for chart, (width, _) in zip(charts, sizes, strict=True):
        placed.append(element("g", chart, transform=f"translate({left} {MARGIN})"))
        left += round(width) + GAP
    height = max(height for _, height in sizes)
    return Drawn(alone(left - GAP + MARGIN, height + 2 * MARGIN, "; ".join(map(_label, charts)), *placed))


def pictures(images: Sequence[npt.NDArray[np.uint8]], captions: Sequence[str], size: int = 84) -> Drawn:
    """Grey pictures of any size in a row, each `size` pixels wide above its caption."""
    step, placed = size + GAP, []
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, tall = MARGIN + place * step, size * image.shape[0] / image.shape[1]
        address = "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()
        placed.append(element("image", href=address, x=left, y=MARGIN, width=size, height=tall, image_rendering="pixelated"))
        placed.append(text(left, MARGIN + tall + CAPTION - 4, caption))
    tallest = max(size * image.shape[0] / image.shape[1] for image in images)
    width = 2 * MARGIN + step * len(images) - GAP
    return Drawn(alone(width, 2 * MARGIN + tallest + CAPTION, ", ".join(captions), *placed))


def _length(chart: Markup, name: str) -> float:
    """The chart's own width or height, in pixels."""
    found = re.search(rf' {name}="([0-9.]+)"', chart)
    assert found, "svg.drawing says how large it is"
    return float(found[1])


def _label(chart: Markup) -> str:
    found = re.search(r'aria-label="([^"]*)"', chart)
    return html.unescape(found[1]) if found else ""
