"""Folders of pictures and zips of them: every file becomes a row, what is hostile is refused before anything is stored."""

import hashlib
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from demlopment.cli import ENVIRONMENT
from demlopment.data.lake import Lake
from demlopment.data.quarantine import ALL
from demlopment.data.sources import opened, port, zips
from demlopment.data.sources.folders import pictures
from demlopment.errors import DataError
from tests.data.sources.written import csv_digits, folder_of_pictures, idx_pair, png, zipped
from tests.fakes import MemoryStore

Where = Callable[[Path], Path]
WHERE: list[Where] = [lambda folder: folder, lambda folder: zipped(folder.with_suffix(".bin"), folder)]


def drawn(number: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A thick stroke on black, another for each number."""
    field = np.zeros((60, 50), np.uint8)
    cv2.line(field, (10 + number, 8), (30, 50 - number), color=255, thickness=5)
    return field


def laid(root: Path, files: dict[str, bytes | str]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def empty_lake() -> Lake:
    store = MemoryStore()
    return Lake("memory", lambda _: store)


def rows(path: Path) -> pl.DataFrame:
    return pl.concat(pictures(path).batches())


@pytest.mark.parametrize("where", WHERE)
def test_a_picture_is_labelled_by_the_folder_it_lies_in(tmp_path: Path, where: Where) -> None:
    files = {f"{n % 3}/p{n}.png": png(drawn(n)) for n in range(6)}
    path = where(laid(tmp_path / "mine", dict(files)))

    source = pictures(path)
    frame = rows(path)

    ordered = sorted(files)
    assert frame["image"].to_list() == [files[name] for name in ordered]
    assert frame["label"].to_list() == [name[0] for name in ordered]
    assert frame["origin"].to_list() == [hashlib.sha256(files[name]).hexdigest() for name in ordered]
    assert frame["row"].to_list() == list(range(6))
    assert frame["format"].unique().to_list() == ["file"]
    assert source.rows == 6
    assert source.name == f"file:mine-{source.sha256[:8]}"


def test_the_digest_is_that_of_the_sorted_paths_and_contents_wherever_they_lie(tmp_path: Path) -> None:
    files = {"7/a.png": png(drawn(1)), "7-/a.png": png(drawn(2)), "1/b/c.png": png(drawn(3))}
    one = laid(tmp_path / "mine", dict(files))
    other = laid(tmp_path / "else" / "mine", dict(reversed(files.items())))
    packed = zipped(tmp_path / "mine.zip", one)
    ordered = sorted(files, key=lambda name: name.split("/"))
    expected = hashlib.sha256(b"".join(f"{hashlib.sha256(files[n]).hexdigest()} {n}\0".encode() for n in ordered)).hexdigest()

    assert {pictures(path).sha256 for path in (one, other, packed)} == {expected}
    (one / "7" / "a.png").rename(one / "7" / "b.png")
    assert pictures(one).sha256 != expected


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("below", ["", "top/"])
def test_a_csv_names_label_writer_and_licence_and_what_does_not_fit_it_has_a_reason(
    tmp_path: Path, where: Where, below: str
) -> None:
    table = "\ufeffFilename, label,licence,writer\nb.png,3,CC0,ann\n./in/a.png,4,,\n\nnone.png,5,,\n,6,,\nb.png,7,a,b,c\n"
    files: dict[str, bytes | str] = {
        "in/a.png": png(drawn(1)),
        "b.png": png(drawn(2)),
        "left.png": png(drawn(3)),
        "any.csv": table,
    }
    path = where(laid(tmp_path / "mine", {below + name: data for name, data in files.items()}))
    store = MemoryStore()

    source = pictures(path, licence="mine")
    frame = pl.concat(source.batches())
    added = Lake("memory", lambda _: store).add(source)

    assert frame["label"].to_list() == ["3", "4", "5", "6", None, None]
    assert frame["writer"].to_list() == ["ann", None, None, None, None, None]
    assert frame["licence"].to_list() == ["CC0", "mine", "mine", "mine", "mine", "mine"]
    assert frame["image"].to_list() == [files["b.png"], files["in/a.png"], None, None, None, files["left.png"]]
    assert frame["origin"][2] == hashlib.sha256(table.encode()).hexdigest()
    assert (added.rows, added.added, added.rejected) == (6, 2, 4)
    assert added.quarantined == {"image missing": 3, "label missing": 2}
    held = store.read("quarantine").sort("row")
    assert held["place"].to_list() == [f"{below}none.png", None, None, f"{below}left.png"]


def test_labels_csv_is_taken_before_others_and_several_others_are_asked_about(tmp_path: Path) -> None:
    path = laid(tmp_path / "mine", {"a.png": png(drawn()), "one.csv": "file,label\na.png,1\n", "two.csv": "file,label\n"})

    with pytest.raises(DataError, match=r"holds 2 CSV files: one\.csv, two\.csv\. Call the right one labels\.csv\."):
        pictures(path)
    laid(path, {"labels.csv": "path,label\na.png,2\n"})

    assert rows(path)["label"].to_list() == ["2", None, None]


def test_what_is_no_picture_is_in_quarantine_and_what_nobody_put_there_is_passed_over(tmp_path: Path) -> None:
    litter = {"__MACOSX/3/a.png": b"x", ".git/3/a.png": b"x", "3/.hidden.png": b"x", "3/Thumbs.db": b"x", ".DS_Store": b"x"}
    good = {"3/a.png": png(drawn())}
    bad: dict[str, bytes | str] = {
        "3/read.txt": "text",
        "3/empty.png": b"",
        "3/cut.png": png(drawn(1))[:20],
        "a.png": png(drawn(2)),
    }
    os.mkfifo(laid(tmp_path / "mine", {**litter, **good, **bad}) / "3" / "pipe.png")
    lake = empty_lake()

    added, again = lake.add(pictures(tmp_path / "mine")), lake.add(pictures(tmp_path / "mine"))

    assert (added.rows, added.added, added.rejected) == (5, 1, 4)
    assert added.quarantined == {"image cannot be decoded": 2, "image is empty": 1, "label missing": 1}
    assert (again.added, len(lake.quarantine())) == (0, 4)


def test_every_format_size_and_polarity_becomes_the_same_character(tmp_path: Path) -> None:
    grey = np.kron(drawn(), np.ones((3, 3), np.uint8)) * np.uint8(1)
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    clear = np.dstack([np.zeros_like(colour), grey])  # black ink on nothing
    deep = grey.astype(np.uint16) * 257
    deep_clear = np.dstack([np.zeros((*grey.shape, 3), np.uint16), deep])
    kinds: dict[str, tuple[str, np.ndarray[Any, Any], list[int]]] = {
        "grey": (".png", grey, []),
        "dark on light": (".png", 255 - grey, []),
        "colour": (".png", colour, []),
        "rgba": (".png", clear, []),
        "16 bit": (".png", deep, []),
        "16 bit, dark on light": (".png", 65535 - deep, []),
        "16 bit rgba": (".png", deep_clear, []),
        "one bit": (".png", grey, [cv2.IMWRITE_PNG_BILEVEL, 1]),
        "bmp": (".bmp", colour, []),
        "grey bmp": (".bmp", 255 - grey, []),
        "bmp rgba": (".bmp", clear, []),
        "webp": (".webp", colour, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        "webp rgba": (".webp", clear, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        "jpeg": (".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 100]),
        "jpeg, dark on light": (".jpg", 255 - colour, [cv2.IMWRITE_JPEG_QUALITY, 100]),
    }
    store = MemoryStore()
    lake = Lake("memory", lambda _: store)

    prepared = {}
    for number, (kind, (ending, picture, options)) in enumerate(kinds.items()):
        path = laid(tmp_path / str(number), {f"1/a{ending}": cv2.imencode(ending, picture, options)[1].tobytes()})
        lake.add(pictures(path, name=kind))
    for image, source in store.read("examples").select("image", "source").rows():
        prepared[source] = np.frombuffer(image, np.uint8).reshape(28, 28).astype(int)

    assert set(prepared) == set(kinds)
    far = {kind: int(np.abs(picture - prepared["grey"]).max()) for kind, picture in prepared.items()}
    assert {kind for kind, difference in far.items() if difference > (12 if "jpeg" in kind else 1)} == set()


def huge(ending: str) -> bytes:
    """A small picture whose header says 40,000 x 40,000, or the 16,000 x 16,000 that a WebP may have."""
    data = bytearray(cv2.imencode(ending, np.zeros((8, 8, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes())
    if ending == ".png":
        data[16:24] = struct.pack(">II", 40_000, 40_000)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif ending == ".bmp":
        data[18:26] = struct.pack("<ii", 40_000, 40_000)
    elif ending == ".webp":
        place = data.index(b"\x9d\x01\x2a") + 3
        data[place : place + 4] = struct.pack("<HH", 16_000, 16_000)
    else:
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", 40_000, 40_000)
    return bytes(data)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".jpg", ".webp"])
def test_a_picture_of_a_billion_pixels_is_in_quarantine_and_was_never_unpacked(tmp_path: Path, ending: str) -> None:
    path = laid(tmp_path / "mine", {f"1/a{ending}": huge(ending), "1/b.png": png(drawn())})
    before = peak_mb()

    added = empty_lake().add(pictures(path))

    assert (added.added, added.rejected) == (1, 1)
    assert added.quarantined == {"image is too large": 1}
    assert peak_mb() - before < 500


def peak_mb() -> int:
    """The most memory that this process has had."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1000


INGESTED = """
import sys
from pathlib import Path
from demlopment.commands.data import frugal
from demlopment.data import Lake, opened

frugal()
added = Lake(Path(sys.argv[1])).add(opened(Path(sys.argv[2])))
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(added.added, int(peak.split()[1]) // 1000)
"""


def test_pictures_of_15_mb_are_not_kept_many_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name in ("1/a.png", "1/b.png", "1/c.png"):
        (tmp_path / "mine" / name).parent.mkdir(exist_ok=True, parents=True)
        noise = rng.integers(0, 256, (2230, 2230, 3), np.uint8)
        (tmp_path / "mine" / name).write_bytes(cv2.imencode(".png", noise, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes())

    done = subprocess.run(
        [sys.executable, "-c", INGESTED, tmp_path / "lake", tmp_path / "mine"],
        check=True, capture_output=True, text=True, env=ENVIRONMENT | dict(os.environ),
    )  # fmt: skip
    added, peak_mb = map(int, done.stdout.split())

    assert added == 3
    assert peak_mb < 650  # 457 to 553, as threads happen to meet; 690 when each step kept them


def test_a_file_that_is_too_large_is_in_quarantine_with_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "LARGEST", 5000)
    large = png(np.random.default_rng(1).integers(0, 256, (100, 100), np.uint8))
    path = laid(tmp_path / "mine", {"1/large.png": large, "1/b.png": png(drawn())})
    lake = empty_lake()

    added = lake.add(pictures(path))

    (row,) = lake.quarantine()
    assert (added.added, row.reasons) == (1, (port.too_large(len(large)),))
    assert (row.image, row.origin) == (large[:4096], hashlib.sha256(large).hexdigest())


def test_a_batch_is_limited_by_its_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{n}/a.png": png(drawn(n)) for n in range(10)}
    path = laid(tmp_path / "mine", dict(files))
    most = max(map(len, files.values()))
    monkeypatch.setattr(port, "BATCH_BYTES", 3 * most)

    batches = list(pictures(path).batches())

    assert [row for batch in batches for row in batch["row"]] == list(range(10))
    assert all(batch["image"].bin.size().sum() <= 3 * most for batch in batches)
    assert len(batches) < 6


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({".hidden": b"x"}, "holds no files", id="empty"),
        pytest.param({"3/a.txt": b"text", "3/b": b""}, "holds 2 files, and none of them is a picture", id="no picture"),
        pytest.param({"a.png": b"BM", "l.csv": "name,label\na.png,1\n"}, "l.csv starts with 'name,label'", id="header"),
        pytest.param({"a.png": b"BM", "l.csv": "file,path,label\n"}, "l.csv starts with 'file,path,label'", id="two files"),
        pytest.param({"a.png": b"BM", "l.csv": ""}, "l.csv starts with ''", id="empty csv"),
        pytest.param({"a.png": b"BM", "l.csv": b"file,label\n\xff,1\n"}, "l.csv is no UTF-8 text", id="latin"),
        pytest.param({"a.png": b"BM", "l.csv": 'file,label\na.png,"1\n'}, "l.csv, line 2: unexpected end", id="quote"),
        pytest.param({"a.png": b"BM", "l.csv": "file,label\n\n../a.png,1\n"}, "line 3: '../a.png' leads out", id="up"),
        pytest.param({"a.png": b"BM", "l.csv": "file,label\n/etc/passwd,1\n"}, "line 2: '/etc/passwd' leads out", id="root"),
        pytest.param({"a.png": b"BM", "l.csv": "file,label\n" + "x" * 200_000}, "line 2: field larger than", id="long line"),
    ],
)
def test_a_tree_that_cannot_be_taken_is_named(tmp_path: Path, where: Where, files: dict[str, bytes | str], words: str) -> None:
    path = where(laid(tmp_path / "mine", files))

    with pytest.raises(DataError) as refused:
        opened(path)

    assert str(path) in refused.value.problem
    assert words in refused.value.problem
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("link", "target", "words"),
    [
        ("3/l.png", "../../outside.png", "leads out of"),
        ("3/l.png", "/etc/passwd", "leads out of"),
        ("l", "..", "leads out of"),
        ("3/up", "..", "is a link to a folder"),
        ("3/l.png", "nothing", "leads nowhere"),
        ("3/l.png", "l.png", "leads nowhere"),
    ],
)
def test_a_link_that_leads_out_or_round_is_refused(tmp_path: Path, link: str, target: str, words: str) -> None:
    (tmp_path / "outside.png").write_bytes(png(drawn()))
    path = laid(tmp_path / "mine", {"3/a.png": png(drawn())})
    (path / link).symlink_to(target)

    with pytest.raises(DataError, match=words) as refused:
        pictures(path)

    assert str(path / link) in refused.value.problem


