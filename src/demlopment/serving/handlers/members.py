"""The members of a foreign archive: checked one by one before anything is written, then unpacked. Executes nothing."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from demlopment.errors import ArchiveError
from demlopment.serving.handlers import packing
from demlopment.serving.handlers.packing import BROKEN, CHUNK, MAX_MEMBERS, BadMemberError, Member, Packing, said

MAX_NAME = 1024  # bytes of a member's whole path; file systems here end at 4096 with the folder before it


@dataclass(frozen=True, eq=False)
class Contents:
    """An archive whose members are harmless and whole."""

    digest: str  # see packing.py
    packed: Packing
    files: dict[str, Member]  # by name

    def read(self, name: str) -> bytes:
        with self.packed.open(self.files[name]) as stream:
            return stream.read()


@contextlib.contextmanager
def opened(path: Path, limit: int) -> Iterator[Contents]:
    """The archive, once every member has been found harmless, and whole, with `limit` bytes in all.

    Raises BadMemberError for a member that must not be unpacked, ArchiveError for a file that is no whole archive.
    """
    with packing.opened(path, limit) as packed:
        _check_all(path.name, packed, limit)
        files = {str(PurePosixPath(member.name)): member for member in packed.members if not member.folder}
        yield Contents(packed.digest(), packed, files)


def unpack(path: Path, digest: str, folder: Path, limit: int) -> None:
    """Write everything in the archive into `folder`, which is empty.

    Raises as `opened`, and ArchiveError if the archive is not the one whose SHA-256 is `digest`; OSError from the disk.
    """
    with opened(path, limit) as contents:
        if contents.digest != digest:
            raise _changed(path)
        _write(contents.packed, folder)
    # A file is one open file for all of this; what lies in a folder may have changed under our hands.
    if path.is_dir() and packing.Folder(folder).digest() != digest:
        raise _changed(path)


def _check_all(archive: str, packed: Packing, limit: int) -> None:
    members = packed.members
    if len(members) > MAX_MEMBERS:
        raise BadMemberError(f"{archive} has more than {MAX_MEMBERS} members.", "That is the limit.")
    declared = sum(member.size for member in members)
    if declared > limit:
        raise BadMemberError(f"{archive} unpacks to {declared} bytes.", f"The limit is {limit}.")
    _check_names(archive, members)
    for member in members:
        if not member.folder:
            _check_content(archive, packed, member)


def _check_names(archive: str, members: list[Member]) -> None:
    files: set[str] = set()
    folders: set[str] = set()
    for member in members:
        reason = member.fault or _fault(member.name)
        name = str(PurePosixPath(member.name))
        if not reason and not member.folder:
            if name in files:
                reason = "comes twice"
            files.add(name)
        folders |= {str(parent) for parent in PurePosixPath(name).parents} | ({name} if member.folder else set())
        if reason:
            raise BadMemberError(f"{archive}: its member {member.name!r} {reason}.", "Write the archive again.")
    for name in files & folders:
        raise BadMemberError(f"{archive}: {name!r} is a file and a folder.", "Write the archive again.")


def _fault(name: str) -> str:
    """Why a name must not be written to, or nothing."""
    parts = name.rstrip("/").split("/")
    # Windows writes backslashes, which here would be part of a file's name and there a path.
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name) or ".." in parts:
        return "leads out of the archive"
    try:
        long = len(name.encode()) > MAX_NAME or any(len(part.encode()) > 255 for part in parts)
    except UnicodeEncodeError:  # bytes that are no text
        long = True
    if long or "" in parts or "." in parts or any(ord(letter) < 32 for letter in name):
        return "has no usable name"
    return ""


def _check_content(archive: str, packed: Packing, member: Member) -> None:
    try:
        with packed.open(member) as stream:
            size = sum(len(chunk) for chunk in iter(lambda: stream.read(CHUNK), b""))
    except BROKEN as broken:
        raise BadMemberError(
            f"{archive}: its member {member.name!r} is not whole ({said(broken)}).", "Write or copy the archive again."
        ) from broken
    if size != member.size:
        raise BadMemberError(
            f"{archive}: its member {member.name!r} declares {member.size} bytes and has {size}.", "Write the archive again."
        )


def _write(packed: Packing, folder: Path) -> None:
    for member in packed.members:
        place = folder / member.name
        if member.folder:
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        # "x": the checks say that nothing is there; if that were wrong, this fails rather than writes through a link.
        with packed.open(member) as source, place.open("xb") as target:
            shutil.copyfileobj(source, target, CHUNK)


def _changed(path: Path) -> ArchiveError:
    return ArchiveError(f"{path.name} has changed since it was read.", "Register it again.")
