"""What a person should look at: labels that are doubted or contradicted, and requests without one. Decides nothing."""

import hashlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import polars as pl

from demlopment import seen
from demlopment.data import transform
from demlopment.data.intake import CONTRADICTED
from demlopment.data.lake import Lake
from demlopment.home import new_folder

FILE = "reviews.csv"
VERDICT = "verdict"  # the column that a person fills
PICTURES = "pictures"


@dataclass(frozen=True)
class Item:
    """One label in question, or one that is missing."""

    key: str
    label: str  # that the row has, "" of a request
    suggestion: str  # "" of a request: who is shown an answer believes it
    why: str
    score: float | None  # of a doubt its margin, -1 to 0, the lower the likelier wrong; of a request that of ranking.Pick
    snapshot: str | None  # in which it was doubted


SCHEMA = {field.name: pl.Float64 if field.name == "score" else pl.String for field in fields(Item)}


def waiting(lake: Lake) -> tuple[Item, ...]:
    """Every label in question: contradictions first, then doubts, the likeliest error first; then requests without one.

    A row that was reviewed, whatever the verdict, is in question no more; neither is one that is gone. Nor is a request that
    has a label by now, from whomever.
    """
    asked = pl.concat([_contradictions(lake), lake.doubted.all().with_columns(why=pl.lit("doubted")).select(*SCHEMA)])
    unseen = asked.join(lake.reviews.standing(), on="key", how="anti", maintain_order="left")
    once = unseen.unique(("key", "suggestion"), keep="first", maintain_order=True)
    held = lake.now(pl.col("key").is_in(once["key"].to_list()), ("key", "label")).unique("key")
    # A doubt is about the label that it names: of another label that the row has by now it says nothing.
    present = once.join(held, on=("key", "label"), how="semi", maintain_order="left")
    return tuple(Item(**row) for row in (*present.to_dicts(), *_unlabelled(lake).to_dicts()))


def export(lake: Lake, folder: Path) -> int:
    """Write what waits into a new folder, the pictures and `reviews.csv` with an empty column `verdict`; how many it is.

    A row of a table is a file of JSON there: an object, or a list where nobody named the columns.
    The folder appears whole or not at all. Raises DataError if it exists and holds something.
    """
    items = waiting(lake)
    wanted, shown = pl.col("key").is_in([item.key for item in items]), ("key", "image")
    parts = (lake.now(wanted, shown), lake.asked.all().filter(wanted))
    rows = pl.concat([part.select("key", pl.col("image").cast(pl.Binary)) for part in parts]).unique("key")
    with new_folder(folder) as partial:
        (partial / PICTURES).mkdir()
        kind = "json" if transform.width(rows) else "png"
        for key, held in zip(rows["key"], transform.pixels(rows), strict=True):
            (partial / PICTURES / f"{key}.{kind}").write_bytes(seen.encode(held, lake.columns))
        listed = pl.DataFrame([asdict(item) for item in items], schema=SCHEMA)
        picture = pl.format(f"{PICTURES}/{{}}.{kind}", "key").alias("picture")
        listed.select(picture, *SCHEMA, pl.lit(None, pl.String).alias(VERDICT)).write_csv(partial / FILE)
    return len(items)


def _unlabelled(lake: Lake) -> pl.DataFrame:
    """What was picked to be asked about, once for each picture."""
    asked = lake.asked.all().unique("key", keep="first", maintain_order=True)
    unseen = asked.join(lake.reviews.standing(), on="key", how="anti", maintain_order="left")
    held = lake.now(pl.col("key").is_in(unseen["key"].to_list()), ("key",))
    columns = {
        "label": pl.lit(""),
        "suggestion": pl.lit(""),
        "why": pl.format("a request, {}", "why"),
        "snapshot": pl.lit(None, pl.String),
    }
    return unseen.join(held, on="key", how="anti", maintain_order="left").with_columns(**columns).select(*SCHEMA)


def _contradictions(lake: Lake) -> pl.DataFrame:
    """Rows in quarantine whose picture the lake has with another label, which is the one in question."""
    columns_held = ("image", "format", "label", "reasons", "source", "origin", "row")
    bad = lake.bad.found(pl.col("reasons").str.starts_with(CONTRADICTED), columns_held).sort("source", "origin", "row")
    keys = [
        hashlib.sha256(each).hexdigest()
        for each in transform.prepared(bad["image"].to_list(), bad["format"])
        if isinstance(each, bytes)  # all: a picture that cannot be read contradicts nothing
    ]
    columns = {
        "label": pl.col("reasons").str.strip_prefix(CONTRADICTED),
        "suggestion": pl.col("label"),
        "why": pl.format("contradicted by {}", "source"),
        "score": pl.lit(None, pl.Float64),
        "snapshot": pl.lit(None, pl.String),
    }
    return bad.select(pl.Series("key", keys, pl.String), **columns)
