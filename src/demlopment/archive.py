"""A model on disk: one `.mar` that TorchServe and our endpoint both load. Knows nothing of training or serving.

A zip, as torch-model-archiver writes it, with the network as ONNX beside a card, a reference profile, the very
preprocessing it was trained with, and a checksum of every member. Writing is atomic and reproducible: the same parts
give the same bytes. Reading verifies everything and executes nothing.
"""

import hashlib
import io
import json
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from demlopment import home, row
from demlopment.errors import ArchiveError
from demlopment.legibility import ANYTHING, Limits, legible
from demlopment.recall import Answers
from demlopment.records import Prediction
from demlopment.row import Column, ColumnError
from demlopment.seen import prepared_with

MANIFEST, NETWORK, CARD, REFERENCE, SAMPLE, ANSWERS, SUMS = (
    "MAR-INF/MANIFEST.json",
    "model.onnx",
    "card.json",
    "reference.json",
    "sample.png",
    "answers.json",  # archives of earlier releases have none
    "SHA256SUMS",
)
ROW_SAMPLE = "sample.json"  # in place of the picture, where the model reads rows of a table
# For TorchServe, which runs Python; our endpoint never executes them. Beside the handler lies what prepares its model's input.
HANDLER, PREPARATION, ROW_PREPARATION = "handler.py", "images.py", "row.py"
MAX_BYTES = 512_000_000  # unpacked; a zip bomb is refused before it is unpacked
CHUNK = 1 << 20  # bytes unpacked at a time: a member that lies about its size is caught before it fills the memory
ENCRYPTED = 0x1  # in a member's flags
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError, OSError)
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold, so that equal parts give equal bytes


@dataclass(frozen=True)
class Answering:
    """How a model wants to be quoted where an answer says more than its label."""

    calibrated: bool = True  # divide the logits by the temperature
    top_k: int | None = None  # show the probabilities of that many classes, the likeliest first; None is all, in order
    threshold: float = 0.0  # an answer of less confidence (0 to 1) is given, and marked as not accepted
    legible: Limits = field(default_factory=Limits)  # likewise an answer about a picture that does not keep these

    def accepts(self, prediction: Prediction) -> bool:
        """Whether an answer needs no human."""
        shown = prediction.image is None or bool(legible(prediction.image[np.newaxis], self.legible)[0])
        return shown and float(prediction.probabilities.max()) >= self.threshold


@dataclass(frozen=True)
class Card:
    """What a model says of itself: what it reads and answers, how good it is, and where it came from."""

    name: str
    version: str
    classes: tuple[str, ...]  # label of each output, in order
    preprocessing: int  # images.VERSION it was trained with, or row.VERSION
    temperature: float  # logits are divided by it before the softmax
    scores: Mapping[str, Any]  # accuracy, interval, log loss, calibration error on the test part
    lineage: Mapping[str, Any]  # snapshot name, version and digest, split salt, recipe, rows, commit, environment
    answer: Answering = field(default_factory=Answering)  # not written where it is this one
    columns: tuple[Column, ...] = ()  # of the table whose rows it reads; none: pictures, and not written then

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def profile(self) -> str:
        """Which of the networks it is, by its recipe; without a word of it the default one, which was there first."""
        recipe = self.lineage.get("recipe")
        return str(recipe.get("profile", "default")) if isinstance(recipe, Mapping) else "default"


@dataclass(frozen=True, eq=False)
class Archive:
    """A verified archive in memory."""

    card: Card
    network: (
        bytes  # ONNX: "image" (n, 1, 28, 28) or "row" (n, columns) float32 -> "logits" (n, classes), "embedding" (n, width)
    )
    reference: Mapping[str, Any]  # what monitoring compares with
    sample: bytes  # one PNG, or row as JSON, that the model reads well, for a first request
    answers: Answers = ()  # what it answered when it was judged (recall.py); none where nobody wrote them down


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
    return named(folder, card.name, card.version)


def named(folder: Path, name: str, version: str) -> Path:
    """Where the archive of a version stands in a model store, or would."""
    return folder / f"{name}-{version}.mar"


