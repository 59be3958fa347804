"""What people said of labels: a table that only grows, and the labels that follow from it. Changes no row of `examples`.

The table `examples` keeps what sources said. A snapshot has the labels that follow from the reviews up to the last batch
when it was pinned, which the table `reviewed` names; so later ones change no snapshot, and each new one has them.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from demlopment.data.tables import ATTEMPTS, TableStore
from demlopment.errors import NotReadyError
from demlopment.records import Snapshot

REVIEWS, REVIEWED = "reviews", "reviewed"
COLUMNS = {
    "batch": pl.Int64,  # rises with every addition, and no number is used twice
    "row": pl.Int64,  # in the file, whose later rows are the later reviews
    "key": pl.String,
    "was": pl.String,  # the label that was shown to whoever judged
    "label": pl.String,  # that it has from then on; None where the row is dropped
    "by": pl.String,
    "at": pl.Float64,  # seconds since 1970
    "file": pl.String,  # SHA-256 of it
}
PLACE = ("batch", "row")
DROPPED = ""  # stands for the label of a row that is in no snapshot


@dataclass(frozen=True)
class Review:
    """What one person said of one row."""

    key: str
    was: str
    label: str | None
    by: str
    at: float
    file: str
    row: int


class Reviews:
    """The reviews of one store, and what each snapshot counts of them."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def add(self, reviews: Sequence[Review]) -> int:
        """Add, in one commit, those that say something new, and return how many these are.

        A row of a file that was added before says nothing new, nor does a verdict that its person's last one repeats.
        """
        given = pl.DataFrame([asdict(review) for review in reviews], schema={k: v for k, v in COLUMNS.items() if k != "batch"})
        for _ in range(ATTEMPTS):
            version = self._store.version(REVIEWS)
            known = self.all()
            fresh = _new(given, known)
            # Each commit makes a version, also one that forgets: the number is higher than any that was given before.
            numbered = fresh.with_columns(batch=pl.lit((version or 0) + 1, pl.Int64)).select(*COLUMNS)
            frames = [] if numbered.is_empty() else [numbered]
            if self._store.extend(REVIEWS, frames, since=version, note={}):
                return len(fresh)
        raise NotReadyError("Other processes keep adding reviews.", "Try again when they are done.")

    def all(self) -> pl.DataFrame:
        """Every review, the oldest first, with the columns of `COLUMNS`."""
        if not self._store.exists(REVIEWS):
            return pl.DataFrame(schema=COLUMNS)
        return self._store.read(REVIEWS).select(*COLUMNS).sort(*PLACE)

    def of(self, keys: Collection[str]) -> tuple[Review, ...]:
        """Every review of these rows, the oldest first."""
        found = self.all().filter(pl.col("key").is_in(list(keys))).drop("batch")
        return tuple(Review(**row) for row in found.to_dicts())

    def last(self) -> int:
        """The number of the last batch, 0 where nothing was reviewed."""
        return int(self.all()["batch"].max() or 0)  # type: ignore[arg-type]  # whole numbers

    def standing(self, last: int | None = None) -> pl.DataFrame:
        """The label of every key that was reviewed, `DROPPED` where it has none: what the latest of its reviews says.

        Of the reviews those up to the batch `last` count, or all of them.
        """
        counted = self.all() if last is None else self.all().filter(pl.col("batch") <= last)
        latest = counted.unique("key", keep="last", maintain_order=True)
        return latest.select("key", pl.col("label").fill_null(DROPPED))

    def corrected(self, rows: pl.DataFrame, last: int) -> pl.DataFrame:
        """The rows (key, label, more) with the labels that follow from the reviews up to a batch, without dropped ones."""
        standing = self.standing(last) if last else pl.DataFrame()
        if standing.is_empty():
            return rows
        label = pl.col("key").replace_strict(standing["key"], standing["label"], default=pl.col("label"))
        relabelled = rows.with_columns(label=label)
        dropped = (relabelled["label"] == DROPPED).any()
        return relabelled.filter(pl.col("label") != DROPPED) if dropped else relabelled

    def note(self, snapshot: Snapshot, last: int) -> None:
        """Say that a snapshot counts the reviews up to that batch; before it is pinned, and once for all."""
        row = pl.DataFrame({"name": [snapshot.name], "digest": [snapshot.digest], "last": [last]})
        if last:
            self._store.insert(REVIEWED, row, by=("name", "digest"), note={"snapshot": snapshot.name})

    def counted(self, snapshot: Snapshot) -> int:
        """The last batch that a pinned snapshot counts, 0 where it counts none."""
        if not self._store.exists(REVIEWED):
            return 0
        same = (pl.col("name") == snapshot.name) & (pl.col("digest") == snapshot.digest)
        return int(self._store.read(REVIEWED, columns=("last",), where=same)["last"].max() or 0)  # type: ignore[arg-type]  # as above

    def forget(self, keys: Collection[str]) -> None:
        """Remove every review of these rows."""
        self._store.remove(REVIEWS, "key", keys, note={})


def _new(given: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Those of the given reviews that say something which the known ones do not."""
    unread = given.join(known, on=["file", "row", "by"], how="anti", maintain_order="left")
    latest = known.unique("key", keep="last", maintain_order=True).select("key", "label", "by")
    together = pl.concat([latest, unread.select("key", "label", "by")]).with_row_index("place")
    before = pl.struct("label", "by").shift().over("key", order_by="place")
    repeated = together.select(again=before == pl.struct("label", "by"))["again"].fill_null(value=False)
    return unread.filter(~repeated[len(latest) :])
