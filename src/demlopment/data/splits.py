"""Which part of a split a row belongs to: a pure function of its content, so that no row ever changes side.

Knows no table and no model. Equal pixels have equal keys and therefore stand on one side.
"""

from hashlib import blake2b
from itertools import accumulate

import numpy as np

from demlopment.data.sources import FEEDBACK
from demlopment.records import Examples, Part, Split

# Of 5,000 digits: 2,750 teach, 500 set the temperature and the monitors' reference, 750 judge (an accuracy of 98 % is
# then known to about +-1 %), 1,000 are left for simulated production.
SHARES: dict[Part, float] = {"train": 0.55, "validation": 0.10, "test": 0.15, "stream": 0.20}
EDGES = tuple(zip(SHARES, accumulate(SHARES.values()), strict=True))


def part(key: str, salt: str) -> Part:
    """The part of the row with this content hash; another salt is another split.

    >>> part("0" * 64, "demlopment-1")
    'test'
    """
    digest = blake2b(f"{salt}:{key}".encode(), digest_size=6).digest()
    point = int.from_bytes(digest, "big") / 2**48  # 48 bits fit a float exactly, so 1.0 is never reached
    return next((name for name, edge in EDGES if point < edge), "stream")  # the sum of the shares may round below 1


def split(examples: Examples, salt: str) -> Split:
    """The examples in four parts. Rows that came back from production and fall into `stream` teach instead.

    `stream` is what production has not seen yet; a row that came back has been there. It cannot leak: it was in no
    other part before, and validation and test keep their own.
    """
    parts = np.array([part(key, salt) for key in examples.keys.tolist()], dtype=np.str_)
    parts[(parts == "stream") & (examples.sources == FEEDBACK)] = "train"
    return Split(**{name: examples.where(parts == name) for name in SHARES})
