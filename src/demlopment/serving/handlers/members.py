"""The members of a foreign archive: checked one by one before anything is written, then unpacked. Executes nothing."""

import contextlib
import hashlib
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from demlopment.errors import ArchiveError

MAX_MEMBERS = 20_000  # an archive of a large tokenizer has hundreds; each costs an inode
MAX_NAME = 1024  # bytes of a member's whole path; file systems here end at 4096 with the folder before it
CHUNK = 1 << 20
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError, OSError)


class BadMemberError(ArchiveError):
    """A member must not be unpacked: it leads out, is a link, is encrypted, is too large, comes twice."""


@contextlib.contextmanager
def opened(path: Path, limit: int) -> Iterator[tuple[str, zipfile.ZipFile]]:
    """The archive and its SHA-256, once every member has been found harmless, and whole, with `limit` bytes in all.

    Raises BadMemberError for a member that must not be unpacked, ArchiveError for a file that is no whole zip.
    """
    with _zip(path) as (digest, file):
        _check_all(path, file, limit)
        yield digest, file


def unpack(path: Path, digest: str, folder: Path, limit: int) -> None:
    """Write everything in the archive into `folder`, which is empty.

    Raises as `opened`, and ArchiveError if the file is not the one whose SHA-256 is `digest`; OSError from the disk.
    """
    with opened(path, limit) as (found, file):
        if found != digest:
            raise ArchiveError(f"{path.name} has changed since it was read.", "Register it again.")
        _write(file, folder)


@contextlib.contextmanager
def _zip(path: Path) -> Iterator[tuple[str, zipfile.ZipFile]]:
    try:
        with path.open("rb") as raw:
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
            # One open file from here on: another one under the same name has no say.
            with _whole(path, raw) as file:
                yield digest, file
    except FileNotFoundError as missing:
        raise ArchiveError(f"{path.name} does not exist.", "Put the archive into the model store.") from missing


def _whole(path: Path, raw: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(raw)
    except BROKEN as broken:
        raise ArchiveError(f"{path.name} is not a whole zip file ({broken}).", "Write or copy the archive again.") from broken


def _check_all(path: Path, file: zipfile.ZipFile, limit: int) -> None:
    members = file.infolist()
    if len(members) > MAX_MEMBERS:
        raise BadMemberError(f"{path.name} has {len(members)} members.", f"The limit is {MAX_MEMBERS}.")
    declared = sum(member.file_size for member in members)
    if declared > limit:
        raise BadMemberError(f"{path.name} unpacks to {declared} bytes.", f"The limit is {limit}.")
    _check_names(path, members)
    for member in members:
        _check_content(path, file, member)


def _check_names(path: Path, members: list[zipfile.ZipInfo]) -> None:
    files: set[str] = set()
    folders: set[str] = set()
    for member in members:
        reason = _fault(member)
        name = str(PurePosixPath(member.filename))
        if not reason and not member.is_dir():
            if name in files:
                reason = "comes twice"
            files.add(name)
        folders |= {str(parent) for parent in PurePosixPath(name).parents} | ({name} if member.is_dir() else set())
        if reason:
            raise BadMemberError(f"{path.name}: its member {member.filename!r} {reason}.", "Write the archive again.")
    for name in files & folders:
        raise BadMemberError(f"{path.name}: {name!r} is a file and a folder.", "Write the archive again.")


def _fault(member: zipfile.ZipInfo) -> str:
    """Why a member must not be unpacked, or nothing."""
    # What zipfile made of the name is what would be written; the original may hold a zero byte, and is what others see.
    name = member.filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    parts = name.rstrip("/").split("/")
    # Windows writes backslashes, which here would be part of a file's name and there a path.
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name) or ".." in parts:
        return "leads out of the archive"
    if member.orig_filename != member.filename or "" in parts or "." in parts or len(name.encode()) > MAX_NAME:
        return "has no usable name"
    if any(len(part.encode()) > 255 or any(ord(letter) < 32 for letter in part) for part in parts):
        return "has no usable name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is neither a file nor a folder"
    return ""


def _check_content(path: Path, file: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    try:
        with file.open(member) as stream:
            size = sum(len(chunk) for chunk in iter(lambda: stream.read(CHUNK), b""))
    except BROKEN as broken:
        raise BadMemberError(
            f"{path.name}: its member {member.filename!r} is not whole ({broken}).", "Write or copy the archive again."
        ) from broken
    if size != member.file_size:
        raise BadMemberError(
            f"{path.name}: its member {member.filename!r} declares {member.file_size} bytes and has {size}.",
            "Write the archive again.",
        )


def _write(file: zipfile.ZipFile, folder: Path) -> None:
    for member in file.infolist():
        place = folder / member.filename
        if member.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        # "x": the checks say that nothing is there; if that were wrong, this fails rather than writes through a link.
        with file.open(member) as source, place.open("xb") as target:
            shutil.copyfileobj(source, target, CHUNK)
