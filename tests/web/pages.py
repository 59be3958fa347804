"""What the tests of the report read out of HTML and SVG."""

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import cv2
import numpy as np

VOID = {"meta", "img", "br", "hr", "input", "link", "source", "wbr"}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
ACROSS, DOWN = ("x", "x1", "x2", "cx"), ("y", "y1", "y2", "cy")


class Page(HTMLParser):
    """A parsed page: its tags in order with their attributes, its text, and what is wrong with its nesting."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()} closes something else")

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"[ \n]+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def pixels(address: str | None) -> np.ndarray:
    """The grey picture in a data address."""
    kind, _, encoded = (address or "").partition(",")
    assert kind == "data:image/png;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


def drawings(html: str) -> list[ElementTree.Element]:
    """Every inline SVG of a page, parsed as the XML that it must also be."""
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)]


def strays(svg: str | ElementTree.Element) -> list[str]:
    """The marks of a drawing that are not numbers, or lie outside its view box."""
    root = ElementTree.fromstring(svg) if isinstance(svg, str) else svg
    _, _, width, height = (float(value) for value in root.attrib["viewBox"].split())
    found = []
    for mark in root.iter():
        xs, ys = _places(mark)
        if re.search(r"nan|inf", " ".join(value for key, value in mark.attrib.items() if key != "aria-label")):
            found.append(f"not a number: {mark.attrib}")
        if any(not -0.01 <= x <= width + 0.01 for x in xs) or any(not -0.01 <= y <= height + 0.01 for y in ys):
            found.append(f"outside {width} x {height}: {mark.tag} {mark.attrib}")
        if any(float(mark.get(side, "0")) < 0 for side in ("width", "height", "r")):
            found.append(f"negative size: {mark.attrib}")
    return found


def texts(svg: str) -> list[str]:
    """The words that a drawing shows; the words that appear when one points at a mark are not among them."""
    return [mark.text or "" for mark in ElementTree.fromstring(svg).iter() if mark.tag.endswith("text")]


def tips(svg: str) -> list[str]:
    """The words that appear when one points at a mark."""
    return [mark.text or "" for mark in ElementTree.fromstring(svg).iter() if mark.tag.endswith("title")]


def marks(svg: str, tag: str, kind: str) -> list[dict[str, str]]:
    """The attributes of every element with this tag and all of these classes."""
    wanted = set(kind.split())
    elements = ElementTree.fromstring(svg).iter(tag)
    return [dict(mark.attrib) for mark in elements if wanted <= set(mark.get("class", "").split())]


def _places(mark: ElementTree.Element) -> tuple[list[float], list[float]]:
    xs = [float(mark.attrib[key]) for key in ACROSS if key in mark.attrib]
    ys = [float(mark.attrib[key]) for key in DOWN if key in mark.attrib]
    if mark.tag == "path":
        numbers = [float(number) for number in NUMBER.findall(mark.attrib["d"])]
        xs, ys = numbers[::2], numbers[1::2]
    if mark.tag == "rect":
        xs.append(xs[0] + float(mark.attrib["width"]))
        ys.append(ys[0] + float(mark.attrib["height"]))
    return xs, ys
