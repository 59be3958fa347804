"""Rows with bad ones planted among them, for a demonstration and for tests. Judges none."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from demlopment.data import transform
from demlopment.data.contract import PIXELS
from demlopment.data.sources.port import Source, raw_frame

PLANTED = "planted"  # the source of rows that are bad on purpose
COUNT = 6  # of them


@dataclass(frozen=True)
class Spoiled:
    """A source with bad rows after its own. Make one with `spoiled`."""

    source: Source

    @property
    def name(self) -> str:
        """As Source."""
        return self.source.name

    @property
    def sha256(self) -> str:
        """As Source; of the rows that are not planted."""
        return self.source.sha256

    @property
    def rows(self) -> int | None:
        """As Source."""
        return None if self.source.rows is None else self.source.rows + COUNT

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source. Where no row shows anything, none is planted."""
        shown = None
        for batch in self.source.batches():
            shown = shown or _first(batch)
            yield batch
        if shown:
            yield _planted(*shown, self.name)


def spoiled(source: Source) -> Spoiled:
    """The same rows followed by six planted bad ones, each made from a good one, to see that the contract catches them."""
    return Spoiled(source)


def planted_in(source: str) -> str:
    """Where planted rows say that they come from."""
    return f"planted in {source}"


def _first(batch: pl.DataFrame) -> tuple[bytes, str, str] | None:
    """Prepared pixels, label and licence of the first row that shows something."""
    rows = batch.filter(pl.all_horizontal(pl.col("image", "format", "label").is_not_null(), pl.col("fault").is_null()))
    for image, kind, label, licence in rows.select("image", "format", "label", "licence").iter_rows():
        (pixels,) = transform.prepared([image], pl.Series([kind]))
        if isinstance(pixels, bytes):
            return pixels, label, licence
    return None


def _planted(pixels: bytes, label: str, licence: str, source: str) -> pl.DataFrame:
    return raw_frame(
        [pixels, pixels, pixels[:-1], bytes(PIXELS), None, pixels],
        ["12", None, label, label, label, "1" if label == "0" else "0"],
        source=PLANTED,
        licence=licence,
        origins=planted_in(source),
    )
