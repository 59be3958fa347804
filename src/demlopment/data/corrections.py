"""What people say of bad rows: their true labels, read from a CSV file, and the table of those that were put right by it.

The table tells a row that was corrected from one that was never there, so that a replay that was killed, or a source that
is ingested again, finds nothing new in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from demlopment.data.sources.port import digest
from demlopment.data.tables import TableStore
from demlopment.errors import DataError

CORRECTIONS = "corrections"
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
    sha256 = digest(path)
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        problem = str(error).strip().splitlines()[0].rstrip(".")
        raise DataError(
            f"{path} is no CSV file that can be read: {problem}.", "Give a header name,label and a row a line."
        ) from error
    if not {"name", "label"} <= set(frame.columns):
        raise DataError(
            f"{path} has the columns {', '.join(frame.columns)}.",
            "Give it the columns name and label, as `demlopment data quarantine --export` does.",
        )
    said = frame.select(pl.col("name", "label").str.strip_chars()).filter(pl.col("label") != "").unique()
    twice = said.filter(pl.col("name").is_duplicated())["name"].sort().to_list()
    if twice:
        raise DataError(f"{path} gives two labels to the row {twice[0]}.", "Keep the one that is true.")
    return Corrections(str(path), sha256, dict(said.iter_rows()))


class Corrected:
    """The table `corrections` of one store: rows that a file named and that have left quarantine."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def among(self, names: Sequence[str]) -> dict[str, str]:
        """Those of the names that are here, with the label that was said to be true."""
        if self._store.version(CORRECTIONS) is None:
            return {}
        found = self._store.read(CORRECTIONS, columns=("name", "label"), where=pl.col("name").is_in(list(names)))
        return dict(found.iter_rows())

    def record(self, rows: pl.DataFrame) -> None:
        """Keep what was said of rows, with the columns of `RECORDED`. Recording it again adds nothing."""
        if not rows.is_empty():
            self._store.insert(CORRECTIONS, rows.select(RECORDED), by=("name",), note={})

    def forget(self, rows: pl.DataFrame) -> None:
        """Drop what was said of the rows that stood there: source, origin, row."""
        if self._store.version(CORRECTIONS) is not None:
            said = self._store.read(CORRECTIONS, columns=("name", "source", "origin", "row"))
            gone = said.join(rows, on=["source", "origin", "row"], how="semi")["name"]
            self._store.remove(CORRECTIONS, "name", gone.to_list(), note={})
