"""What a source is: rows of one origin, good or bad, a batch at a time. Knows no format of a file, and judges no row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from demlopment.data.contract import GREY, RAW, check_columns

BATCH = 10_000  # rows that are in memory at once: 8 MB of pixels, and as much again while they are prepared


class Source(Protocol):
    """Rows of one origin, good or bad, a batch at a time, so that no source need fit into memory."""

    @property
    def name(self) -> str:
        """Of the source, as every row carries it."""
        ...

    @property
    def sha256(self) -> str:
        """Of the source's file or files; "" when the rows came from the journal."""
        ...

    @property
    def rows(self) -> int | None:
        """How many there are, or None where only reading all of them would tell."""
        ...

    def batches(self) -> Iterator[pl.DataFrame]:
        """All rows in their order, at most `BATCH` at once, with the columns of contract.RAW; from the start each time.

        Raises DataError naming the file, and the place in it, where the source itself is broken; a bad row is none.
        """
        ...


@dataclass(frozen=True, eq=False)
class RawRows:
    """A source that is in memory."""

    name: str
    sha256: str
    frame: pl.DataFrame  # columns of contract.RAW

    def __post_init__(self) -> None:
        check_columns(self.frame)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.frame)

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source."""
        return self.frame.iter_slices(BATCH)

    @classmethod
    def of(
        cls,
        images: Sequence[bytes | None],
        labels: Sequence[str | None],
        *,
        source: str,
        licence: str,
        origins: str | Sequence[str],
        sha256: str = "",
    ) -> "RawRows":
        """Rows in the given order; `origins` is one for all (a file's SHA-256) or one each (request ids)."""
        columns = {
            "image": images,
            "format": [GREY] * len(images),
            "label": labels,
            "writer": [None] * len(images),
            "source": [source] * len(images),
            "licence": [licence] * len(images),
            "origin": [origins] * len(images) if isinstance(origins, str) else origins,
            "row": range(len(images)),
        }
        return cls(source, sha256, pl.DataFrame(columns, schema=RAW))
