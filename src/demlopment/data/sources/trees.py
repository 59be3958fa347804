"""The files of a folder by their paths below it, in an order that is the same wherever it lies. Knows no format of a file."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from demlopment.data.sources import port
from demlopment.data.sources.port import unreadable
from demlopment.errors import DataError

PIECE = 1 << 20  # bytes read at once
LITTER = {"__macosx", "thumbs.db", "desktop.ini"}  # what Windows and macOS leave beside pictures


class Tree(Protocol):
    """Files by their paths, whose parts a slash divides; hidden ones and litter are not among them."""

    def files(self) -> Iterator[str]:
        """Every path, sorted part by part. Raises DataError for what cannot be read, or leads out of the tree."""
        ...

    def has(self, name: str) -> bool:
        """Whether it is one of them."""
        ...

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file from its beginning. Raises DataError, also while it is read, where it cannot be."""
        ...


@dataclass(frozen=True)
class Content:
    """What a file holds."""

    data: bytes  # all of it, or of a large one the first LEFT_OVER bytes
    sha256: str  # of all of it
    size: int  # bytes of all of it

    @property
    def large(self) -> bool:
        """Whether it is too large for a picture."""
        return self.size > port.LARGEST


def content(tree: Tree, name: str) -> Content:
    """Read a file to its end, and never hold more than port.LARGEST bytes of it. Raises as Tree.open."""
    pieces: list[bytes] = []
    digest, size = hashlib.sha256(), 0
    with tree.open(name) as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            size += len(piece)
            if size <= port.LARGEST or not pieces:
                pieces.append(piece)
    data = pieces[0][: port.LEFT_OVER] if size > port.LARGEST else b"".join(pieces)
    return Content(data, digest.hexdigest(), size)


def ignored(name: str) -> bool:
    """Whether a part of the path is hidden, or litter.

    >>> [ignored(name) for name in ("3/a.png", ".git/a.png", "3/Thumbs.db", "__MACOSX/3/a.png")]
    [False, True, True, True]
    """
    return any(part.startswith(".") or part.lower() in LITTER for part in name.split("/"))


class Folder:
    """A Tree on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def files(self) -> Iterator[str]:
        """As Tree. Pipes, sockets and devices hold nothing and are passed over."""
        levels = [self._listed("")]
        while levels:
            name, folder = next(levels[-1], (None, False))
            if name is None:
                levels.pop()
            elif folder:
                levels.append(self._listed(f"{name}/"))
            else:
                yield name

    def has(self, name: str) -> bool:
        """As Tree."""
        return not ignored(name) and os.path.isfile(os.path.join(self._root, name))  # noqa: PTH113, PTH118 - as below

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """As Tree."""
        try:
            # pathlib would keep a place for every name that it has met.
            with open(os.path.join(self._root, name), "rb") as file:  # noqa: PTH118, PTH123
                yield file
        except OSError as error:
            raise unreadable(self._root / name, error) from error

    def _listed(self, folder: str) -> Iterator[tuple[str, bool]]:
        """What lies in a folder, and whether it is one itself."""
        try:
            with os.scandir(self._root / folder) as entries:
                kept = [entry for entry in entries if not ignored(entry.name)]
            for link in (entry for entry in kept if entry.is_symlink()):
                self._check_link(self._root / folder / link.name)
            found = sorted((entry.name, entry.is_dir()) for entry in kept if entry.is_dir() or entry.is_file())
        except OSError as error:
            raise unreadable(self._root / folder, error) from error
        return ((f"{folder}{name}", inner) for name, inner in found)

    def _check_link(self, link: Path) -> None:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: it leads to itself
            raise DataError(f"{link} is a link that leads nowhere.", "Remove it, or put the file itself there.") from error
        if not target.is_relative_to(self._root.resolve()):
            raise DataError(
                f"{link} is a link that leads out of {self._root}.", "Put the file itself there, or remove the link."
            )
        if target.is_dir():  # it might lead to a folder that it lies in
            raise DataError(f"{link} is a link to a folder.", "Put the folder itself there, or remove the link.")
