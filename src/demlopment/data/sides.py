"""Whose hand a row is, as the lake knows it, and rows that would change side of a split because that became known later.

A row's side hangs on its writer where one is known (data/splits.py). Knows no picture, no salt and no table.
"""

from collections.abc import Iterable, Mapping, Sequence, Set

import polars as pl

from demlopment.data.runs import RUN
from demlopment.errors import DataError
from demlopment.records import Snapshot

# Of a picture that came twice: still its writer's, or it would change side. null where nobody is known.
HAND = pl.col("writer").min().over("key").alias("writer")
SHOWING = ("key", "source", "writer", RUN)  # what `refuse_moved` needs of rows


def ambiguous(rows: pl.DataFrame) -> pl.Series:
    """The keys of pictures that came more than once and not always with the same writer."""
    if rows["writer"].null_count() == len(rows):
        return pl.Series("key", [], pl.String)
    repeated = rows.lazy().filter(pl.col("key").is_duplicated()).group_by("key").agg(pl.col("writer").n_unique())
    return repeated.filter(pl.col("writer") > 1).collect()["key"]


def refuse_moved(
    rows: pl.DataFrame,
    pins: Iterable[tuple[Snapshot, Set[str] | None]],
    history: Sequence[Mapping[str, object]],
) -> None:
    """Raise DataError if a row to be pinned had another hand when one of the pins was made that have it too.

    rows    all of the ambiguous keys that are to be pinned, as they are now
    pins    those of the same salt, with their sources
    history of the table: which version a run's rows came with
    """
    came = {str(note[RUN]): int(str(note["version"])) for note in history if RUN in note}
    versions = pl.DataFrame({RUN: list(came), "came": list(came.values())}, schema={RUN: pl.String, "came": pl.Int64})
    now = rows.join(versions, on=RUN, how="left").with_columns(pl.col("came").fill_null(-1), now=HAND)
    for snapshot, sources in pins:
        then = now.filter(pl.col("came") <= snapshot.version).with_columns(HAND)
        pinned = then if sources is None else then.filter(pl.col("source").is_in(sorted(sources)))
        moved = pinned.filter(pl.col("writer").ne_missing(pl.col("now")))
        if count := moved["key"].n_unique():
            raise DataError(
                f"Of the rows to be pinned {count} have another writer than in the snapshot {snapshot.name!r}, and would "
                f"change side under the salt {snapshot.salt!r}.",
                "Set data.salt to another word, which begins a new split, or pin only sources without these rows.",
            )
