"""The files of a zip, read where they are: nothing is unpacked to disk, and no member is believed. Knows no picture."""

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from demlopment.data.sources.port import unreadable
from demlopment.data.sources.trees import ignored
from demlopment.errors import DataError

SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")  # of a zip, and of an empty one
MAX_MEMBERS = 1_000_000  # their names and places are in memory: half a kilobyte each
MAX_UNPACKED = 100_000_000_000  # bytes: a million pictures of 100 kB
MAX_RATIO = 200  # unpacked to packed; pictures are packed already, and blank pages as BMP reach about 100
SMALL = 64_000_000  # bytes that are no burden, whatever they were packed to
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError, RuntimeError)
AGAIN = "Copy or download it again."


def is_zip(start: bytes) -> bool:
    """Whether a file that starts so is a zip."""
    return start.startswith(SIGNATURES)


@contextmanager
def zipped(path: Path) -> Iterator["Zip"]:
    """The zip at a path, once all that its members say of themselves has been found harmless.

    Raises DataError naming the zip, and the member, for one that is damaged, encrypted, too large, or leads out of it.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        try:
            packed = zipfile.ZipFile(file)
        except OSError as error:
            raise unreadable(path, error) from error
        except BROKEN as broken:
            raise DataError(f"{path} is not a whole zip file: {broken}.", AGAIN) from broken
        with packed:
            yield Zip(path, packed)


class Zip:
    """A Tree in a zip. Make one with `zipped`."""

    def __init__(self, path: Path, packed: zipfile.ZipFile) -> None:
        self._path, self._packed = path, packed
        _check_size(path, packed.infolist())
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in packed.infolist():
            reason = _fault(member) or ("comes twice" if member.filename in self._members else "")
            if reason:
                raise DataError(f"{path}: its member {member.filename[:200]!r} {reason}.", "Pack the pictures again.")
            if not member.is_dir():
                self._members[member.filename] = member

    def files(self) -> Iterator[str]:
        """As Tree."""
        return iter(sorted(filter(self.has, self._members), key=lambda name: name.split("/")))

    def has(self, name: str) -> bool:
        """As Tree."""
        return name in self._members and not ignored(name)

    def stated(self, name: str) -> tuple[int, int]:
        """How many bytes a file is said to have, and their CRC-32."""
        return self._members[name].file_size, self._members[name].CRC

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """As Tree."""
        try:
            with self._packed.open(self._members[name]) as stream:
                yield stream
        except BROKEN as broken:
            raise DataError(f"{self._path}: its member {name!r} is damaged: {broken}.", AGAIN) from broken
        except OSError as error:
            raise unreadable(self._path, error) from error


def _check_size(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise DataError(
            f"{path} has {len(members)} members, and {MAX_MEMBERS} is the limit.",
            "Unpack it and ingest the folder, or divide it.",
        )
    unpacked, packed = sum(member.file_size for member in members), path.stat().st_size
    # Also of members that lie over each other, which say that they are packed to more than there is.
    if unpacked > MAX_UNPACKED or (unpacked > SMALL and unpacked > MAX_RATIO * packed):
        raise DataError(
            f"{path} would unpack from {packed} to {unpacked} bytes, and {MAX_UNPACKED}, or {MAX_RATIO} times its size, "
            "is the limit.",
            "If you trust it, unpack it and ingest the folder.",
        )


def _fault(member: zipfile.ZipInfo) -> str:
    """Why a member must not be read, or nothing."""
    name = member.filename.removesuffix("/")
    # Windows writes backslashes, which here would be part of a file's name and there a path.
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
        return "leads out of the zip"
    if member.orig_filename != member.filename or {"", "."} & set(name.split("/")):  # zipfile cuts a name at a zero byte
        return "has no usable name"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    return "is encrypted" if member.flag_bits & 1 else ""
