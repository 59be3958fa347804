"""Unpacking a foreign archive: what is dangerous is refused before a byte is written, and a kill leaves nothing that counts."""

import io
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from demlopment.errors import ArchiveError
from demlopment.serving.handlers import members
from demlopment.serving.handlers.packing import BadMemberError
from tests.serving.handlers.hosting import packed

LIMIT = 1_000_000


def written(root: Path) -> list[Path]:
    return sorted(root.rglob("*"))


def unpacked(path: Path, root: Path, limit: int = LIMIT) -> Path:
    with members.opened(path, limit) as contents:
        digest = contents.digest
    root.mkdir()
    members.unpack(path, digest, root, limit)
    return root


def test_an_archive_becomes_a_folder_with_every_member(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": "x = 1", "deep/er/file.txt": "text", "empty/": ""})

    folder = unpacked(path, tmp_path / "root")

    assert {str(each.relative_to(folder)) for each in written(folder)} == {
        "handler.py",
        "deep",
        "deep/er",
        "deep/er/file.txt",
        "empty",
    }
    assert (folder / "deep/er/file.txt").read_text() == "text"


@pytest.mark.parametrize(
    "name",
    [
        "../out.py",
        "a/../../out.py",
        "/etc/out.py",
        "..\\out.py",
        "C:/out.py",
        "C:\\out.py",
        "a//b.py",
        "a/./b.py",
        "..",
        "a\nb",
        "x" * 300,
        "/".join(["d"] * 700),
    ],
)
def test_a_member_that_would_land_elsewhere_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": "x = 1", name: "evil"})
    root = tmp_path / "root"

    with pytest.raises(BadMemberError, match=r"leads out|no usable name"):
        unpacked(path, root)

    assert not root.exists()
    assert written(tmp_path) == [path]


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.mar"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(link, "/etc/passwd")

    with pytest.raises(BadMemberError, match="neither a file nor a folder"):
        unpacked(path, tmp_path / "root")

    assert written(tmp_path) == [path]


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": "harmless"})
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "a") as file:
        file.writestr("handler.py", "evil")

    with pytest.raises(BadMemberError, match="comes twice"):
        unpacked(path, tmp_path / "root")


def test_a_name_that_is_a_file_and_a_folder_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"a": "file", "a/b": "file"})

    with pytest.raises(BadMemberError, match="a file and a folder"):
        unpacked(path, tmp_path / "root")

    assert written(tmp_path) == [path]


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": "x = 1"})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)

    with pytest.raises(BadMemberError, match="is encrypted"):
        unpacked(path, tmp_path / "root")


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"zeros": bytes(LIMIT + 1)})
    assert path.stat().st_size < LIMIT / 100

    with pytest.raises(BadMemberError, match=f"unpacks to {LIMIT + 1} bytes"):
        unpacked(path, tmp_path / "root")

    assert written(tmp_path) == [path]


def test_a_zip_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"zeros": bytes(LIMIT * 3)})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 10)
    path.write_bytes(content)

    with pytest.raises(BadMemberError, match="is not whole"):
        unpacked(path, tmp_path / "root")

    assert written(tmp_path) == [path]


def test_a_member_whose_bytes_were_altered_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("handler.py", "some code")
    path.write_bytes(path.read_bytes().replace(b"some code", b"evil code"))

    with pytest.raises(BadMemberError, match="is not whole"):
        unpacked(path, tmp_path / "root")

    assert written(tmp_path) == [path]


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 3)
    path = packed(tmp_path / "a.mar", {f"{number}.txt": "" for number in range(4)})

    with pytest.raises(BadMemberError, match="more than 3 members"):
        unpacked(path, tmp_path / "root")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 half of one"])
def test_what_is_no_zip_is_said_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mar"
    path.write_bytes(content)

    with pytest.raises(ArchiveError, match="not a whole zip file"):
        unpacked(path, tmp_path / "root")


def test_every_single_flipped_byte_gives_a_folder_or_an_archive_error(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.mar", {"handler.py": "x = 1"}).read_bytes()
    path = tmp_path / "b.mar"

    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            folder = unpacked(path, tmp_path / f"root-{position}")
        except ArchiveError:
            assert not (tmp_path / f"root-{position}").exists()
        else:
            assert folder.is_dir()


def test_a_file_that_changed_after_it_was_read_is_not_unpacked(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": "x = 1"})
    with members.opened(path, LIMIT) as contents:
        digest = contents.digest
    packed(path, {"handler.py": "evil"})

    with pytest.raises(ArchiveError, match="has changed"):
        members.unpack(path, digest, tmp_path, LIMIT)

    assert written(tmp_path) == [path]


def test_a_member_with_a_zero_byte_in_its_name_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"handlerXpy.txt": "x = 1"})
    path.write_bytes(path.read_bytes().replace(b"handlerXpy", b"handler\0py"))
    assert zipfile.ZipFile(io.BytesIO(path.read_bytes())).namelist() == ["handler"]

    with pytest.raises(BadMemberError, match="no usable name"):
        unpacked(path, tmp_path / "root")
