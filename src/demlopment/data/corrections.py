"""What people say of bad rows: their true labels, read from a CSV file, and the table of those that were put right by it.

The table tells a row that was corrected from one that was never there, so that a replay that was killed, or a source that
is ingested again, finds nothing new in it. What its source called a row stays there as `former`. One without a label was
dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from demlopment.data import sheet
from demlopment.data.sources.port import digest
from demlopment.data.sources.spoiled import planted_in
from demlopment.data.tables import TableStore
from demlopment.errors import DataError

CORRECTIONS = "corrections"
NEEDED = ("name", "label")
FORMAT = "Give it the columns name and label, as `demlopment data quarantine --export` does."
RECORDED = ("name", "label", "former", "source", "origin", "row", "file")


@dataclass(frozen=True)
class Corrections:
    """The true labels of bad rows, by their names; none of most."""

    file: str = ""
    sha256: str = ""  # of the file
    labels: Mapping[str, str] = field(default_factory=dict)


NOTHING_SAID = Corrections()


def corrections(path: Path) -> Corrections:
    """A CSV file with the columns `name` and `label`; others, and rows whose label is empty, are passed over.

    Raises DataError naming the file, and the row's name where one is named twice with two labels.
    """
    sha256, labels = digest(path), dict[str, str]()
    for line in sheet.lines(path, NEEDED, FORMAT).values():
        name, label = line["name"], line["label"]
        if label and labels.setdefault(name, label) != label:
            raise DataError(f"{path} gives two labels to the row {name}.", "Keep the one that is true.")
    return Corrections(str(path), sha256, labels)


class Corrected:
    """The table `corrections` of one store: rows of quarantine that a file named or that were dropped; most have left it."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def among(self, names: Sequence[str]) -> dict[str, str | None]:
        """Those of the names that are here, with the label that was said to be true, None of rows that were dropped."""
        if not self._store.exists(CORRECTIONS):
            return {}
        found = self._store.read(CORRECTIONS, columns=("name", "label"), where=pl.col("name").is_in(list(names)))
        return dict(found.iter_rows())

    def record(self, rows: pl.DataFrame) -> None:
        """Keep what was said of rows, with the columns of `RECORDED`; of the labels of one row the last. Again adds nothing."""
        if rows.is_empty():
            return
        known = self.among(rows["name"].to_list())
        self._store.insert(CORRECTIONS, rows.select(RECORDED), by=("name",), note={})
        other = [known.get(name, label) != label for name, label in rows.select("name", "label").iter_rows()]
        self._store.amend(CORRECTIONS, rows.filter(other).select("name", "label", "file"), by="name", note={})

    def forget(self, rows: pl.DataFrame) -> None:
        """Drop what was said of the rows that stood there: source, origin, row."""
        if self._store.exists(CORRECTIONS):
            said = self._store.read(CORRECTIONS, columns=("name", "source", "origin", "row"))
            gone = said.join(rows, on=["source", "origin", "row"], how="semi")["name"]
            self._store.remove(CORRECTIONS, "name", gone.to_list(), note={})

    def drop(self, names: Sequence[str]) -> None:
        """Drop what was said of the rows of these names."""
        self._store.remove(CORRECTIONS, "name", names, note={})

    def drop_source(self, source: str) -> None:
        """Drop what was said of the rows of a source, and of those that were planted in it."""
        self._store.remove(CORRECTIONS, "source", [source], note={})
        self._store.remove(CORRECTIONS, "origin", [planted_in(source)], note={})