def read(path: Path) -> Archive:
    """The archive at `path`, every member checked against its checksum.

    Raises ArchiveError naming the file and the member that is missing, oversized, unreadable or altered, comes twice, is
    encrypted or no file, or has a name that leads elsewhere; nothing is returned then.
    """
    members = _unpack(path)
    sums = _sums(path, members)
    for name, data in members.items():
        if name != SUMS and hashlib.sha256(data).hexdigest() != sums.get(name):
            raise ArchiveError(f"{path}: {name} does not match its checksum.", "The file was altered: write it again.")
    _refuse_missing(path, (*sums, MANIFEST, NETWORK, CARD, REFERENCE), members)
    card = _card(path, members[CARD])
    sample = ROW_SAMPLE if card.columns else SAMPLE
    _refuse_missing(path, (sample,), members)
    return Archive(
        card=card,
        network=members[NETWORK],
        reference=_json(path, REFERENCE, members[REFERENCE]),
        sample=members[sample],
        answers=_answers(path, members[ANSWERS], card) if ANSWERS in members else (),
    )


def _refuse_missing(path: Path, names: Sequence[str], members: Mapping[str, bytes]) -> None:
    missing = [name for name in names if name not in members]
    if missing:
        raise ArchiveError(f"{path} has no {missing[0]}.", "The file was altered or never finished: write it again.")


def _members(archive: Archive) -> dict[str, bytes]:
    card = archive.card
    manifest = {
        "runtime": "python",
        "model": {
            "modelName": card.name,
            "serializedFile": NETWORK,
            "handler": HANDLER,
            "modelVersion": card.version,
        },
        "archiverVersion": "0.12.0",
    }
    members = {
        MANIFEST: _dump(manifest),
        NETWORK: archive.network,
        CARD: _dump(_card_values(card)),
        REFERENCE: _dump(archive.reference),
        ROW_SAMPLE if card.columns else SAMPLE: archive.sample,
    }
    if archive.answers:
        members[ANSWERS] = _dump({"answers": archive.answers})
    for name in (HANDLER, ROW_PREPARATION if card.columns else PREPARATION):
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
            members = file.infolist()
            _check(path, members)
            # By entry, not by name: of two entries with one name zipfile would read the last one twice.
            return dict(_contents(path, file, members))
    except FileNotFoundError as missing:
        raise ArchiveError(f"{path} does not exist.", "Give the path of a .mar file that training printed.") from missing
    except BROKEN as broken:
        raise ArchiveError(f"{path} is not a whole zip file ({broken}).", "Write or copy the archive again.") from broken


