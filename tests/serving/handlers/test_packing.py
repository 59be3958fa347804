"""Archives that are a tar.gz or a folder: the same members as a zip, and the same refusals before a byte is written."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from demlopment.errors import ArchiveError
from demlopment.serving.handlers import members, packing
from demlopment.serving.handlers.packing import BadMemberError
from tests.serving.handlers.hosting import packed

LIMIT = 1_000_000
FILES = {"handler.py": b"x = 1", "deep/er/file.txt": b"text", "MAR-INF/MANIFEST.json": b"{}"}


def tarred(path: Path, *entries: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for entry, content in entries:
            info = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            info.size = info.size or len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo("special")
    info.type, info.linkname = kind, target
    return info


def unpacked(path: Path, root: Path, limit: int = LIMIT) -> dict[str, bytes]:
    with members.opened(path, limit) as contents:
        digest = contents.digest
    root.mkdir()
    members.unpack(path, digest, root, limit)
    return {str(each.relative_to(root)): each.read_bytes() for each in root.rglob("*") if each.is_file()}


@pytest.mark.parametrize("prefix", ["model/", "./", ""])
def test_a_tar_has_its_members_at_the_top_however_it_was_packed(tmp_path: Path, prefix: str) -> None:
    top = tarfile.TarInfo(prefix or "empty")
    top.type = tarfile.DIRTYPE
    path = tarred(tmp_path / "a.tar.gz", (top, b""), *((f"{prefix}{name}", content) for name, content in FILES.items()))

    assert unpacked(path, tmp_path / "root") == FILES


def test_a_folder_has_the_same_members_as_a_zip_and_a_digest_of_what_is_in_it(tmp_path: Path) -> None:
    for name in ("first", "second"):
        for file, content in FILES.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_bytes(content)
    zipped = packed(tmp_path / "a.mar", {name: content.decode() for name, content in FILES.items()})

    with members.opened(tmp_path / "first", LIMIT) as first, members.opened(tmp_path / "second", LIMIT) as second:
        digests = {first.digest, second.digest}
    (tmp_path / "second" / "handler.py").write_bytes(b"x = 2")
    with members.opened(tmp_path / "second", LIMIT) as changed:
        digests.add(changed.digest)

    assert unpacked(tmp_path / "first", tmp_path / "one") == unpacked(zipped, tmp_path / "two") == FILES
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("../out.py", "leads out"),
        ("a/../../out.py", "leads out"),
        ("/etc/out.py", "leads out"),
        ("a\nb", "no usable name"),
        (special(tarfile.SYMTYPE, "/etc/passwd"), "neither a file nor a folder"),
        (special(tarfile.LNKTYPE, "handler.py"), "neither a file nor a folder"),
        (special(tarfile.CHRTYPE), "neither a file nor a folder"),
        (special(tarfile.FIFOTYPE), "neither a file nor a folder"),
        ("handler.py", "comes twice"),
        ("handler.py/b", "a file and a folder"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "model/"])
def test_a_dangerous_member_of_a_tar_is_refused(tmp_path: Path, entry: tarfile.TarInfo | str, reason: str, prefix: str) -> None:
    inner = entry if isinstance(entry, tarfile.TarInfo) or entry.startswith(("/", "..")) else f"{prefix}{entry}"
    path = tarred(tmp_path / "a.tar.gz", (f"{prefix}handler.py", b"x = 1"), (inner, b""))

    with pytest.raises(BadMemberError, match=reason):
        unpacked(path, tmp_path / "root")

    assert list(tmp_path.iterdir()) == [path]


def test_a_tar_below_the_folder_above_does_not_lead_out(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar.gz", ("../handler.py", b""), ("../more.py", b""))

    with pytest.raises(BadMemberError, match="leads out"):
        unpacked(path, tmp_path / "root")


def endless(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        info = tarfile.TarInfo("zeros")
        info.size = 10 * LIMIT
        file.write(info.tobuf() + bytes(20))


def long_header(path: Path) -> None:
    info = tarfile.TarInfo("x" * (packing.CHUNK + 1))
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as file:
        file.addfile(info)


def trailing(path: Path) -> None:
    tarred(path, ("handler.py", b""))
    bomb = gzip.compress(bytes(LIMIT + (packing.MAX_MEMBERS + 1) * packing.HEADERS), 1)
    path.write_bytes(path.read_bytes() + bomb)


def declared(path: Path) -> None:
    tarred(path, ("zeros", bytes(LIMIT + 1)))


@pytest.mark.parametrize("bomb", [endless, long_header, trailing, declared])
def test_a_tar_that_unpacks_to_too_much_is_refused(tmp_path: Path, bomb: Callable[[Path], None]) -> None:
    path = tmp_path / "a.tar.gz"
    bomb(path)

    with pytest.raises(ArchiveError, match=r"unpacks to|header of|not a whole tar.gz"):
        unpacked(path, tmp_path / "root")

    assert list(tmp_path.iterdir()) == [path]


def test_every_single_flipped_byte_of_a_tar_is_an_archive_error_or_harmless(tmp_path: Path) -> None:
    whole = tarred(tmp_path / "a.tar.gz", ("handler.py", b"x = 1")).read_bytes()
    path = tmp_path / "b.tar.gz"

    for position in range(2, len(whole)):  # the first two make it a tar.gz
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            files = unpacked(path, tmp_path / f"root-{position}")
        except ArchiveError:
            assert not (tmp_path / f"root-{position}").exists()
        else:
            assert files == {"handler.py": b"x = 1"}


@pytest.mark.parametrize("length", [3, 30, -1, -9])
def test_half_a_tar_is_not_whole_and_its_path_is_not_shown(tmp_path: Path, length: int) -> None:
    path = tarred(tmp_path / "a.tar.gz", ("handler.py", os.urandom(2000)))
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(ArchiveError, match=r"not a whole tar\.gz") as refusal:
        unpacked(path, tmp_path / "root")

    assert str(tmp_path) not in str(refusal.value)


@pytest.mark.parametrize("bad", ["link", "folder-link", "pipe"])
def test_what_is_neither_file_nor_folder_in_a_folder_is_refused(tmp_path: Path, bad: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "handler.py").touch()
    if bad == "pipe":
        os.mkfifo(folder / "bad")
    else:
        (folder / "bad").symlink_to("handler.py" if bad == "link" else tmp_path)

    with pytest.raises(BadMemberError, match="'bad' is neither a file nor a folder"):
        unpacked(folder, tmp_path / "root")

    assert not (tmp_path / "root").exists()


def test_a_folder_that_changes_while_it_is_copied_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "handler.py").write_text("x = 1")
    (tmp_path / "root").mkdir()
    with members.opened(folder, LIMIT) as contents:
        digest = contents.digest
    write = members._write

    def late(*where: object) -> None:
        (folder / "handler.py").write_text("evil")
        write(*where)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(members, "_write", late)

    with pytest.raises(ArchiveError, match="model has changed"):
        members.unpack(folder, digest, tmp_path / "root", LIMIT)
