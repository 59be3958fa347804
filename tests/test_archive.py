"""An archive is whole or refused; the same parts give the same bytes; TorchServe's door into it answers like ours."""

import hashlib
import json
import stat
import struct
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment import archive, images
from demlopment.archive import Answering, Archive, Card
from demlopment.errors import ArchiveError
from demlopment.legibility import Limits
from tests import tables

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
@settings(max_examples=60)
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
    [
        ("classes", None),
        ("classes", [0, 1]),
        ("classes", ["0", "\ud800"]),
        ("version", 4),
        ("temperature", 0),
        ("temperature", "warm"),
        ("scores", []),
    ],
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


def with_card(path: Path, changes: dict[str, Any]) -> Path:
    """An archive whose card says something else, with right checksums."""
    values = {name: value for name, value in asdict(CARD).items() if name != "answer"} | changes
    members = archive._members(PARTS) | {"card.json": json.dumps(values).encode()}
    sums = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items() if name != "SHA256SUMS")
    path.write_bytes(archive._pack(members | {"SHA256SUMS": "".join(sums).encode()}))
    return path


def test_a_card_that_asks_for_nothing_is_written_as_before_there_was_anything_to_ask_for(tmp_path: Path) -> None:
    with zipfile.ZipFile(archive.write(tmp_path, PARTS)) as file:
        values = json.loads(file.read("card.json"))

    assert "answer" not in values
    assert archive.read(with_card(tmp_path / "old.mar", {})).card.answer == Answering()


@pytest.mark.parametrize(
    "answer",
    [
        Answering(calibrated=False),
        Answering(top_k=3),
        Answering(threshold=0.9),
        Answering(calibrated=False, top_k=1, threshold=1),
        Answering(legible=Limits(0.1, 0.5, 0.2)),
    ],
)
def test_how_a_model_wants_to_be_quoted_is_read_again(tmp_path: Path, answer: Answering) -> None:
    parts = replace(PARTS, card=replace(CARD, answer=answer))

    first, second = archive.write(tmp_path / "a", parts), archive.write(tmp_path / "b", parts)

    assert archive.read(first).card.answer == answer
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([], "the answer"),
        ({"top": 3}, "the answer"),
        ({"top_k": 0}, r"answer\.top_k 0"),
        ({"top_k": 11}, r"answer\.top_k 11"),
        ({"top_k": True}, r"answer\.top_k True"),
        ({"threshold": 1.1}, r"answer\.threshold 1\.1"),
        ({"threshold": float("nan")}, r"answer\.threshold nan"),
        ({"threshold": "high"}, r"answer\.threshold 'high'"),
        ({"calibrated": 1}, r"answer\.calibrated 1"),
        ({"legible": 1}, r"answer\.legible 1"),
        ({"legible": {"moon": 0.1}}, r"answer\.legible {'moon': 0.1}"),
        ({"legible": {"least_ink": -1}}, r"answer\.legible {'least_ink': -1}"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(tmp_path: Path, answer: Any, said: str) -> None:
    path = with_card(tmp_path / "odd.mar", {"answer": answer})

    with pytest.raises(ArchiveError, match=said):
        archive.read(path)


def test_an_answer_may_say_one_thing_only(tmp_path: Path) -> None:
    path = with_card(tmp_path / "short.mar", {"answer": {"top_k": 3}})

    assert archive.read(path).card.answer == Answering(top_k=3)


def test_a_model_that_reads_rows_says_so_on_its_card_and_brings_what_prepares_them(tmp_path: Path) -> None:
    model = tables.model()

    path = archive.write(tmp_path, model)

    assert archive.read(path).card == model.card
    assert archive.read(path).sample == model.sample
    with zipfile.ZipFile(path) as file:
        names = set(file.namelist())
    assert {"row.py", "handler.py", "sample.json"} <= names
    assert not {"images.py", "sample.png"} & names


@pytest.mark.parametrize("columns", ["alcohol", [["alcohol", 0, 1], ["alcohol", 0, 2]], [["", 0, 1]]])
def test_columns_that_make_no_sense_are_refused(tmp_path: Path, columns: object) -> None:
    with pytest.raises(ArchiveError, match=r"card\.json: The table has .*\. Name 1 to 128 columns, each once"):
        archive.read(with_card(archive.write(tmp_path, PARTS), {"columns": columns}))


def test_an_archive_of_rows_without_a_row_to_try_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"has no sample\.json"):
        archive.read(with_card(archive.write(tmp_path, PARTS), {"columns": [["alcohol", 0, 1]]}))


def smuggled(path: Path, member: zipfile.ZipInfo, data: bytes = b"x") -> Path:
    """An archive with one more member, which a checksum covers."""
    members = archive._members(PARTS)
    members["SHA256SUMS"] += f"{hashlib.sha256(data).hexdigest()}  {member.filename}\n".encode()
    path.write_bytes(archive._pack(members))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(member, data)
    return path


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.py", "a/../../up.py", "C:/up.py", "a\\..\\up.py"])
def test_a_member_whose_name_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path = smuggled(tmp_path / "slip.mar", zipfile.ZipInfo(name))

    with pytest.raises(ArchiveError, match="leads elsewhere"):
        archive.read(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR])
def test_a_member_that_is_no_file_is_refused(tmp_path: Path, kind: int) -> None:
    member = zipfile.ZipInfo("link")
    member.external_attr = (kind | 0o777) << 16

    with pytest.raises(ArchiveError, match="'link' is no file"):
        archive.read(smuggled(tmp_path / "link.mar", member, b"/etc/passwd"))


@pytest.mark.filterwarnings("ignore:Duplicate name")  # the library's, about the archive that we forge
def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = archive.write(tmp_path, PARTS)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("model.onnx", PARTS.network)

    with pytest.raises(ArchiveError, match=r"'model\.onnx' comes twice"):
        archive.read(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = archive.write(tmp_path, PARTS)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1  # the flag, in the first entry of the directory
    path.write_bytes(data)

    with pytest.raises(ArchiveError, match=r"its member .* is encrypted"):
        archive.read(path)


def test_a_member_that_lies_about_its_size_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive.write(tmp_path, replace(PARTS, network=bytes(3_000_000)))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(b"model.onnx") if offset == 22 else data.rindex(b"model.onnx")
        struct.pack_into("<I", data, data.rindex(signature, 0, at) + offset, 10)
    path.write_bytes(data)
    monkeypatch.setattr(archive, "MAX_BYTES", 1_000_000)
    asked: list[int] = []
    read = zipfile.ZipExtFile.read

    def watched(stream: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        asked.append(-1 if n is None else n)
        return read(stream, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", watched)

    with pytest.raises(ArchiveError, match="not a whole zip file"):
        archive.read(path)
    assert asked
    assert all(0 < size <= archive.CHUNK for size in asked)


def test_more_than_the_limit_is_refused_while_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive.write(tmp_path, replace(PARTS, network=bytes(3_000_000)))
    monkeypatch.setattr(archive, "MAX_BYTES", 1_000_000)
    monkeypatch.setattr(archive, "_check", lambda path, members: None)  # as if the directory had said less

    with pytest.raises(ArchiveError, match=r"unpacks to .* or more"):
        archive.read(path)