def _check(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse what the directory of a zip shows already."""
    seen: set[str] = set()
    for member in members:
        reason = "comes twice" if member.filename in seen else _fault(member)
        if reason:
            raise ArchiveError(f"{path}: its member {member.filename!r} {reason}.", "The file was altered: write it again.")
        seen.add(member.filename)
    declared = sum(member.file_size for member in members)
    if declared > MAX_BYTES:
        raise _too_large(path, declared)


def _fault(member: zipfile.ZipInfo) -> str:
    """Why a member is refused, or nothing."""
    name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
    # Windows writes backslashes, which here would be part of a file's name and there a path.
    if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/") or member.orig_filename != name:
        return "has a name that leads elsewhere"
    if kind not in (0, stat.S_IFREG) or member.is_dir():
        return "is no file"
    return "is encrypted" if member.flag_bits & ENCRYPTED else ""


def _contents(path: Path, file: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> Iterator[tuple[str, bytes]]:
    left = MAX_BYTES
    for member in members:
        chunks = []
        with file.open(member) as stream:
            while chunk := stream.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise _too_large(path, MAX_BYTES - left)
                chunks.append(chunk)
        yield member.filename, b"".join(chunks)


def _too_large(path: Path, size: int) -> ArchiveError:
    return ArchiveError(f"{path} unpacks to {size} bytes or more.", f"The limit is {MAX_BYTES}: write a smaller model.")


def _sums(path: Path, members: Mapping[str, bytes]) -> dict[str, str]:
    if SUMS not in members:
        raise ArchiveError(f"{path} has no {SUMS}, so it is not an archive of ours.", "Give a .mar file that training printed.")
    pairs = (line.split("  ", 1) for line in members[SUMS].decode(errors="replace").splitlines())
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def _card(path: Path, data: bytes) -> Card:
    values = _json(path, CARD, data)
    unfit = {each.name for each in fields(Card)} ^ (set(values) | {"answer", "columns"})
    if unfit:
        raise ArchiveError(f"{path}: {CARD} and this release disagree about {sorted(unfit)}.", "Use the release that wrote it.")
    card = _typed(path, values)
    version = prepared_with(rows=bool(card.columns))
    if card.preprocessing != version:
        raise ArchiveError(
            f"{path} was trained with preprocessing {card.preprocessing}, and this release has {version}.",
            "Train it again, or serve it with the release that wrote it.",
        )
    return card


def _card_values(card: Card) -> dict[str, Any]:
    values = asdict(card)
    if card.answer.legible == ANYTHING:
        del values["answer"]["legible"]  # so that archives from before there was one are written again with the same bytes
    if card.answer == Answering():
        del values["answer"]  # likewise
    if not card.columns:
        del values["columns"]  # likewise
    return values


def _typed(path: Path, values: Mapping[str, Any]) -> Card:
    name, version, classes, temperature = (values[each] for each in ("name", "version", "classes", "temperature"))
    fit = {
        "name": isinstance(name, str),
        "version": isinstance(version, str),
        "classes": isinstance(classes, list) and len(classes) > 1 and all(map(_is_text, classes)),
        "temperature": isinstance(temperature, int | float) and isfinite(temperature) and temperature > 0,
        "scores": isinstance(values["scores"], dict),
        "lineage": isinstance(values["lineage"], dict),
    }
    wrong = [each for each, right in fit.items() if not right]
    if wrong:
        raise ArchiveError(f"{path}: {CARD} has the {wrong[0]} {values[wrong[0]]!r}.", "Write the archive again.")
    given = {"classes": tuple(classes), "columns": _columns(path, values.get("columns", []))}
    return Card(**{**values, **given, "answer": _answering(path, values.get("answer", {}), len(classes))})


def _is_text(value: object) -> bool:
    """JSON can say half a surrogate pair, which UTF-8, and so an answer or the lake, cannot hold."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _columns(path: Path, values: Any) -> tuple[Column, ...]:
    try:
        return row.columns(values) if values != [] else ()
    except ColumnError as error:  # two sentences already
        raise ArchiveError(f"{path}, {CARD}: {error}", "") from error


def _is_share(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1  # type: ignore[operator]  # only numbers come so far


def _answering(path: Path, values: Any, classes: int) -> Answering:
    known = {each.name for each in fields(Answering)}
    if not isinstance(values, dict) or set(values) - known:
        raise ArchiveError(f"{path}: {CARD} has the answer {values!r}.", f"Its fields are {', '.join(sorted(known))}.")
    try:
        answering = Answering(**{**values, "legible": Limits(**values.get("legible", {}))})
    except TypeError as strange:
        raise ArchiveError(
            f"{path}: {CARD} has the answer.legible {values['legible']!r}.", "Write the archive again."
        ) from strange
    top_k, threshold = answering.top_k, answering.threshold
    fit = {
        "calibrated": isinstance(answering.calibrated, bool),
        "top_k": top_k is None or (type(top_k) is int and 1 <= top_k <= classes),
        "threshold": _is_share(threshold),
        "legible": all(map(_is_share, asdict(answering.legible).values())),
    }
    wrong = [each for each, right in fit.items() if not right]
    if wrong:
        raise ArchiveError(f"{path}: {CARD} has the answer.{wrong[0]} {values[wrong[0]]!r}.", "Write the archive again.")
    return answering


def _answers(path: Path, data: bytes, card: Card) -> Answers:
    values = _json(path, ANSWERS, data).get("answers")
    whole = isinstance(values, list) and all(
        isinstance(each, dict) and set(each) == set(card.classes) and all(map(_is_share, each.values())) for each in values
    )
    if values is None or not whole:
        raise ArchiveError(f"{path}: {ANSWERS} is no list of a probability for each class.", "Write the archive again.")
    return tuple(values)


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
