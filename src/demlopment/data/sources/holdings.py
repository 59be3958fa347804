"""What is here of an official data set: fetched, or in a folder of the user's; each file is verified. Judges no row."""

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from demlopment import home
from demlopment.data.sources.downloads import download, sum_of
from demlopment.data.sources.idx import idx
from demlopment.data.sources.official import OFFICIAL, Official
from demlopment.data.sources.port import Source, unreadable
from demlopment.data.sources.zips import zipped
from demlopment.errors import DataError

MAX_MEMBER = 1_000_000_000  # bytes: several times EMNIST's largest
PIECE = 1 << 20
Heard = Callable[[str, int, int | None], None]  # which file, bytes that are there, of how many


@dataclass(frozen=True)
class Holdings:
    """The sources of a set, and the files that are not as they are published, so that there is no checksum of them."""

    sources: tuple[Source, ...]
    unverified: tuple[Path, ...] = ()


def named(name: str) -> Official:
    """The official set of that name. Raises DataError, with the names there are."""
    if name not in OFFICIAL:
        raise DataError(f"There is no data set {name!r}.", f"Give one of {', '.join(OFFICIAL)}, or a path with --from.")
    return OFFICIAL[name]


def fetched(name: str, downloads: Path, heard: Heard = lambda *_: None) -> Holdings:
    """The set, downloaded as far as it is not here yet. Raises as `downloads.download`."""
    official = named(name)
    folder = downloads / official.folder
    instead = f"Try again, or copy the files here and run `demlopment data ingest {name} --from FOLDER`."
    for file, md5 in official.sums.items():
        download(
            official.base + file,
            folder / file,
            md5,
            instead=instead,
            heard=lambda have, total, file=file: heard(file, have, total),  # type: ignore[misc]
        )
    if official.zipped is not None:
        (packed,) = official.sums
        _unpack(folder / packed, official, folder)
    return _holdings(official, lambda file: folder / file)


def given(name: str, path: Path, downloads: Path) -> Holdings:
    """The set from a folder of the user's, or from the zip that it is published in.

    Raises DataError for a file that is missing, or is not the published one.
    """
    official = named(name)
    if not path.exists():
        raise unreadable(path, FileNotFoundError(2, "No such file or directory"))
    folder = path if path.is_dir() else path.parent
    if official.zipped is not None:
        (archive,) = official.sums
        packed = folder / archive if path.is_dir() else path
        if packed.is_file():
            _verify(packed, official.sums[archive])
            _unpack(packed, official, downloads / official.folder)
            return _holdings(official, lambda file: downloads / official.folder / file)
        if (folder / official.zipped).is_dir():
            folder /= official.zipped
    files = {file: _found(folder, file) for part in official.parts for file in part.files}
    for file, place in files.items():
        if place.name in official.sums:
            _verify(place, official.sums[file])
    unverified = tuple(place for place in files.values() if place.name not in official.sums)
    return _holdings(official, lambda file: files[file], unverified)


def _holdings(official: Official, place: Callable[[str], Path], unverified: tuple[Path, ...] = ()) -> Holdings:
    return Holdings(
        tuple(
            idx(
                place(part.pictures),
                place(part.labels),
                place(part.mapping) if part.mapping else None,
                name=part.name,
                licence=official.licence,
            )
            for part in official.parts
        ),
        unverified,
    )


def _found(folder: Path, file: str) -> Path:
    """The file as it is published, or else unpacked."""
    for name in dict.fromkeys((file, file.removesuffix(".gz"))):
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder} lacks {file}.", "Copy it there, or take single files with --from alone.")


def _verify(path: Path, md5: str) -> None:
    found = sum_of(path)
    if found != md5:
        raise DataError(f"{path} has the MD5 {found}, not {md5}.", "Copy or download it again, or take it with --from alone.")


def _unpack(packed: Path, official: Official, folder: Path) -> None:
    """Write those files of the zip into the folder that the parts need, each whole or not at all."""
    with zipped(packed) as members, home.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in dict.fromkeys(file for part in official.parts for file in part.files):
            member, place = f"{official.zipped}/{name}", folder / name
            if not members.has(member) or members.stated(member)[0] > MAX_MEMBER:
                raise DataError(f"{packed} has no member {member!r} of at most {MAX_MEMBER} bytes.", "Download it again.")
            if place.is_file() and _stated(place) == members.stated(member):
                continue
            part = place.with_name(f"{name}.part")
            with members.open(member) as stream, part.open("wb") as file:
                file.writelines(iter(lambda stream=stream: stream.read(PIECE), b""))  # type: ignore[misc]
                file.flush()
                os.fsync(file.fileno())
            part.replace(place)


def _stated(path: Path) -> tuple[int, int]:
    """Size and CRC-32, as a zip states them."""
    size = crc = 0
    for piece in _pieces(path):
        size, crc = size + len(piece), zlib.crc32(piece, crc)
    return size, crc


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(PIECE), b"")
