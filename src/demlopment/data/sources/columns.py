"""Which column of a table is what: pixels, label, writer, licence. Knows no format of a file."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from demlopment.data.contract import PIXELS
from demlopment.errors import DataError
from demlopment.images import SIDE

LABELS, WRITERS, LICENCES = ("label", "class", "target"), ("writer",), ("licence", "license")
IMAGES = ("image",)
# A table's own numbering says nothing of a picture, and all rows of a file have the file's name as their source.
ELSEWHERE = ("", "unnamed: 0", "id", "index", "source", "split")
NUMBERED = re.compile(r"(?:pixel_?|px_?)?(\d{1,3})")  # pixel0, px_1, 2
PLACED = re.compile(r"(\d{1,2})x(\d{1,2})")  # row x column
FORMAT = f"Give a table with a column `label` and {PIXELS} columns of pixels, such as pixel0 to pixel{PIXELS - 1}."


@dataclass(frozen=True)
class Columns:
    """Positions of a table's columns, from 0."""

    pixels: tuple[int, ...]  # row by row of the picture; none where it stands in one column
    label: int
    writer: int | None = None
    licence: int | None = None
    image: int | None = None


def columns(names: Sequence[str], path: Path, *, encoded: bool = False) -> Columns:
    """What the columns of these names are; case does not matter. `encoded`: a column `image` may hold whole pictures.

    Pixels that are numbered stand where their number says, and then other columns are left out. Pixels with other names
    are all columns that are nothing else, in their order. Raises DataError naming the file and the column.
    """
    known = [name.strip().casefold() for name in names]
    for name, times in Counter(known).items():
        if times > 1 and name not in ELSEWHERE:
            raise DataError(f"{path} has {times} columns that are called {name[:40]!r}.", "Give each column a name of its own.")
    label = _only(known, LABELS, path)
    if label is None:
        shown = ", ".join(name[:20] for name in names[:3])
        raise DataError(f"{path} has no column `label` among its {len(names)} columns ({shown}, ...).", FORMAT)
    writer, licence = _only(known, WRITERS, path), _only(known, LICENCES, path)
    image = _only(known, IMAGES, path) if encoded else None
    pixels = () if image is not None else _pixels(known, {label, writer, licence}, path)
    return Columns(pixels, label, writer, licence, image)


def whole(texts: pl.Series) -> pl.Series:
    """Labels and names as text, "5.0" as "5": pandas makes whole numbers so where one of their column is missing.

    >>> whole(pl.Series(["5.0", "a.0", "0.5", None])).to_list()
    ['5', 'a.0', '0.5', None]
    """
    return texts.str.replace(r"^(\d+)\.0$", "$1")


def _only(known: Sequence[str], meant: Sequence[str], path: Path) -> int | None:
    """The one column that has one of these names, or None."""
    found = [position for position, name in enumerate(known) if name in meant]
    if len(found) > 1:
        both = " and ".join(repr(known[position]) for position in found)
        raise DataError(f"{path} has the columns {both}, which mean the same.", "Keep the one that is meant.")
    return found[0] if found else None


def _pixels(known: Sequence[str], taken: set[int | None], path: Path) -> tuple[int, ...]:
    free = [position for position, name in enumerate(known) if position not in taken and name not in ELSEWHERE]
    for pattern, place in ((NUMBERED, _number), (PLACED, _corner)):
        matches = {position: found for position in free if (found := pattern.fullmatch(known[position]))}
        if len(matches) > PIXELS // 2:  # a few such names may be anything
            return _in_order({place(found): position for position, found in matches.items()}, known, path)
    if len(free) != PIXELS:
        raise DataError(f"{path} has {len(free)} columns of pixels, not {PIXELS}.", FORMAT)
    return tuple(free)


def _number(found: re.Match[str]) -> int:
    return int(found[1])


def _corner(found: re.Match[str]) -> int:
    return int(found[1]) * SIDE + int(found[2])


def _in_order(places: dict[int, int], known: Sequence[str], path: Path) -> tuple[int, ...]:
    """The columns by their number, which runs from 0 or from 1."""
    first = min(places)
    gap = next((place for place in range(first, first + PIXELS) if place not in places), None)
    if gap is not None:
        before = max(place for place in places if place < gap)
        raise DataError(f"{path} has no column of pixels after {known[places[before]]!r}.", FORMAT)
    if len(places) > PIXELS:
        extra = known[places[max(places)]]
        raise DataError(f"{path} has {len(places)} columns of pixels, not {PIXELS}: {extra!r} is too many.", FORMAT)
    return tuple(places[place] for place in range(first, first + PIXELS))
