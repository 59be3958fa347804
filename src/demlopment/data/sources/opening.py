"""Which source reads a path: told by what is in the file, not by its name."""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from demlopment.data.sources.delimited import Side, delimited
from demlopment.data.sources.folders import pictures
from demlopment.data.sources.idx import idx, is_idx
from demlopment.data.sources.labels import EXAMPLES, SNAPSHOT
from demlopment.data.sources.npz import is_npz, npz
from demlopment.data.sources.official import NAMES
from demlopment.data.sources.packaged import PACKAGED, PACKAGED_SHA256, called, packaged_digits
from demlopment.data.sources.parquet import is_parquet, parquet
from demlopment.data.sources.port import UNSTATED, Source, refuse_endless, storable
from demlopment.data.sources.returned import FEEDBACK
from demlopment.data.sources.spoiled import PLANTED
from demlopment.data.sources.strokes import is_json, strokes
from demlopment.data.sources.unpacked import unpacked
from demlopment.data.sources.zips import is_zip
from demlopment.errors import DataError
from demlopment.images import is_picture

RESERVED = {FEEDBACK, PLANTED, PACKAGED, *NAMES}  # names that say more of a row than where it lay
LONGEST = 100  # characters of a name, which every row carries

START = 512  # bytes that tell what a file is
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # in no text, but nearly always in the start of anything else
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # whose letters have zero bytes
KINDS: tuple[tuple[Callable[[bytes], bool], Callable[..., Source]], ...] = (
    (is_parquet, parquet),
    (is_npz, npz),
    (is_zip, pictures),
    (is_json, strokes),
)


def opened(
    path: Path | None = None, *, name: str | None = None, licence: str | None = None, labels: Side | Path | None = None
) -> Source:
    """The packaged digits, or the rows of a user's path: a folder or a zip of pictures, IDX pictures with their labels
    beside them, lines of pixels, Parquet, .npz or strokes of a pen.

    `name` is what the source is called in the lake, so that a folder which has grown is still the same source; `labels`
    says in which column the label stands, where lines without names leave that open, or is the file of IDX pictures' labels.
    Raises DataError naming the path if it cannot be read, or is none of these, for a name that is not to be had, and for
    `labels` that do not belong to it.
    """
    if name is not None:
        _check(name)
    licence = licence and storable(licence)
    if path is not None:
        refuse_endless(path)
        if (path / EXAMPLES).is_file() and (path / SNAPSHOT).is_file():  # a snapshot that was checked out
            return opened(path / EXAMPLES, name=name, licence=licence, labels=labels)
    file = path is not None and path.is_file()
    start = _start(path) if path is not None and file else b""
    if isinstance(labels, Path) and not is_idx(start):
        raise DataError(
            f"{path or 'The packaged data set'} is no IDX file, so that its labels do not stand in {labels}.",
            "Leave --labels out, or say `first` or `last` where lines of pixels leave it open.",
        )
    if path is None:
        return packaged_digits(name=name, licence=licence)
    if is_idx(start):
        return idx(path, _given(labels, path), name=name, licence=licence or UNSTATED)
    for told, source in KINDS:
        if told(start):
            return source(path, name=name, licence=licence or UNSTATED)
    if not file:
        return pictures(path, name=name, licence=licence or UNSTATED)
    assert not isinstance(labels, Path), "those were refused"
    _check_text(path, start)
    rows = delimited(path, labels, name=name, licence=licence or UNSTATED)
    return called(rows, name, licence) if rows.sha256 == PACKAGED_SHA256 else rows


def _start(path: Path) -> bytes:
    with unpacked(path) as file:
        return file.upto(START)


def _check_text(path: Path, start: bytes) -> None:
    """Raise DataError for a file that starts as no text does, and is none of the kinds."""
    if is_picture(start):
        raise DataError(
            f"{path} is a single picture, which has no label.",
            "Put it into a folder that is called as its label, and give the folder above that.",
        )
    if BINARY.search(start) and not start.startswith(UTF_16):
        raise DataError(
            f"{path} starts with {start[:8]!r}, as none of the files does that are read.",
            "Give IDX, CSV, Parquet, .npz, JSON lines, or a folder or a zip of pictures.",
        )


def _given(labels: Side | Path | None, path: Path) -> Path | None:
    """The file of the labels of IDX pictures."""
    if labels is None or isinstance(labels, Path):
        return labels
    raise DataError(
        f"{path} has no column of labels that could be the {labels}.", "Give the file of its labels with `--labels FILE`."
    )


def _check(name: str) -> None:
    if name in RESERVED:
        raise DataError(f"The name {name!r} is reserved for a source of ours.", "Give another name.")
    if not 0 < len(name) <= LONGEST or not name.isprintable() or name != name.strip():
        raise DataError(
            f"The name {name[:LONGEST]!r} does not fit.",
            f"Give 1 to {LONGEST} printable characters without spaces around them.",
        )
