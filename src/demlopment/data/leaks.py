"""Does anything that a model learns from stand in another part of its split too? Finds it by looking, not by how it was split.

Knows no salt, no table and no model.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from demlopment.data.duplicates import near_duplicates
from demlopment.data.sources import FEEDBACK
from demlopment.data.splits import SHARES
from demlopment.errors import DataError
from demlopment.records import Examples, Split

SHOWN = 5  # leaks that an error names: enough to look at, and one line of text
Kind = Literal["same pixels", "near-duplicates", "same writer", "labels in conflict"]


@dataclass(frozen=True)
class Leak:
    """Rows that tie two parts together, or contradict each other."""

    kind: Kind
    subject: str  # the writer, or the first row's key
    keys: tuple[str, ...]  # of the rows, by part and in its order
    parts: tuple[str, ...]  # they stand in

    def __str__(self) -> str:
        named = f"writer {self.subject}" if self.kind == "same writer" else " and ".join(key[:12] for key in self.keys[:2])
        more = f" and {len(self.keys) - 2} more" if self.kind != "same writer" and len(self.keys) > 2 else ""
        return f"{self.kind}: {named}{more} in {' and '.join(self.parts)}"


def leaks(split: Split) -> tuple[Leak, ...]:
    """Every leak among the four parts: equal pictures, near-duplicates, writers, and equal pictures of different labels.

    Equal pictures are found by their pixels, whatever their keys say. Two rows of one part leak nothing, but their labels
    may contradict each other. A writer of whom some rows came back from production teaches with these and has others in
    `stream`: production has met that hand, which is what it is for.
    """
    parts = np.repeat(list(SHARES), [len(getattr(split, name)) for name in SHARES])
    rows = _together(split)
    pixels = [image.tobytes() for image in rows.images]
    across: list[tuple[Kind, Sequence[object]]] = [
        ("same pixels", pixels),
        ("near-duplicates", near_duplicates(rows.images).tolist()),
        ("same writer", rows.writers.tolist()),
    ]
    found = [
        Leak(
            kind,
            str(rows.writers[places[0]]) if kind == "same writer" else str(rows.keys[places[0]]),
            *_named(rows, parts, places),
        )
        for kind, values in across
        for places in _groups(values)
        if len(set(parts[places])) > 1
        and not (kind == "near-duplicates" and len({pixels[place] for place in places}) == 1)
        and not (kind == "same writer" and _came_back(rows, parts, places))
    ]
    conflicts = [places for places in _groups(pixels) if len(set(rows.labels[places].tolist())) > 1]
    return (*found, *(Leak("labels in conflict", str(rows.keys[p[0]]), *_named(rows, parts, p)) for p in conflicts))


def refuse_leaks(split: Split, snapshot: str) -> None:
    """Raise DataError naming the rows if anything leaks between the parts of the snapshot called so."""
    found = leaks(split)
    if found:
        named = "; ".join(str(leak) for leak in found[:SHOWN])
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise DataError(
            f"The split of the snapshot {snapshot!r} leaks ({named}{more}).",
            f"See all with `demlopment data audit {snapshot}`, and correct or remove these rows.",
        )


def _together(split: Split) -> Examples:
    whole = [getattr(split, name) for name in SHARES]
    fields = ("keys", "images", "labels", "sources", "writers")
    return Examples(*(np.concatenate([getattr(each, field) for each in whole]) for field in fields))


def _came_back(rows: Examples, parts: npt.NDArray[np.str_], places: list[int]) -> bool:
    """Whether a writer stands in train and stream only, and in train with nothing but what production gave back."""
    taught = parts[places] == "train"
    return set(parts[places].tolist()) == {"train", "stream"} and bool((rows.sources[places][taught] == FEEDBACK).all())


def _groups(values: Sequence[object]) -> list[list[int]]:
    """The places of each value that stands at two or more; "" is no value."""
    places = defaultdict(list)
    for place, value in enumerate(values):
        if value != "":
            places[value].append(place)
    return [each for each in places.values() if len(each) > 1]


def _named(rows: Examples, parts: npt.NDArray[np.str_], places: list[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(rows.keys[places].tolist()), tuple(dict.fromkeys(parts[places].tolist()))