def test_a_link_to_a_picture_inside_is_that_picture_and_the_folder_may_be_reached_by_one(tmp_path: Path) -> None:
    path = laid(tmp_path / "mine", {"3/a.png": png(drawn())})
    (path / "3" / "b.png").symlink_to("a.png")
    (tmp_path / "link").symlink_to(path)

    assert rows(tmp_path / "link")["image"].to_list() == [png(drawn())] * 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../a.png", "leads out of the zip"),
        ("3/../../a.png", "leads out of the zip"),
        ("/etc/a.png", "leads out of the zip"),
        ("C:/a.png", "leads out of the zip"),
        ("..\\a.png", "leads out of the zip"),
        ("3//a.png", "has no usable name"),
    ],
)
def test_a_member_that_leads_out_of_its_zip_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as packed:
        packed.writestr("3/good.png", png(drawn()))
        packed.writestr(name, png(drawn()))

    with pytest.raises(DataError, match=words) as refused:
        pictures(tmp_path / "z.zip")

    assert repr(name) in refused.value.problem


def test_links_and_names_that_come_twice_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("3/a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as packed:
        packed.writestr("3/a.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            packed.writestr("3/a.png", b"2")

    with pytest.raises(DataError, match=r"'3/a\.png' is a link or a device"):
        pictures(tmp_path / "link.zip")
    with pytest.raises(DataError, match=r"'3/a\.png' comes twice"):
        pictures(tmp_path / "twice.zip")


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("3/a.png", bytes(80_000_000))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))

    with pytest.raises(DataError, match=r"would unpack from \d+ to 80000000 bytes"):
        pictures(tmp_path / "z.zip")
    monkeypatch.setattr(zips, "MAX_MEMBERS", 0)
    with pytest.raises(DataError, match="has 1 members, and 0 is the limit"):
        pictures(tmp_path / "z.zip")


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    place = data.rindex(signature) + offset
    return data[:place] + value + data[place + len(value) :]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(lambda data: patched(data, b"PK\x01\x02", 8, b"\x01\x00"), "is encrypted", id="encrypted"),
        pytest.param(lambda data: patched(data, b"PK\x01\x02", 24, b"\x05\x00\x00\x00"), "is damaged", id="declares less"),
        pytest.param(lambda data: patched(data, b"PK\x01\x02", 16, b"abcd"), "is damaged: Bad CRC", id="checksum"),
        pytest.param(lambda data: patched(data, b"PK\x01\x02", 10, b"\x63\x00"), "is damaged", id="unknown packing"),
        pytest.param(lambda data: data[:80] + bytes(60) + data[140:], "is damaged", id="content"),
        pytest.param(lambda data: data[:-30], "is not a whole zip file", id="cut short"),
        pytest.param(lambda data: data[:4] + bytes(6000), "is not a whole zip file", id="nonsense"),
    ],
)
def test_a_damaged_or_encrypted_zip_is_named_and_adds_nothing(
    tmp_path: Path, damage: Callable[[bytes], bytes], words: str
) -> None:
    path = zipped(tmp_path / "z.zip", laid(tmp_path / "mine", {"3/a.png": png(drawn())}))
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(DataError) as refused:
        opened(path)

    assert str(path) in refused.value.problem
    assert words in refused.value.problem
    assert refused.value.remedy


