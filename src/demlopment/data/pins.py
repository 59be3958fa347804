"""The pins of one store: which version a name stands for, and the digest that says what was pinned. Knows no picture."""

import hashlib
import json
from collections.abc import Iterable, Set
from dataclasses import dataclass

import polars as pl

from demlopment.data.tables import TableStore
from demlopment.records import Snapshot

EXAMPLES = "examples"  # the table whose versions are pinned
PINS = "pins"
LINES = 50_000  # of a digest that are made at once: 10 MB
PART = 120_000  # rows of a table that are in memory at once, while they are sorted; each part reads the keys of all rows
FIRST = 2**32  # as many as the first 8 of a key's hexadecimal digits tell apart


class Pins:
    """The table `pins` of one store."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def every(self) -> list[tuple[Snapshot, Set[str] | None]]:
        """Every pin with the sources it is limited to (None: it is not)."""
        if not self._store.exists(PINS):
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

    def forget(self, source: str) -> None:
        """Take the name of a source whose rows go out of the pins that are limited to it and to others."""
        pins = [(pinned.name, sources) for pinned, sources in self.every() if sources and source in sources]
        rest = [(name, json.dumps(sorted(sources - {source}))) for name, sources in pins]
        self._store.amend(PINS, pl.DataFrame(rest, ("name", "sources"), orient="row"), by="name", note={})


@dataclass(frozen=True)
class Counted:
    """What rows that are pinned amount to."""

    digest: str
    rows: int  # a picture counts once
    labels: Set[str]


def parts(rows: int) -> list[pl.Expr]:
    """Conditions that divide so many rows by their keys, in the keys' order, into parts of about `PART`.

    A key is a SHA-256, so each part has as many; of other keys one may have all.
    """
    number = max(1, -(-rows // PART))
    ends = [f"{FIRST * place // number:08x}" for place in range(1, number)]
    everything = pl.lit(True)  # noqa: FBT003  polars' way to say it
    starts = [everything, *(pl.col("key") >= end for end in ends)]
    return [start & end for start, end in zip(starts, [*(pl.col("key") < end for end in ends), everything], strict=True)]


def counted(frames: Iterable[pl.DataFrame]) -> Counted:
    """SHA-256 over the sorted lines "key label", each once: the order of rows, files and sources does not matter.

    Each frame has greater keys than the one before. Of one the lines are made a part at a time: of 2 million rows all of
    them would take 400 MB.
    """
    made, rows, labels = hashlib.sha256(), 0, set[str]()
    for frame in frames:
        ordered = frame.select("key", "label").sort("key", "label")
        for part in ordered.filter(first_of("key") | first_of("label")).iter_slices(LINES):
            made.update("".join(part.select(pl.format("{} {}\n", "key", "label")).to_series()).encode())
        rows += ordered.select(first_of("key").sum()).item()
        labels.update(ordered["label"].unique())
    return Counted(made.hexdigest(), rows, labels)


def digest(frame: pl.DataFrame) -> str:
    """As `counted`, of rows that are in memory."""
    return counted([frame]).digest


def first_of(column: str) -> pl.Expr:
    """Whether a row's value is another than that of the row before."""
    return pl.col(column).ne_missing(pl.col(column).shift())


def of_sources(frame: pl.DataFrame, sources: Set[str] | None) -> pl.DataFrame:
    """The rows of a pin's sources, all where it is limited to none."""
    return frame if sources is None else frame.filter(pl.col("source").is_in(sorted(sources)))
