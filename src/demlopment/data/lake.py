"""The lake: examples, quarantine and pins as versioned tables. Knows nothing of models, and of tables only their port.

Every row has a name made of what it is, so adding is idempotent: a run that was killed anywhere is simply repeated.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from demlopment.data import contract, transform
from demlopment.data.sources import FEEDBACK, RawRows
from demlopment.data.tables import DeltaStore, TableStore
from demlopment.errors import DataError
from demlopment.records import Examples, Snapshot

EXAMPLES, QUARANTINE, PINS = "examples", "quarantine", "pins"
DIGITS = 10


@dataclass(frozen=True)
class Added:
    """What became of the rows of one source: rows = added + known + rejected."""

    rows: int
    added: int
    known: int  # already in the lake, or twice in the source
    rejected: int  # rows that went to quarantine, now or when they were first seen
    quarantined: Mapping[str, int]  # reason -> rows; a row with two reasons counts under both


@dataclass(frozen=True)
class Quarantined:
    """One bad row, kept with every reason it failed."""

    image: bytes | None  # raw, of any length
    label: int | None
    reasons: tuple[str, ...]
    source: str
    origin: str
    row: int


class Lake:
    """The tables below one address, a folder or a URI. Nothing is created before the first write."""

    def __init__(
        self,
        root: Path | str,
        store: Callable[[Path | str], TableStore] = DeltaStore,
        *,
        classes: int = DIGITS,
    ) -> None:
        self._root = root
        self._store = store(root)
        self._classes = classes

    def add(self, rows: RawRows) -> Added:
        """Good rows into `examples`, bad ones with their reasons into `quarantine`, what is there already nowhere.

        Adding the same rows again changes nothing. A row with the pixels of another and a different label is bad.
        """
        good, bad = contract.screen(rows.frame, self._classes)
        settled, conflicts = self._settle(transform.curate(good))
        rejected = _named(pl.concat([bad, conflicts.select(bad.columns)]))
        note = {"source": rows.name, "sha256": rows.sha256}
        added = self._store.insert(EXAMPLES, settled, by=("key", "source"), note=note)
        self._store.insert(QUARANTINE, rejected, by=("name",), note=note)
        reasons = Counter(reason for joined in rejected["reasons"] for reason in joined.split(contract.SEPARATOR))
        known = len(rows.frame) - len(rejected) - added
        return Added(len(rows.frame), added, known, len(rejected), dict(sorted(reasons.items())))

    def pin(self, name: str, salt: str, sources: Set[str] | None = None) -> Snapshot:
        """Give the examples as they are now (of some sources, or of all) a name under which they can always be loaded.

        Pinning a name again is fine while it means the same rows and salt, and gives the first pin.
        Raises DataError if there are no such rows, or if the name is taken by others.
        """
        version = self._store.version(EXAMPLES)
        if version is None:
            raise DataError(f"The lake {self._root} holds no examples.", "Ingest something first.")
        frame = _chosen(self._store.read(EXAMPLES, version=version, columns=("key", "label", "source")), sources)
        if frame.is_empty():
            raise DataError(f"The lake {self._root} holds no examples of {sorted(sources or ())}.", "Ingest them first.")
        snapshot = Snapshot(name, version, _digest(frame), frame["key"].n_unique(), salt)
        self._store.insert(PINS, _pin(snapshot, sources), by=("name",), note={"snapshot": name})
        pinned = self.snapshots()[name]
        if (pinned.digest, pinned.salt) != (snapshot.digest, salt):
            raise DataError(
                f"The snapshot {name!r} is already pinned with {pinned.rows} other rows or another salt "
                f"(digest {pinned.digest[:12]}, now {snapshot.digest[:12]}).",
                "Pin under another name.",
            )
        return pinned

    def snapshots(self) -> dict[str, Snapshot]:
        """Every pinned snapshot by its name."""
        if self._store.version(PINS) is None:
            return {}
        rows = self._store.read(PINS).drop("sources").sort("version", "name").to_dicts()
        return {row["name"]: Snapshot(**row) for row in rows}

    def load(self, snapshot: Snapshot) -> Examples:
        """The snapshot's rows, one for each picture, sorted by key; the digest is checked.

        A picture that also came back from production counts as "feedback": it is no longer unseen.
        Raises DataError if the snapshot was never pinned here, or if its rows are no longer what they were.
        """
        if self.snapshots().get(snapshot.name) != snapshot:
            raise DataError(f"The lake {self._root} has no pin {snapshot.name!r} like the given one.", "Pin it first.")
        pins = self._store.read(PINS).filter(pl.col("name") == snapshot.name)
        sources = json.loads(pins["sources"].item())
        frame = _chosen(self._store.read(EXAMPLES, version=snapshot.version), None if sources is None else set(sources))
        if _digest(frame) != snapshot.digest:
            raise DataError(
                f"The rows of the snapshot {snapshot.name!r} in {self._root} are not those that were pinned.",
                "The table was altered: restore it from a copy, or ingest again in another home.",
            )
        seen = pl.col("source") != FEEDBACK  # false sorts first
        return transform.examples(frame.sort("key", seen, "source").unique("key", keep="first", maintain_order=True))

    def quarantine(self) -> tuple[Quarantined, ...]:
        """Every bad row, by source and position."""
        if self._store.version(QUARANTINE) is None:
            return ()
        rows = self._store.read(QUARANTINE).sort("source", "origin", "row", nulls_last=True).drop("name", "licence").to_dicts()
        return tuple(Quarantined(**(row | {"reasons": tuple(row["reasons"].split(contract.SEPARATOR))})) for row in rows)

    def _settle(self, curated: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """One row for each picture of a source, and the rows that contradict the first label their pixels had."""
        labelled = curated.select("key", "label")
        if self._store.version(EXAMPLES) is not None:
            labelled = pl.concat([self._store.read(EXAMPLES, columns=("key", "label")), labelled])
        first = labelled.unique("key", keep="first", maintain_order=True).rename({"label": "first"})
        judged = curated.join(first, on="key", maintain_order="left")
        agreed = judged.filter(pl.col("label") == pl.col("first")).drop("first")
        reason = pl.format("the same pixels are already labelled {}", pl.col("first"))
        conflicts = judged.filter(pl.col("label") != pl.col("first")).with_columns(reasons=reason)
        return agreed.unique(("key", "source"), keep="first", maintain_order=True), conflicts


def _chosen(frame: pl.DataFrame, sources: Set[str] | None) -> pl.DataFrame:
    return frame if sources is None else frame.filter(pl.col("source").is_in(sorted(sources)))


def _digest(frame: pl.DataFrame) -> str:
    """SHA-256 over the sorted lines "key label", each once: the order of rows, files and sources does not matter."""
    lines = frame.select(pl.format("{} {}\n", "key", "label")).to_series().unique().sort()
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _pin(snapshot: Snapshot, sources: Set[str] | None) -> pl.DataFrame:
    columns = {
        "name": snapshot.name,
        "version": snapshot.version,
        "digest": snapshot.digest,
        "rows": snapshot.rows,
        "salt": snapshot.salt,
        "sources": json.dumps(None if sources is None else sorted(sources)),
    }
    return pl.DataFrame([columns])


def _named(bad: pl.DataFrame) -> pl.DataFrame:
    """Bad rows, each named by where it stood and what it held, so that seeing it again adds nothing."""
    names = [
        hashlib.sha256(repr((row["source"], row["origin"], row["row"], row["label"], row["image"])).encode()).hexdigest()
        for row in bad.to_dicts()
    ]
    return bad.with_columns(name=pl.Series(names, dtype=pl.String))
