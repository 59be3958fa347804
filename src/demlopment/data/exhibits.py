"""Bad rows as people look at them: counted by reason, with their pictures, and as files. Changes nothing in the quarantine."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from demlopment import home, images
from demlopment.data.contract import GREY, ROW, SEPARATOR
from demlopment.data.quarantine import ALL, Quarantine
from demlopment.records import BadRow, Exhibit

LISTED = ("name", "label", "writer", "source", "origin", "row", "place", "reasons")
LIST, PICTURES = "rows.csv", "pictures"
SHOWN = ("name", "image", "format", "label", "source")
MOST_REASONS, MOST_ROWS = 12, 3  # in the report: at most 36 pictures of 1 kB
LONGEST, HEAD = 40, 8  # characters of a label or source, and bytes of what is no picture, that are shown


def chosen(source: str | None, reason: str | None) -> pl.Expr:
    """Which bad rows are meant: of a source, with these words in a reason; all where neither is given."""
    theirs = ALL if source is None else pl.col("source") == source
    return theirs if reason is None else theirs & pl.col("reasons").str.contains(reason, literal=True)


def counted(reasons: pl.Series) -> dict[str, int]:
    """How many rows have each reason, the most frequent first; a row with two counts under both."""
    each = reasons.str.split(SEPARATOR).explode().alias("reason").value_counts()
    return dict(each.sort("count", "reason", descending=[True, False]).iter_rows())


def picture(image: bytes | None, kind: str | None) -> bytes | None:
    """What a bad row shows as a PNG of our own making, 28 x 28; None where it is no picture that can be read."""
    if kind == ROW:
        return None
    try:
        if kind == GREY:
            return images.encode_png(np.frombuffer(image or b"", np.uint8).reshape(images.SIDE, images.SIDE))
        return images.encode_png(images.prepare(image or b""))
    except ValueError:  # an ImageError too
        return None


def exhibits(quarantine: Quarantine) -> tuple[Exhibit, ...]:
    """The most frequent reasons, with the first few rows of each."""
    light = quarantine.found(ALL, ("name", "source", "row", "reasons")).sort("source", "row", "name")
    each = light.with_columns(reason=pl.col("reasons").str.split(SEPARATOR)).explode("reason")
    first = {
        reason: (count, each.filter(pl.col("reason") == reason)["name"].head(MOST_ROWS).to_list())
        for reason, count in list(counted(light["reasons"]).items())[:MOST_REASONS]
    }
    wanted = sorted({name for _, names in first.values() for name in names})
    found = quarantine.found(pl.col("name").is_in(wanted), SHOWN)
    rows = {row["name"]: _bad_row(row) for row in found.iter_rows(named=True)}
    return tuple(Exhibit(reason, count, tuple(rows[name] for name in names)) for reason, (count, names) in first.items())


def export(quarantine: Quarantine, folder: Path, where: pl.Expr) -> int:
    """Write those bad rows into a new folder, and return how many they are: `rows.csv`, and `pictures/<name>.png`.

    The list's column `file` is empty where there is no picture. With its labels put right it is a file of corrections.
    The folder appears whole or not at all. Raises DataError if it exists and holds something.
    """
    count = 0
    with home.new_folder(folder) as partial, (partial / LIST).open("w", encoding="utf-8", newline="") as file:
        (partial / PICTURES).mkdir()
        writer = csv.writer(file)
        writer.writerow((*LISTED, "file"))
        for rows in quarantine.slices():
            meant = rows.filter(where)
            files = _written(partial, meant)
            writer.writerows((*row, name) for row, name in zip(meant.select(LISTED).iter_rows(), files, strict=True))
            count += len(meant)
    return count


def _bad_row(row: Mapping[str, Any]) -> BadRow:
    image, label = row["image"], row["label"]
    shown, size = picture(image, row["format"]), None if image is None else len(image)
    return BadRow(label and label[:LONGEST], row["source"][:LONGEST], shown, size, (image or b"")[:HEAD])


def _written(folder: Path, rows: pl.DataFrame) -> Iterator[str]:
    for name, image, kind in rows.select("name", "image", "format").iter_rows():
        shown, file = picture(image, kind), f"{PICTURES}/{name}.png"
        if shown is not None:
            (folder / file).write_bytes(shown)
        yield "" if shown is None else file
