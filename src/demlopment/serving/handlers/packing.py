"""How torch-model-archiver packs an archive: a zip, a tar.gz or a folder, each as members that can be read. Writes nothing.

Members are listed as they call themselves, harmless or not: members.py decides.
"""

import contextlib
import gzip
import hashlib
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

from demlopment.errors import ArchiveError

MAX_MEMBERS = 20_000  # an archive of a large tokenizer has hundreds; each costs an inode
CHUNK = 1 << 20
HEADERS = 4096  # bytes of a tar that a member may need beside its content: headers, and zeros up to a whole block
GZIP = b"\x1f\x8b"
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    KeyError,
    OSError,
)


class BadMemberError(ArchiveError):
    """A member must not be unpacked: it leads out, is a link, is encrypted, is too large, comes twice."""


@dataclass(frozen=True)
class Member:
    """A file or a folder of an archive."""

    name: str  # its parts joined by "/"
    size: int  # bytes, as it declares
    folder: bool
    fault: str  # why it is neither, or nothing
    entry: Any  # what its packing knows it by


class Packing(Protocol):
    """One opened archive."""

    members: list[Member]  # more than MAX_MEMBERS are not listed to the end

    def open(self, member: Member) -> IO[bytes]:
        """Read a member from its beginning; quick if they are read in order. Raises BROKEN, also while it is read."""

    def digest(self) -> str:
        """SHA-256, hexadecimal: of the file, or of what is in the folder, see Folder."""


def is_zip(path: Path) -> bool:
    """Whether an archive can be nothing else than a zip."""
    if path.is_dir():
        return False
    with path.open("rb") as raw:
        return raw.read(len(GZIP)) != GZIP


@contextlib.contextmanager
def opened(path: Path, limit: int) -> Iterator[Packing]:
    """The archive at `path`, whatever it is; of a tar.gz no more is read than what unpacks to `limit` bytes.

    Raises ArchiveError for a file that is no whole archive, BadMemberError for a tar that is too large.
    """
    if path.is_dir():
        yield Folder(path)
        return
    try:
        raw = path.open("rb")
    except FileNotFoundError as missing:
        raise ArchiveError(f"{path.name} does not exist.", "Put the archive into the model store.") from missing
    # One open file from here on: another one under the same name has no say.
    with raw:
        yield _file(path, raw, limit)


def said(error: BaseException) -> str:
    """What is wrong, without the path that the operating system names."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _file(path: Path, raw: BinaryIO, limit: int) -> Packing:
    tar = raw.read(len(GZIP)) == GZIP
    try:
        return Tar(path.name, raw, limit) if tar else Zip(raw)
    except BROKEN as broken:
        kind = "tar.gz" if tar else "zip"
        raise ArchiveError(
            f"{path.name} is not a whole {kind} file ({said(broken)}).", "Write or copy the archive again."
        ) from broken


class Zip:
    """A `.mar` as everybody knows it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._file = raw, zipfile.ZipFile(raw)
        self.members = [
            Member(each.filename, each.file_size, each.is_dir(), _zip_fault(each), each) for each in self._file.infolist()
        ]

    def open(self, member: Member) -> IO[bytes]:
        return self._file.open(member.entry)

    def digest(self) -> str:
        return _digest(self._raw)


class Tar:
    """A `.tar.gz`. What lies below one top folder, as torch-model-archiver packs it, is at the top, as for TorchServe."""

    def __init__(self, name: str, raw: BinaryIO, limit: int) -> None:
        self._raw = raw
        raw.seek(0)
        bounded = Bounded(name, gzip.GzipFile(fileobj=raw), limit)
        stream = cast("IO[bytes]", bounded)  # it has what tarfile calls
        self._file = tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors="strict")  # noqa: SIM115 - for as long as `raw`
        entries = list(islice(self._file, MAX_MEMBERS + 1))
        if len(entries) <= MAX_MEMBERS:
            while bounded.read(CHUNK):  # to the end, where the checksum stands
                pass
        bounded.listed = True
        top = _top(entries)
        self.members = [
            Member(inner, each.size, each.isdir(), "" if _is_plain(each) else "is neither a file nor a folder", each)
            for each in entries
            if (inner := f"{_tar_name(each)}/".removeprefix(top).rstrip("/"))
        ]

    def open(self, member: Member) -> IO[bytes]:
        stream = self._file.extractfile(member.entry)
        assert stream is not None, "members.py has refused what is no file"
        return stream

    def digest(self) -> str:
        return _digest(self._raw)


