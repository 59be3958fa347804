"""An archive is whole or refused; the same parts give the same bytes; TorchServe's door into it answers like ours."""

import hashlib
import json
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment import archive, images
from demlopment.archive import Archive, Card
from demlopment.errors import ArchiveError

CARD = Card("digits", "1.0", tuple("0123456789"), images.VERSION, 1.5, {"accuracy": 0.9}, {"digest": "abc"})
PARTS = Archive(CARD, b"a network", {"rows": 3}, images.encode_png(np.eye(28, dtype=np.uint8) * 255))


def rewritten(path: Path, name: str, data: bytes | None) -> Path:
    """A copy of an archive in which one member is changed, or left out."""
    copy = path.with_name("copy.mar")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for member in old.namelist():
            content = data if member == name else old.read(member)
            if content is not None:
                new.writestr(member, content)
    return copy


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    read = archive.read(archive.write(tmp_path, PARTS))

    assert read.card == CARD
    assert (read.network, read.reference, read.sample) == (PARTS.network, PARTS.reference, PARTS.sample)


def test_the_same_parts_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = archive.write(tmp_path / "a", PARTS), archive.write(tmp_path / "b", PARTS)

    assert first.read_bytes() == second.read_bytes()


def test_writing_the_same_archive_again_is_fine_and_another_under_its_name_is_refused(tmp_path: Path) -> None:
    path = archive.write(tmp_path, PARTS)
    before = path.read_bytes()

    archive.write(tmp_path, PARTS)
    with pytest.raises(ArchiveError, match="already exists with other content"):
        archive.write(tmp_path, replace(PARTS, network=b"another network"))

    assert path.read_bytes() == before


def test_the_manifest_is_torch_model_archivers(tmp_path: Path) -> None:
    with zipfile.ZipFile(archive.write(tmp_path, PARTS)) as file:
        manifest = json.loads(file.read("MAR-INF/MANIFEST.json"))

    assert manifest["model"] == {
        "modelName": "digits",
        "serializedFile": "model.onnx",
        "handler": "handler.py",
        "modelVersion": "1.0",
    }
    assert manifest["runtime"] == "python"


@pytest.mark.parametrize("name", ["model.onnx", "card.json", "images.py", "handler.py", "MAR-INF/MANIFEST.json"])
def test_an_altered_or_missing_member_is_named(tmp_path: Path, name: str) -> None:
    path = archive.write(tmp_path, PARTS)

    with pytest.raises(ArchiveError, match=f"{name} does not match"):
        archive.read(rewritten(path, name, b"{}"))
    with pytest.raises(ArchiveError, match=f"has no {name}"):
        archive.read(rewritten(path, name, None))


def test_a_member_that_no_checksum_covers_is_refused(tmp_path: Path) -> None:
    path = archive.write(tmp_path, PARTS)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("smuggled.py", "import os")

    with pytest.raises(ArchiveError, match=r"smuggled\.py does not match"):
        archive.read(path)


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_a_truncated_or_flipped_archive_is_refused_or_reads_as_written(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("archives")
    data = bytearray(archive.write(folder, PARTS).read_bytes())
    short, flipped = folder / "short.mar", folder / "flipped.mar"
    short.write_bytes(data[: cut % len(data)])
    data[flip % len(data)] ^= 0xFF
    flipped.write_bytes(data)

    with pytest.raises(ArchiveError):
        archive.read(short)
    try:
        read = archive.read(flipped)
    except ArchiveError:
        return
    assert (read.card, read.network, read.reference) == (CARD, PARTS.network, PARTS.reference)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive.write(tmp_path, replace(PARTS, network=bytes(2_000_000)))
    monkeypatch.setattr(archive, "MAX_BYTES", 1_000_000)

    assert path.stat().st_size < 100_000
    with pytest.raises(ArchiveError, match="unpacks to"):
        archive.read(path)


def test_an_archive_of_another_preprocessing_is_refused(tmp_path: Path) -> None:
    path = archive.write(tmp_path, replace(PARTS, card=replace(CARD, preprocessing=images.VERSION + 1)))

    with pytest.raises(ArchiveError, match="preprocessing"):
        archive.read(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("classes", None), ("classes", [0, 1]), ("version", 4), ("temperature", 0), ("temperature", "warm"), ("scores", [])],
)
def test_a_card_of_the_wrong_types_is_refused(tmp_path: Path, field: str, value: object) -> None:
    values = json.dumps(asdict(CARD) | {field: value}).encode()
    members = archive._members(PARTS) | {"card.json": values}
    sums = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items() if name != "SHA256SUMS")
    path = tmp_path / "odd.mar"
    path.write_bytes(archive._pack(members | {"SHA256SUMS": "".join(sums).encode()}))

    with pytest.raises(ArchiveError, match=rf"card\.json has the {field}"):
        archive.read(path)


def test_a_file_that_is_missing_or_no_zip_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mar"
    text.write_text("not a zip")

    with pytest.raises(ArchiveError, match="not a whole zip file"):
        archive.read(text)
    with pytest.raises(ArchiveError, match="does not exist"):
        archive.read(tmp_path / "none.mar")
