"""From rows that keep the contract to rows as the lake keeps them. A pure function of the frame; reads and writes nothing."""

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

from demlopment import images
from demlopment.records import Examples

CURATED = ("key", "original", "image", "label", "source", "licence", "origin", "row", "preparation")


def curate(good: pl.DataFrame) -> pl.DataFrame:
    """Every picture prepared as the network will see it, named by its content, with the version of that preparation.

    `key` is the SHA-256 of the prepared pixels, `original` that of the raw bytes. Preparing leaves 4,999 of the 5,000
    packaged digits as they are.
    """
    raw = good["image"].to_list()
    prepared = [images.prepare(picture).tobytes() for picture in pixels(good)]
    return good.with_columns(
        key=pl.Series([hashlib.sha256(picture).hexdigest() for picture in prepared], dtype=pl.String),
        original=pl.Series([hashlib.sha256(picture).hexdigest() for picture in raw], dtype=pl.String),
        image=pl.Series(prepared, dtype=pl.Binary),
        preparation=pl.lit(images.VERSION, pl.Int64),
    ).select(CURATED)


def examples(frame: pl.DataFrame) -> Examples:
    """The frame's rows, in its order, as arrays."""
    return Examples(
        keys=np.array(frame["key"].to_list(), dtype=np.str_),
        images=pixels(frame),
        labels=frame["label"].to_numpy().astype(np.int64),
        sources=np.array(frame["source"].to_list(), dtype=np.str_),
    )


def pixels(frame: pl.DataFrame) -> npt.NDArray[np.uint8]:
    """The column `image` as (n, 28, 28), in memory of its own that may be written to, as torch asks."""
    flat = np.frombuffer(b"".join(frame["image"].to_list()), np.uint8)
    return flat.reshape(-1, images.SIDE, images.SIDE).copy()
