"""From raw rows to a pinned snapshot in four parts: sources, contract, transform, lake, splits."""

from demlopment.data.answers import Answers
from demlopment.data.expectations import expectations
from demlopment.data.lake import Lake
from demlopment.data.leaks import refuse_leaks
from demlopment.data.sources import RawRows, Source, opened, packaged_digits, returned, spoiled, tabular
from demlopment.data.splits import split

__all__ = [
    "Answers",
    "Lake",
    "RawRows",
    "Source",
    "expectations",
    "opened",
    "packaged_digits",
    "refuse_leaks",
    "returned",
    "split",
    "spoiled",
    "tabular",
]
