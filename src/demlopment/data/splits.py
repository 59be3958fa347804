"""Which part of a split a row belongs to: a pure function of its writer or content, so that no row ever changes side.

Knows no table and no model. Equal pixels have equal keys and all rows of a writer one name, so they stand on one side;
of near-duplicates that do not, those that would judge or be judged are left out.
"""

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from math import sqrt

import numpy as np
import numpy.typing as npt

from demlopment.data.duplicates import near_duplicates
from demlopment.data.sources import FEEDBACK
from demlopment.records import Examples, Part, Split

# Of 5,000 digits: 2,750 teach, 500 set the temperature and the monitors' reference, 750 judge (an accuracy of 98 % is
# then known to about +-1 %), 1,000 are left for simulated production.
SHARES: dict[Part, float] = {"train": 0.55, "validation": 0.10, "test": 0.15, "stream": 0.20}
EDGES = tuple(zip(SHARES, accumulate(SHARES.values()), strict=True))


LEFT_OUT = len(SHARES)  # the place of rows in no part
TOLERANCE = 4.0  # standard deviations: a fair split is farther off in one of 16,000 numbers

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """How many rows of one class are in one part, and how many chance would have put there."""

    part: Part
    label: int
    rows: int
    expected: float
    tolerance: float  # rows; `TOLERANCE` standard deviations

    @property
    def strange(self) -> bool:
        return abs(self.rows - self.expected) > self.tolerance


def part(key: str, salt: str) -> Part:
    """The part of the row with this content hash, or of a name from `names`; another salt is another split.

    >>> part("0" * 64, "demlopment-1")
    'test'
    """
    digest = blake2b(f"{salt}:{key}".encode(), digest_size=6).digest()
    point = int.from_bytes(digest, "big") / 2**48  # 48 bits fit a float exactly, so 1.0 is never reached
    return next((name for name, edge in EDGES if point < edge), "stream")  # the sum of the shares may round below 1


def split(examples: Examples, salt: str) -> Split:
    """The examples in four parts. Rows that came back from production and fall into `stream` teach instead.

    `stream` is what production has not seen yet; a row that came back has been there. It cannot leak: it was in no
    other part before, and validation and test keep their own. A row that is a near-duplicate of one in an earlier part
    (train, validation, test, stream) is in none: rows may be left out as data grows, and never change side.
    """
    places = _kept(_places(examples, salt), near_duplicates(examples.images))
    return Split(**{name: examples.where(places == place) for place, name in enumerate(SHARES)})


def left_out(examples: Examples, salt: str) -> Examples:
    """The rows that `split` puts into no part."""
    return examples.where(_kept(_places(examples, salt), near_duplicates(examples.images)) == LEFT_OUT)


def names(examples: Examples) -> list[str]:
    """What the part of each row hangs on: its writer where one is known, so that nobody is in two parts, else its key."""
    pairs = zip(examples.writers.tolist(), examples.keys.tolist(), strict=True)
    return [f"writer {writer}" if writer else key for writer, key in pairs]


def shares(split: Split) -> list[Share]:
    """For each part and class the rows, beside what chance would give: the split is checked, and nothing is forced.

    A class is spread by its groups, as `names` makes them: n rows of groups of the sizes s have the variance
    p (1 - p) times the sum of s ** 2, which is p (1 - p) n where nobody's writer is known.
    """
    found = []
    whole = [getattr(split, name) for name in SHARES]
    for label in np.unique(np.concatenate([each.labels for each in whole])).tolist():
        sizes = Counter(name for each in whole for name in names(each.where(each.labels == label)))
        rows, squares = sizes.total(), sum(size**2 for size in sizes.values())
        for (name, share), each in zip(SHARES.items(), whole, strict=True):
            tolerance = TOLERANCE * sqrt(share * (1 - share) * squares)
            found.append(Share(name, label, int((each.labels == label).sum()), share * rows, tolerance))
    return found


def _places(examples: Examples, salt: str) -> Places:
    """Each row's own part as its place in `SHARES`: (n,)."""
    order = {name: place for place, name in enumerate(SHARES)}
    named = names(examples)
    of_name = {name: order[part(name, salt)] for name in set(named)}
    places = np.array([of_name[name] for name in named], np.int64)
    places[(places == order["stream"]) & (examples.sources == FEEDBACK)] = order["train"]
    return places


def _kept(places: Places, groups: Places) -> Places:
    """The places, and `LEFT_OUT` for rows whose group reaches into an earlier part."""
    earliest = np.full(len(places), LEFT_OUT)
    np.minimum.at(earliest, groups, places)
    return np.where(places == earliest[groups], places, LEFT_OUT)
