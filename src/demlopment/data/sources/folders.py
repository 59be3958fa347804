"""Folders of pictures, and zips of them: `label/name.png`, or files that a CSV names. Judges no row, and decodes no picture.

What is wrong with one file is left to the contract: a file that no line names has no label, and a line that names a file
which is not there has no image.
"""

import hashlib
import posixpath
from array import array
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from demlopment import images
from demlopment.data.contract import FILE, UNREAD
from demlopment.data.sources.labels import SNAPSHOT, Line, lines, table
from demlopment.data.sources.port import UNSTATED, batched, own_name, raw_frame, storable, too_large
from demlopment.data.sources.trees import Content, Folder, Tree, content
from demlopment.data.sources.zips import zipped
from demlopment.errors import DataError


@dataclass(frozen=True)
class Row:
    """One picture as it lies there, or a line that names none."""

    file: Content | None
    line: Line
    origin: str


@dataclass(frozen=True)
class Pictures:
    """The pictures below a folder or in a zip. Make one with `pictures`."""

    path: Path
    name: str
    sha256: str  # of the sorted paths and contents, wherever they lie
    licence: str  # of rows whose line names none
    rows: int | None
    table: str | None = None  # path of the CSV of labels

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source."""
        first = 0
        with _tree(self.path) as tree:
            found = _labelled(tree, self.table, self.path) if self.table else self._filed(tree)
            for rows in batched(found, lambda row: len(row.file.data) if row.file else 0):
                frame, count = self._frame(rows, first), len(rows)
                rows.clear()  # the frame has their pictures, and while it is judged they are needed no more
                yield frame
                first += count

    def _filed(self, tree: Tree) -> Iterator[Row]:
        """Every file, labelled by the folder that it lies in."""
        digest = hashlib.sha256()
        for name in tree.files():
            found = content(tree, name)
            digest.update(_line(name, found))
            folder = name.rpartition("/")[0].rpartition("/")[2]
            yield Row(found, Line(name, storable(folder) or None, None, None), found.sha256)
        if digest.hexdigest() != self.sha256:
            raise DataError(f"{self.path} is not what it was when it was opened.", "Ingest it when nobody changes it any more.")

    def _frame(self, rows: Sequence[Row], first: int) -> pl.DataFrame:
        return raw_frame(
            [row.file.data if row.file else None for row in rows],
            [row.line.label for row in rows],
            source=self.name,
            licence=[row.line.licence or self.licence for row in rows],
            origins=[row.origin for row in rows],
            kind=[UNREAD if row.file and row.file.large else FILE for row in rows],
            writers=[row.line.writer for row in rows],
            places=[row.line.file and storable(row.line.file) for row in rows],
            faults=[too_large(row.file.size) if row.file and row.file.large else None for row in rows],
            first=first,
        )


def pictures(path: Path, *, name: str | None = None, licence: str = UNSTATED) -> Pictures:
    """The pictures below a folder or in a zip, labelled by the folder each lies in, or by the CSV beside them.

    Reads everything once, for the digest. Raises DataError for a tree without a picture, one with a file that cannot be
    read, and for links, members and lines that lead out of it.
    """
    digest, files, shown, near = hashlib.sha256(), 0, False, _Near()
    with _tree(path) as tree:
        for file in tree.files():
            found = content(tree, file)
            digest.update(_line(file, found))
            files += 1
            shown = shown or images.is_picture(found.data)
            near.see(file)
        if not shown:
            said = f"{files} files, and none of them is a picture" if files else "no files"
            raise DataError(f"{path} holds {said}.", "Give a folder or a zip with PNG, JPEG, BMP or WebP pictures below it.")
        labels = table(near.tables, path)
        if labels:
            for _ in lines(tree, labels, path):  # a line that leads out of the tree is refused before anything is stored
                pass
    sha256 = digest.hexdigest()
    stem = path.resolve().name.split(".")[0]
    return Pictures(path, name or own_name(stem, sha256), sha256, licence, None if labels else files, labels)


class _Near:
    """Finds the CSVs at the root, which may lie in a single folder: that is how folders are zipped."""

    def __init__(self) -> None:
        self._tops: set[str] = set()
        self._tables: list[str] = []

    def see(self, name: str) -> None:
        top, _, rest = name.partition("/")
        if len(self._tops) < 2:
            self._tops.add(top)
        if "/" not in rest and name.lower().endswith(".csv"):
            self._tables.append(name)

    @property
    def tables(self) -> list[str]:
        return [name for name in self._tables if "/" not in name] or (self._tables if len(self._tops) == 1 else [])


def _tree(path: Path) -> AbstractContextManager[Tree]:
    return nullcontext(Folder(path)) if path.is_dir() else zipped(path)


def _labelled(tree: Tree, labels: str, path: Path) -> Iterator[Row]:
    """Every line with its file, then the files that no line names."""
    beside = content(tree, labels).sha256  # where a row comes from that is only a line
    named = array("Q", [_mark(labels), _mark(posixpath.join(posixpath.dirname(labels), SNAPSHOT))])
    for line in lines(tree, labels, path):
        found = content(tree, line.file) if line.file and tree.has(line.file) else None
        named.append(_mark(line.file or ""))
        yield Row(found, line, found.sha256 if found else beside)
    marks = np.sort(np.frombuffer(named, np.uint64))
    for name in tree.files():
        mark = np.uint64(_mark(name))
        if marks[np.searchsorted(marks, mark) % len(marks)] != mark:
            found = content(tree, name)
            yield Row(found, Line(name, None, None, None), found.sha256)


def _line(name: str, found: Content) -> bytes:
    """What the digest is made over: a name holds no zero byte."""
    return f"{found.sha256} {name}\0".encode("utf-8", "surrogateescape")


def _mark(name: str) -> int:
    """64 bits that stand for a name: those of a million names take 8 MB, and two are alike once in 40 million such sets."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest())
