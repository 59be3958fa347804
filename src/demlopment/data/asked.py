"""The requests that a person is asked to label: a table with their pictures. Picks none, and gives none a label."""

import hashlib
from collections.abc import Collection, Sequence

import polars as pl

from demlopment.data import transform
from demlopment.data.contract import GREY
from demlopment.data.tables import TableStore

ASKED = "asked"
COLUMNS = {
    "request_id": pl.String,
    "key": pl.String,  # that its picture has, or would have, among the examples
    "image": pl.Binary,  # as the endpoint prepared it
    "said": pl.String,  # what it was answered
    "model": pl.String,
    "version": pl.String,
    "why": pl.String,  # of ranking.Pick
    "score": pl.Float64,  # likewise
    "chance": pl.Float64,  # that it was drawn, 0 to 1; None where it was chosen
    "place": pl.Int64,  # in the queue, among those that were picked together
    "at": pl.Float64,  # when they were, seconds since 1970
}


class Asked:
    """The table `asked` of one store."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def add(self, picks: pl.DataFrame) -> int:
        """Add those that are new, and return how many these are; a request is asked about once."""
        return self._store.insert(ASKED, picks.select(*COLUMNS), by=("request_id",), note={})

    def all(self) -> pl.DataFrame:
        """Every one, those that were picked last first, with the columns of `COLUMNS`."""
        if not self._store.exists(ASKED):
            return pl.DataFrame(schema=COLUMNS)
        return self._store.read(ASKED).select(*COLUMNS).sort("at", "place", descending=[True, False])

    def forget(self, keys: Collection[str]) -> None:
        """Remove those that show one of these pictures."""
        self._store.remove(ASKED, "key", keys, note={})


def keys(pictures: Sequence[bytes]) -> list[str]:
    """The names that pictures of 28 x 28 bytes have among the examples; "" of those that could be none."""
    made = transform.prepared(pictures, pl.Series([GREY] * len(pictures), dtype=pl.String))
    return [hashlib.sha256(each).hexdigest() if isinstance(each, bytes) else "" for each in made]
