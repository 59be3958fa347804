"""A model on disk: one `.mar` that TorchServe and our endpoint both load. Knows nothing of training or serving.

A zip, as torch-model-archiver writes it, with the network as ONNX beside a card, a reference profile, the very
preprocessing it was trained with, and a checksum of every member. Writing is atomic and reproducible: the same parts
give the same bytes. Reading verifies everything and executes nothing.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

from demlopment import home, images
from demlopment.errors import ArchiveError

MANIFEST, NETWORK, CARD, REFERENCE, SAMPLE, SUMS = (
    "MAR-INF/MANIFEST.json",
    "model.onnx",
    "card.json",
    "reference.json",
    "sample.png",
    "SHA256SUMS",
)
CODE = ("handler.py", "images.py")  # for TorchServe, which runs Python; our endpoint never executes them
MAX_BYTES = 512_000_000  # unpacked; a zip bomb is refused before it is unpacked
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError, OSError)
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold, so that equal parts give equal bytes


@dataclass(frozen=True)
class Card:
    """What a model says of itself: what it reads and answers, how good it is, and where it came from."""

    name: str
    version: str
    classes: tuple[str, ...]  # label of each output, in order
    preprocessing: int  # images.VERSION it was trained with
    temperature: float  # logits are divided by it before the softmax
    scores: Mapping[str, Any]  # accuracy, interval, log loss, calibration error on the test part
    lineage: Mapping[str, Any]  # snapshot name, version and digest, split salt, seed, epochs, rows, commit

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, eq=False)
class Archive:
    """A verified archive in memory."""

    card: Card
    network: bytes  # ONNX: input (n, 1, 28, 28) float32 -> "logits" (n, classes), "embedding" (n, width)
    reference: Mapping[str, Any]  # what monitoring compares with
    sample: bytes  # one PNG that the model reads well, for a first request


def write(folder: Path, archive: Archive) -> Path:
    """Write `archive` as `<folder>/<name>-<version>.mar` and return the path; a reader never sees half of it.

    Raises ArchiveError if that version exists with other content: archives are immutable.
    """
    path = place(folder, archive.card)
    packed = _pack(_members(archive))
    if path.exists() and path.read_bytes() != packed:
        raise ArchiveError(f"{path} already exists with other content.", "Give the new model another version.")
    home.replace(path, packed)
    return path


def place(folder: Path, card: Card) -> Path:
    """Where the archive with this card stands in a model store."""
    return folder / f"{card.name}-{card.version}.mar"


def read(path: Path) -> Archive:
    """The archive at `path`, every member checked against its checksum.

    Raises ArchiveError naming the file and the member that is missing, oversized, unreadable or altered.
    """
    members = _unpack(path)
    sums = _sums(path, members)
    for name, data in members.items():
        if name != SUMS and hashlib.sha256(data).hexdigest() != sums.get(name):
            raise ArchiveError(f"{path}: {name} does not match its checksum.", "The file was altered: write it again.")
    missing = [name for name in (*sums, MANIFEST, NETWORK, CARD, REFERENCE, SAMPLE) if name not in members]
    if missing:
        raise ArchiveError(f"{path} has no {missing[0]}.", "The file was altered or never finished: write it again.")
    return Archive(
        card=_card(path, members[CARD]),
        network=members[NETWORK],
        reference=_json(path, REFERENCE, members[REFERENCE]),
        sample=members[SAMPLE],
    )


def _members(archive: Archive) -> dict[str, bytes]:
    card = archive.card
    manifest = {
        "runtime": "python",
        "model": {
            "modelName": card.name,
            "serializedFile": NETWORK,
            "handler": CODE[0],
            "modelVersion": card.version,
        },
        "archiverVersion": "0.12.0",
    }
    members = {
        MANIFEST: _dump(manifest),
        NETWORK: archive.network,
        CARD: _dump(asdict(card)),
        REFERENCE: _dump(archive.reference),
        SAMPLE: archive.sample,
    }
    for name in CODE:
        members[name] = resources.files("demlopment").joinpath(name).read_bytes()
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items())
    return members | {SUMS: "".join(lines).encode()}


def _pack(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, data in members.items():
            member = zipfile.ZipInfo(name, EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(member, data)
    return packed.getvalue()


def _unpack(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as file:
            declared = sum(member.file_size for member in file.infolist())
            if declared > MAX_BYTES:
                raise ArchiveError(f"{path} unpacks to {declared} bytes.", f"The limit is {MAX_BYTES}: write a smaller model.")
            return {name: file.read(name) for name in file.namelist()}
    except FileNotFoundError as missing:
        raise ArchiveError(f"{path} does not exist.", "Give the path of a .mar file that training printed.") from missing
    except BROKEN as broken:
        raise ArchiveError(f"{path} is not a whole zip file ({broken}).", "Write or copy the archive again.") from broken


def _sums(path: Path, members: Mapping[str, bytes]) -> dict[str, str]:
    if SUMS not in members:
        raise ArchiveError(f"{path} has no {SUMS}, so it is not an archive of ours.", "Give a .mar file that training printed.")
    pairs = (line.split("  ", 1) for line in members[SUMS].decode(errors="replace").splitlines())
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def _card(path: Path, data: bytes) -> Card:
    values = _json(path, CARD, data)
    unfit = {field.name for field in fields(Card)} ^ set(values)
    if unfit:
        raise ArchiveError(f"{path}: {CARD} and this release disagree about {sorted(unfit)}.", "Use the release that wrote it.")
    card = _typed(path, values)
    if card.preprocessing != images.VERSION:
        raise ArchiveError(
            f"{path} was trained with preprocessing {card.preprocessing}, and this release has {images.VERSION}.",
            "Train it again, or serve it with the release that wrote it.",
        )
    return card


def _typed(path: Path, values: Mapping[str, Any]) -> Card:
    name, version, classes, temperature = (values[field] for field in ("name", "version", "classes", "temperature"))
    fit = {
        "name": isinstance(name, str),
        "version": isinstance(version, str),
        "classes": isinstance(classes, list) and len(classes) > 1 and all(isinstance(label, str) for label in classes),
        "temperature": isinstance(temperature, int | float) and isfinite(temperature) and temperature > 0,
        "scores": isinstance(values["scores"], dict),
        "lineage": isinstance(values["lineage"], dict),
    }
    wrong = [field for field, right in fit.items() if not right]
    if wrong:
        raise ArchiveError(f"{path}: {CARD} has the {wrong[0]} {values[wrong[0]]!r}.", "Write the archive again.")
    return Card(**{**values, "classes": tuple(classes)})


def _json(path: Path, name: str, data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except ValueError as broken:
        raise ArchiveError(f"{path}: {name} is not JSON ({broken}).", "Write the archive again.") from broken
    if not isinstance(values, dict):
        raise ArchiveError(f"{path}: {name} is not a JSON object.", "Write the archive again.")
    return values


def _dump(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