class Folder:
    """A folder in the model store.

    Its digest is that of one line a member, sorted by name: the SHA-256 of a file or `-` of a folder, a space, the name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.members = list(islice(_walked(path), MAX_MEMBERS + 1))

    def open(self, member: Member) -> IO[bytes]:
        # Neither through a link nor waiting for the writer of a pipe, whatever has come here since it was listed.
        return os.fdopen(os.open(self._path / member.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")

    def digest(self) -> str:
        total = hashlib.sha256()
        for member in sorted(self.members, key=lambda each: each.name):
            total.update(f"{'-' if member.folder else self._digest_of(member)} {member.name}\n".encode())
        return total.hexdigest()

    def _digest_of(self, member: Member) -> str:
        with self.open(member) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # typeshed wants more than it reads


class Bounded:
    """What a tar unpacks to, for tarfile: it never reads more than it may, at once or in all, nor in circles."""

    def __init__(self, name: str, stream: gzip.GzipFile, limit: int) -> None:
        self._name, self._stream, self._limit = name, stream, limit
        self._most = limit + MAX_MEMBERS * HEADERS
        self.listed = False

    def read(self, size: int) -> bytes:
        if not 0 <= size <= CHUNK:
            raise BadMemberError(f"{self._name} has a header of {size} bytes.", f"The limit is {CHUNK}.")
        content = self._stream.read(size)
        self._check(self._stream.tell())
        return content

    def seek(self, position: int) -> int:
        self._check(position)
        # tarfile steps back by one byte to see that the last member was whole.
        if position < self._stream.tell() - 1 and not self.listed:
            raise ValueError("its members overlap")
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._most:
            raise BadMemberError(f"{self._name} unpacks to more than {self._limit} bytes.", "That is the limit.")


def _digest(raw: BinaryIO) -> str:
    raw.seek(0)
    return hashlib.file_digest(raw, "sha256").hexdigest()  # type: ignore[arg-type]  # likewise


def _zip_fault(entry: zipfile.ZipInfo) -> str:
    # What zipfile made of the name is what would be written; the original may hold a zero byte, and is what others see.
    if entry.orig_filename != entry.filename:
        return "has no usable name"
    return "" if stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR) else "is neither a file nor a folder"


def _tar_name(entry: tarfile.TarInfo) -> str:
    return "" if entry.name == "." else entry.name.removeprefix("./")


def _is_plain(entry: tarfile.TarInfo) -> bool:
    return (entry.isreg() and not entry.issparse()) or entry.isdir()


def _top(entries: list[tarfile.TarInfo]) -> str:
    """The folder that everything lies in, with its slash, or nothing."""
    tops = {name.partition("/")[0] for each in entries if (name := _tar_name(each))}
    alone = tops.pop() if len(tops) == 1 else ""
    folder = all(each.isdir() for each in entries if _tar_name(each) == alone)
    return f"{alone}/" if folder and alone not in ("", ".", "..", "MAR-INF") else ""


def _walked(root: Path) -> Iterator[Member]:
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                folder, plain = entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False)
                size = entry.stat(follow_symlinks=False).st_size if plain else 0
                yield Member(name, size, folder, "" if folder or plain else "is neither a file nor a folder", None)
                if folder:
                    waiting.append(f"{name}/")