def test_a_folder_that_has_grown_is_the_same_source_under_its_name(tmp_path: Path) -> None:
    path = laid(tmp_path / "mine", {"3/b.png": png(drawn())})
    store = MemoryStore()
    lake = Lake("memory", lambda _: store)
    lake.add(opened(path, name="ours", licence="CC0"))
    laid(path, {"3/a.png": png(drawn(1))})

    grown = lake.add(opened(path, name="ours", licence="CC0"))

    assert (grown.added, grown.known) == (1, 1)
    assert store.read("examples").select("source", "licence").unique().rows() == [("ours", "CC0")]


BAD: dict[str, bytes | str] = {"3/b.png": "junk", "3/c.png": b"\x89PNG" + bytes(6000), "x/d.png": png(drawn(2))}
LISTED: dict[str, bytes | str] = {**BAD, "labels.csv": "file,label\n3/b.png,3\nnone.png,4\nx/d.png,x\n"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BAD, {"1/a.png": png(drawn(1)), "3/a.png": "other junk"}),
        (
            LISTED,
            {"labels.csv": "file,label\n1/a.png,1\n3/a.png,3\n3/b.png,3\nnone.png,4\nx/d.png,x\n", "1/a.png": png(drawn(1))},
        ),
    ],
)
@pytest.mark.parametrize("where", WHERE)
def test_a_bad_row_of_a_folder_that_has_grown_is_in_quarantine_once(
    tmp_path: Path, where: Where, before: dict[str, bytes | str], after: dict[str, bytes | str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "LARGEST", 5000)
    path, lake = laid(tmp_path / "mine", before), empty_lake()
    first = lake.add(opened(where(path), name="ours"))
    names = set(lake.bad.found(ALL, ("name",))["name"])

    grown = lake.add(opened(where(laid(path, after)), name="ours"))

    assert (first.rejected, len(names)) == (len(before) if before is BAD else 4, first.rejected)
    assert (grown.added, grown.rejected) == (1, first.rejected + 1)
    assert len(lake.quarantine()) == grown.rejected
    assert names < set(lake.bad.found(ALL, ("name",))["name"])


@pytest.mark.parametrize("kind", ["folder", "idx", "csv"])
def test_every_kind_of_source_takes_a_name_and_a_licence(tmp_path: Path, kind: str) -> None:
    path = {"folder": folder_of_pictures, "idx": idx_pair, "csv": csv_digits}[kind](tmp_path, 3)

    source = opened(path, name="our digits", licence="CC0")

    (batch,) = source.batches()
    assert source.name == "our digits"
    assert batch.select("source", "licence").unique().rows() == [("our digits", "CC0")]


@pytest.mark.parametrize("name", ["feedback", "planted", "mnist-5k", "", " a", "a\n", "a" * 101])
def test_a_name_that_is_reserved_or_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="The name"):
        opened(tmp_path, name=name)


def test_a_file_that_goes_away_between_opening_and_reading_is_named(tmp_path: Path) -> None:
    path = laid(tmp_path / "mine", {"3/a.png": png(drawn()), "3/b.png": png(drawn(1))})
    source = pictures(path)
    shutil.rmtree(path / "3")

    with pytest.raises(DataError, match="is not what it was when it was opened"):
        empty_lake().add(source)


def test_names_that_are_no_text_are_read_as_far_as_they_are(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/gr\xfcn"
    os.makedirs(folder + b"/\xff")  # noqa: PTH103  the bytes are the point
    with open(folder + b"/\xff/\xfe.png", "wb") as file:  # noqa: PTH123  as above
        file.write(png(np.eye(28, dtype=np.uint8) * 255))

    (batch,) = opened(Path(os.fsdecode(folder)), licence="gr\udcfcn").batches()

    assert batch["label"].to_list() == ["?"]
    assert batch["licence"].to_list() == ["gr?n"]
    assert batch["source"][0].startswith("file:gr?n-")
