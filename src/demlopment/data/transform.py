"""From rows that keep the contract to rows as the lake keeps them. A pure function of the frame; reads and writes nothing."""

import hashlib
from collections.abc import Sequence
from itertools import compress

import numpy as np
import polars as pl

from demlopment import images
from demlopment.data.contract import BLANK, FILE, GREY, NUMBER_BYTES, PIXELS, ROW, SEPARATOR
from demlopment.records import Examples
from demlopment.seen import Seen, prepared_with

CURATED = ("key", "original", "image", "label", "writer", "source", "licence", "origin", "row", "preparation")
NOTHING = bytes(PIXELS)


def curate(good: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Every picture prepared as the network will see it, named by its content, with the version of that preparation.

    `key` is the SHA-256 of the prepared pixels, `original` that of the raw bytes. Preparing leaves 4,999 of the 5,000
    packaged digits as they are. Second come the same rows as they were, and third those whose picture cannot be read, as
    they were, with `reasons`.
    """
    given = good["image"].to_list()
    made = prepared(given, good["format"])
    reasons = pl.Series("reasons", [each if isinstance(each, str) else None for each in made], pl.String)
    pictures = [each for each in made if isinstance(each, bytes)]
    if len(pictures) == len(made):  # nearly always; and pictures may be large, which each of the frames would have again
        unread, read = pl.DataFrame(schema={**good.schema, "reasons": pl.String()}), good
    else:
        unread, read = good.with_columns(reasons).filter(reasons.is_not_null()), good.filter(reasons.is_null())
    raws = [raw for raw, each in zip(given, made, strict=True) if isinstance(each, bytes)]
    originals = [hashlib.sha256(raw).hexdigest() for raw in raws]
    keys = [
        original if picture is raw else hashlib.sha256(picture).hexdigest()
        for original, picture, raw in zip(originals, pictures, raws, strict=True)
    ]
    of_rows, of_pictures = (pl.lit(prepared_with(rows=rows), pl.Int64) for rows in (True, False))
    curated = read.with_columns(
        key=pl.Series(keys, dtype=pl.String),
        original=pl.Series(originals, dtype=pl.String),
        image=pl.Series(pictures, dtype=pl.Binary),
        preparation=pl.when(pl.col("format") == ROW).then(of_rows).otherwise(of_pictures),
    )
    return curated.select(CURATED), read, unread


def explained(bad: pl.DataFrame) -> pl.DataFrame:
    """Rows that break the contract, with what is wrong with their pictures among their `reasons` too."""
    if bad.is_empty():
        return bad
    whole = (pl.col("format") == GREY) & (pl.col("image").bin.size() == PIXELS)
    looked = bad.select(((pl.col("format") == FILE) & pl.col("image").is_not_null() | whole).fill_null(value=False)).to_series()
    some = bad.filter(looked)
    made = pl.Series([each if isinstance(each, str) else None for each in prepared(some["image"].to_list(), some["format"])])
    found = pl.DataFrame({"place": looked.arg_true(), "found": made.cast(pl.String)})
    rows = bad.with_row_index("at").join(found, left_on="at", right_on="place", how="left", maintain_order="left")
    new = pl.col("found").is_not_null() & ~pl.col("reasons").str.split(SEPARATOR).list.contains(pl.col("found"))
    joined = pl.when(new).then(pl.concat_str("reasons", "found", separator=SEPARATOR)).otherwise("reasons")
    return rows.with_columns(reasons=joined).select(bad.columns)


def examples(frame: pl.DataFrame, classes: Sequence[str], places: pl.Series) -> Examples:
    """The frame's rows at these places, in their order, as arrays; a label becomes its place in `classes`."""
    named = frame.drop("image")[places]
    labels = named["label"].replace_strict(list(classes), list(range(len(classes))), return_dtype=pl.Int64)
    return Examples(
        keys=named["key"].to_numpy().astype(np.str_),
        images=pixels(frame)[places.to_numpy()],  # a copy, which may be written to, as torch asks
        labels=labels.to_numpy().astype(np.int64),
        sources=named["source"].to_numpy().astype(np.str_),
        writers=named["writer"].fill_null("").to_numpy().astype(np.str_),
    )


def pixels(frame: pl.DataFrame) -> Seen:
    """The column `image` as (n, 28, 28), or of rows of a table as (n, columns), in the frame's own memory."""
    columns = width(frame)
    if columns:
        kind = pl.Array(pl.Float32, columns)
        return frame["image"].bin.reinterpret(dtype=kind, endianness="little").to_numpy()
    flat = frame["image"].bin.reinterpret(dtype=pl.Array(pl.UInt8, PIXELS), endianness="little")
    return flat.to_numpy().reshape(-1, images.SIDE, images.SIDE)


def width(frame: pl.DataFrame) -> int:
    """How many columns the table has whose rows these are; 0 where they are pictures, or none."""
    size = frame["image"].bin.size().first()
    return size // NUMBER_BYTES if isinstance(size, int) and size != PIXELS else 0


def prepared(raws: Sequence[bytes], kinds: pl.Series) -> list[bytes | str]:
    """For each picture its prepared pixels, the very same object where nothing changes, or in words why there are none."""
    grey = (kinds == GREY) & pl.Series([len(raw) == PIXELS for raw in raws], dtype=pl.Boolean)
    pictures = np.frombuffer(b"".join(compress(raws, grey)), np.uint8).reshape(-1, images.SIDE, images.SIDE)
    ready = np.zeros(len(kinds), np.bool_)
    ready[grey.to_numpy()] = images.unchanged(pictures)
    return [raw if done else _prepared(raw, kind) for raw, kind, done in zip(raws, kinds, ready.tolist(), strict=True)]


def _prepared(raw: bytes, kind: str) -> bytes | str:
    """The prepared pixels, or in words why there are none. A row of a table was prepared where its columns were known."""
    if kind == ROW:
        return raw
    if kind == GREY and len(raw) != PIXELS:
        return f"image is {len(raw)} bytes, not {PIXELS}"
    try:
        picture = np.frombuffer(raw, np.uint8).reshape(images.SIDE, images.SIDE) if kind == GREY else raw
        pixels = images.prepare(picture).tobytes()
    except images.ImageError as error:
        return str(error).partition(":")[0].partition(".")[0].removeprefix("The ")  # without its numbers, to be counted
    return BLANK if pixels == NOTHING else pixels
