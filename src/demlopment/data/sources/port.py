"""What a source is: rows of one origin, good or bad, a batch at a time. Knows no format of a file, and judges no row."""

import hashlib
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import polars as pl

from demlopment.data.contract import GREY, RAW, UNREAD, check_columns
from demlopment.errors import DataError

UNSTATED = "not stated"  # a licence that nobody named
BATCH = 2_500  # rows that are in memory at once, and again at each of a dozen steps; fewer cost more processor than they save
BATCH_BYTES = 8_000_000  # of pictures that are in memory at once, likewise; one picture may have more
LARGEST = 16_000_000  # bytes of a picture: what a grey one of images.MAX_PIXELS has unpacked
LEFT_OVER = 4096  # bytes of a row that could not be read which quarantine keeps: the source still has the rest

Row = TypeVar("Row")


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
        """All rows in their order, with the columns of contract.RAW; from the start each time.

        At once at most `BATCH` rows with at most `BATCH_BYTES` of pictures, or one row. Of a picture of more than `LARGEST`
        bytes the row has the first `LEFT_OVER`, and the fault `too_large`.

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
        sizes = self.frame["image"].bin.size().fill_null(0).to_list()
        return (self.frame[rows[0] : rows[-1] + 1] for rows in batched(range(len(sizes)), sizes.__getitem__))

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
        kind: str | Sequence[str] = GREY,
    ) -> "RawRows":
        """Rows in the given order; `origins` is one for all (a file's SHA-256) or one each (request ids)."""
        places = None if isinstance(origins, str) else origins
        frame = raw_frame(images, labels, source=source, licence=licence, origins=origins, kind=kind, places=places)
        return cls(source, sha256, frame)


def raw_frame(
    images: Sequence[bytes | None],
    labels: Sequence[str | None],
    *,
    source: str,
    licence: str | Sequence[str],
    origins: str | Sequence[str],
    kind: str | Sequence[str] = GREY,
    writers: Sequence[str | None] | None = None,
    places: Sequence[str | None] | None = None,
    faults: Sequence[str | None] | None = None,
    first: int = 0,
) -> pl.DataFrame:
    """The columns of contract.RAW for rows that stand in their source from position `first` on; one text is for all rows."""
    unknown = [None] * len(images)
    images, kinds, faults = _limited(images, _each(kind, len(images)), unknown if faults is None else faults)
    columns = {
        "image": images,
        "format": kinds,
        "label": labels,
        "writer": unknown if writers is None else writers,
        "source": [source] * len(images),
        "licence": _each(licence, len(images)),
        "origin": _each(origins, len(images)),
        "row": range(first, first + len(images)),
        "place": unknown if places is None else places,
        "fault": faults,
    }
    return pl.DataFrame(columns, schema=RAW)


def batched(rows: Iterable[Row], size: Callable[[Row], int]) -> Iterator[list[Row]]:
    """Rows in batches as `Source` has them; `size` tells the bytes of one row's picture."""
    batch: list[Row] = []
    total = 0
    for row in rows:
        length = size(row)
        if batch and (len(batch) == BATCH or total + length > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(row)
        total += length
    if batch:
        yield batch


def fitting(size: int) -> int:
    """How many rows are a batch where each row's picture has so many bytes."""
    return max(1, min(BATCH, BATCH_BYTES // max(1, size)))


def too_large(size: int) -> str:
    """What is wrong with a picture of more than `LARGEST` bytes.

    >>> too_large(31_000_000)
    'picture has 31.0 MB, and 16.0 MB is the limit'
    """
    return f"picture has {size / 1e6:.1f} MB, and {LARGEST / 1e6:.1f} MB is the limit"


def _limited(
    images: Sequence[bytes | None], kinds: Sequence[str], faults: Sequence[str | None]
) -> tuple[Sequence[bytes | None], Sequence[str], Sequence[str | None]]:
    """Pictures, formats and faults; of a picture that is too large, its start and that it is."""
    sizes = [0 if image is None or fault else len(image) for image, fault in zip(images, faults, strict=True)]
    if max(sizes, default=0) <= LARGEST:
        return images, kinds, faults
    return (
        [image[:LEFT_OVER] if image and size > LARGEST else image for image, size in zip(images, sizes, strict=True)],
        [UNREAD if size > LARGEST else kind for kind, size in zip(kinds, sizes, strict=True)],
        [too_large(size) if size > LARGEST else fault for fault, size in zip(faults, sizes, strict=True)],
    )


def _each(value: str | Sequence[str], count: int) -> Sequence[str]:
    return [value] * count if isinstance(value, str) else value


def own_name(stem: str, sha256: str) -> str:
    r"""What a user's own file is called in the lake; the prefix keeps feedback.csv apart from rows that came back.

    >>> own_name("e\x1b[31mf\ng", "abcdef0123")
    'file:e?[31mf?g-abcdef01'
    """
    shown = "".join(each if each.isprintable() else "?" for each in storable(stem))
    return f"file:{shown}-{sha256[:8]}"


def storable(text: str) -> str:
    """Text with "?" for the halves of characters that names of files and JSON may have, and no table takes.

    >>> storable("gr\\udcfcn")
    'gr?n'
    """
    return text.encode(errors="replace").decode()


def digest(*paths: Path) -> str:
    """SHA-256 of a file, or of several in their order. Raises DataError where one cannot be read."""
    sums = []
    for path in paths:
        refuse_endless(path)
        try:
            with path.open("rb") as file:
                sums.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise unreadable(path, error) from error
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def refuse_endless(path: Path) -> None:
    """Raise DataError for a pipe or a device, which may never end, and for what is not there."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DataError(f"{path} is neither a file nor a folder.", "Write what it gives into a file, and give that.")


def unreadable(path: Path, error: OSError) -> DataError:
    """What the operating system said of a path, in our two sentences."""
    return DataError(f"{path} cannot be read: {error.strerror or error}.", "Correct the path, or restore the file.")
