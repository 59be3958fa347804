"""Where rows come from: the packaged digits, files of many formats, production. Judges no row and stores none."""

from demlopment.data.sources.holdings import Holdings, fetched, given
from demlopment.data.sources.opening import opened
from demlopment.data.sources.packaged import packaged_digits
from demlopment.data.sources.port import BATCH, RawRows, Source
from demlopment.data.sources.returned import FEEDBACK, returned
from demlopment.data.sources.spoiled import spoiled
from demlopment.data.sources.tabular import tabular

__all__ = [
    "BATCH",
    "FEEDBACK",
    "Holdings",
    "RawRows",
    "Source",
    "fetched",
    "given",
    "opened",
    "packaged_digits",
    "returned",
    "spoiled",
    "tabular",
]
