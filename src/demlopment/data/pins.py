"""The pins of one store: which version a name stands for, and the digest that says what was pinned. Knows no picture."""

import hashlib
import json
from collections.abc import Set

import polars as pl

from demlopment.data.tables import TableStore
from demlopment.records import Snapshot

EXAMPLES = "examples"  # the table whose versions are pinned
PINS = "pins"
LINES = 50_000  # of a digest that are made at once: 10 MB


class Pins:
    """The table `pins` of one store."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def every(self) -> list[tuple[Snapshot, Set[str] | None]]:
        """Every pin with the sources it is limited to (None: it is not)."""
        if self._store.version(PINS) is None:
            return []
        rows = self._store.read(PINS).sort("version", "name").to_dicts()
        sources = [json.loads(row.pop("sources")) for row in rows]
        return [(Snapshot(**row), None if each is None else set(each)) for row, each in zip(rows, sources, strict=True)]

    def add(self, snapshot: Snapshot, sources: Set[str] | None) -> None:
        """Pin a snapshot, unless its name is taken."""
        columns = {
            "name": snapshot.name,
            "version": snapshot.version,
            "digest": snapshot.digest,
            "rows": snapshot.rows,
            "salt": snapshot.salt,
            "commit": snapshot.commit,
            "preparation": snapshot.preparation,
            "sources": json.dumps(None if sources is None else sorted(sources)),
        }
        self._store.insert(PINS, pl.DataFrame([columns]), by=("name",), note={"snapshot": snapshot.name})


def digest(frame: pl.DataFrame) -> str:
    """SHA-256 over the sorted lines "key label", each once: the order of rows, files and sources does not matter.

    The lines are made a part at a time: of 2 million rows all of them would take 400 MB.
    """
    ordered = frame.select("key", "label").sort("key", "label")
    lines = ordered.filter(first_of("key") | first_of("label"))
    made = hashlib.sha256()
    for part in lines.iter_slices(LINES):
        made.update("".join(part.select(pl.format("{} {}\n", "key", "label")).to_series()).encode())
    return made.hexdigest()


def first_of(column: str) -> pl.Expr:
    """Whether a row's value is another than that of the row before."""
    return pl.col(column).ne_missing(pl.col(column).shift())


def of_sources(frame: pl.DataFrame, sources: Set[str] | None) -> pl.DataFrame:
    """The rows of a pin's sources, all where it is limited to none."""
    return frame if sources is None else frame.filter(pl.col("source").is_in(sorted(sources)))
