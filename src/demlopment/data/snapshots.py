"""What pinned snapshots hold, how two differ, and their rows as files for others. Changes nothing in the lake."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from demlopment import home, images
from demlopment.data import transform
from demlopment.data.lake import Lake
from demlopment.data.room import refusal
from demlopment.data.runs import RUN, Arrival
from demlopment.data.sources import FEEDBACK
from demlopment.data.sources.labels import EXAMPLES, SNAPSHOT
from demlopment.errors import DataError
from demlopment.records import Snapshot

SEEN = ("key", "label", "writer", "source", "origin")
LISTED = (*SEEN, "licence", "row", "original", "preparation", RUN)  # everything but the picture
UNKNOWN = "unknown"  # a writer whom nobody knows


@dataclass(frozen=True)
class Contents:
    """One snapshot with its rows counted; a picture counts once."""

    snapshot: Snapshot
    classes: Mapping[str, int]
    writers: Mapping[str, int]  # "unknown" for rows whose writer is not known
    sources: Mapping[str, int]
    origins: Mapping[str, int]  # SHA-256 of a file, or the request ids of what came back counted together as "requests"
    arrivals: tuple[Arrival, ...]


@dataclass(frozen=True)
class Licensed:
    """The rows of a snapshot that came from one source under one licence."""

    source: str
    licence: str
    rows: int


@dataclass(frozen=True)
class Difference:
    """What one snapshot has and the other has not, by key; counts are (before, after) where they differ."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: Mapping[str, tuple[str, str]]
    classes: Mapping[str, tuple[int, int]]
    writers: Mapping[str, tuple[int, int]]


def contents(lake: Lake, name: str) -> Contents:
    """What the snapshot of that name holds, verified. Raises DataError as Lake.rows."""
    snapshot = lake.named(name)
    rows = lake.rows(snapshot, (*SEEN, RUN))
    return Contents(snapshot, **_counted(rows), arrivals=lake.arrivals(rows))


def licensed(lake: Lake, snapshot: Snapshot) -> tuple[Licensed, ...]:
    """Where a snapshot's rows came from, and their licences; a picture counts once. Raises DataError as Lake.rows."""
    rows = lake.rows(snapshot, ("key", "label", "source", "licence"))
    counted = rows.group_by("source", "licence").len().sort("source", "licence")
    return tuple(Licensed(*row) for row in counted.iter_rows())


def difference(lake: Lake, before: str, after: str) -> Difference:
    """How the rows of one snapshot differ from those of another. Raises DataError as Lake.rows."""
    old, new = (lake.rows(lake.named(name), SEEN) for name in (before, after))
    counted, recounted = _counted(old), _counted(new)
    both = old.join(new, on="key", suffix="_after").filter(pl.col("label") != pl.col("label_after"))
    changed = {key: (one, other) for key, one, other in both.select("key", "label", "label_after").sort("key").iter_rows()}
    return Difference(
        added=tuple(new.join(old, on="key", how="anti")["key"].sort()),
        removed=tuple(old.join(new, on="key", how="anti")["key"].sort()),
        relabelled=changed,
        classes=_moved(counted["classes"], recounted["classes"]),
        writers=_moved(counted["writers"], recounted["writers"]),
    )


def checkout(lake: Lake, snapshot: Snapshot, folder: Path, *, pictures: bool = False) -> Path:
    """Write a snapshot to a new folder: `examples.parquet`, or `<class>/<key>.png` with `labels.csv`; and `snapshot.json`.

    The folder appears whole or not at all. Raises DataError if it exists and holds something, for pictures of a table, and
    as Lake.rows.
    """
    with home.new_folder(folder) as partial:
        _write(partial, lake.rows(snapshot, (*LISTED, "image")), pictures=pictures)
        (partial / SNAPSHOT).write_text(json.dumps(asdict(snapshot), indent=2) + "\n")
    return folder.absolute()


def _write(folder: Path, rows: pl.DataFrame, *, pictures: bool) -> None:
    if not pictures:
        _write_table(folder / EXAMPLES, rows)
        return
    if transform.width(rows):
        raise DataError("The snapshot holds rows of a table, and no pictures.", "Check it out without --images.")
    for label in rows["label"].unique():
        (folder / label).mkdir()
    files = [f"{label}/{key}.png" for label, key in rows.select("label", "key").iter_rows()]
    for file, picture in zip(files, transform.pixels(rows), strict=True):
        (folder / file).write_bytes(images.encode_png(picture))
    rows.select(pl.Series("file", files, pl.String), *LISTED).write_csv(folder / "labels.csv")


def _write_table(path: Path, rows: pl.DataFrame) -> None:
    try:
        rows.write_parquet(path)
    except pl.exceptions.PolarsError as error:
        number = refusal(str(error))
        if not number:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error  # as Python's own writing says it


def _counted(rows: pl.DataFrame) -> dict[str, dict[str, int]]:
    origin = pl.when(pl.col("source") == FEEDBACK).then(pl.lit("requests")).otherwise("origin")
    columns = {
        "classes": pl.col("label"),
        "writers": pl.col("writer").fill_null(UNKNOWN),
        "sources": pl.col("source"),
        "origins": origin,
    }
    return {
        name: dict(rows.select(column.alias("of")).group_by("of").len().sort("of").iter_rows())
        for name, column in columns.items()
    }


def _moved(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    pairs = {name: (before.get(name, 0), after.get(name, 0)) for name in sorted({*before, *after})}
    return {name: (one, other) for name, (one, other) in pairs.items() if one != other}
