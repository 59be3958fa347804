"""`demlopment data quarantine` as a person works with it: look, write out, put right, try again."""

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from demlopment import images
from demlopment.cli import app
from demlopment.data import Lake, RawRows, opened, packaged_digits, spoiled
from demlopment.data.delta import DeltaStore
from demlopment.data.exhibits import exhibits, picture
from demlopment.data.sources.port import raw_frame
from demlopment.errors import DataError
from demlopment.home import Home

DIGIT = np.arange(784, dtype=np.uint32).reshape(28, 28).astype(np.uint8)
HOSTILE = '<b>,"\n=1+1'
BOMB = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (60_000).to_bytes(4, "big") * 2


def seen(png: bytes) -> npt.NDArray[np.generic]:
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    return decoded


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Seven bad rows: five of a good picture or none, one that contradicts it, and a file that is no picture."""
    home = Home(tmp_path / "var")
    home.open()
    digits = packaged_digits()
    lake = Lake(home.lake)
    lake.add(spoiled(RawRows(digits.name, digits.sha256, digits.frame.gather_every(500))))
    lake.add(RawRows(HOSTILE, "a", raw_frame([BOMB], ["7"], source=HOSTILE, licence="", origins="a", kind="file")))
    return home


def quarantine(home: Home, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["--home", str(home.root), "data", "quarantine", *map(str, arguments)])


def listed(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def saved(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_rows_are_counted_by_reason_and_named_if_asked(home: Home) -> None:
    whole, some = quarantine(home), quarantine(home, "--source", "planted", "--reason", "label", "--limit", "2")

    assert whole.stdout.startswith("7 rows in quarantine.\n")
    assert "     1  image is blank" in whole.stdout
    assert some.stdout.startswith("3 rows in quarantine.\n")
    assert "row 0 of planted, label 12: label outside 0 to 9" in some.stdout
    assert len(some.stdout.splitlines()) == 1 + 3 + 2


def test_a_row_of_a_folder_is_shown_with_the_name_of_its_file(home: Home, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes(images.encode_png(DIGIT))
    (tmp_path / "mine" / "labels.csv").write_text("file,label\na.png,x\nnot/there.png,7\n")
    Lake(home.lake).add(opened(tmp_path / "mine", name="mine"))

    shown = quarantine(home, "--source", "mine", "--limit", "9").stdout
    quarantine(home, "--source", "mine", "--export", tmp_path / "bad")

    assert "  row 0 of mine (a.png), label x: label outside 0 to 9\n" in shown
    assert "  row 1 of mine (not/there.png), label 7: image missing\n" in shown
    assert sorted(row["place"] for row in listed(tmp_path / "bad")) == ["a.png", "not/there.png"]


def test_a_quarantine_of_an_earlier_release_is_shown_and_grows(home: Home, tmp_path: Path) -> None:
    held = DeltaStore(home.lake).read("quarantine").drop("place")
    old = Home(tmp_path / "old")
    old.root.mkdir()
    DeltaStore(old.lake).insert("quarantine", held, by=("name",), note={})

    before = quarantine(old, "--limit", "9"), quarantine(old, "--export", tmp_path / "bad")
    Lake(old.lake).add(RawRows("b", "b", raw_frame([BOMB], ["7"], source="b", licence="", origins="b", places=["it"])))

    assert [each.exit_code for each in before] == [0, 0]
    assert quarantine(old).stdout.startswith("8 rows")
    assert "row 0 of b (it), label 7" in quarantine(old, "--limit", "9").stdout


def test_rows_that_were_written_out_and_put_right_become_examples(home: Home, tmp_path: Path) -> None:
    written = quarantine(home, "--export", tmp_path / "bad")
    rows = listed(tmp_path / "bad")
    fixes = saved(tmp_path / "fixes.csv", [row | {"label": "0" if row["label"] == "12" else row["label"]} for row in rows])

    first, second = (quarantine(home, "--replay", "--fixes", fixes) for _ in range(2))

    assert written.stdout.startswith(f"7 rows are in {tmp_path / 'bad'}.\n")
    assert first.stdout.startswith("7 rows: 1 added, 0 known, 6 still in quarantine.\n")
    assert second.stdout.startswith("6 rows: 0 added, 0 known, 6 still in quarantine.\n")
    assert len(Lake(home.lake).now(pl.col("source") == "planted", ("key",))) == 1


def test_what_is_written_out_holds_every_row_and_a_picture_of_each_that_shows_one(home: Home, tmp_path: Path) -> None:
    quarantine(home, "--export", tmp_path / "bad")

    rows = listed(tmp_path / "bad")

    assert sorted(row["label"] for row in rows) == ["", "0", "0", "0", "1", "12", "7"]
    assert [row["source"] for row in rows if row["label"] == "7"] == [HOSTILE]
    assert sorted(row["reasons"] for row in rows if not row["file"]) == [
        "image is 783 bytes, not 784",
        "image is too large",
        "image missing",
    ]
    shown = [seen((tmp_path / "bad" / row["file"]).read_bytes()) for row in rows if row["file"]]
    assert {each.shape for each in shown} == {(28, 28)}
    assert len(list((tmp_path / "bad").rglob("*.png"))) == len(shown) == 4


def test_rows_are_dropped_by_reason_once_somebody_has_agreed(home: Home) -> None:
    def dropped(answer: str, *arguments: str) -> Result:
        command = ["--home", str(home.root), "data", "quarantine", "--drop", *arguments]
        return CliRunner().invoke(app, command, input=answer)

    refused = dropped("n\n", "--reason", "label")
    kept = quarantine(home)
    agreed, at_once = dropped("y\n", "--reason", "label"), dropped("", "--yes")

    assert "Drop 3 rows from quarantine?" in refused.stdout
    assert (refused.exit_code, kept.stdout.splitlines()[0]) == (1, "7 rows in quarantine.")
    assert "3 rows were dropped from quarantine." in agreed.stdout
    assert "4 rows were dropped from quarantine." in at_once.stdout
    assert quarantine(home).stdout == "0 rows in quarantine.\n"
    assert quarantine(home, "--drop", "--replay").exit_code == quarantine(home, "--yes").exit_code == 2


def test_a_folder_that_is_there_and_a_name_that_is_not_change_nothing(home: Home, tmp_path: Path) -> None:
    fixes = tmp_path / "fixes.csv"
    fixes.write_text("name,label\nnobody,3\n")

    there, unknown = quarantine(home, "--export", tmp_path), quarantine(home, "--replay", "--fixes", fixes)

    assert isinstance(there.exception, DataError)
    assert "is already there" in str(there.exception)
    assert "names rows that are not in quarantine: nobody." in str(unknown.exception)
    assert quarantine(home).stdout.startswith("7 rows")


@pytest.mark.parametrize("options", [("--fixes", "a.csv"), ("--replay", "--reason", "x"), ("--replay", "--export", "x")])
def test_options_that_do_not_go_together_are_refused(home: Home, options: tuple[str, ...]) -> None:
    assert quarantine(home, *options).exit_code == 2


@pytest.mark.parametrize("data", [None, b"", b"\x00" * 783, BOMB, b"GIF89a" + bytes(50)])
def test_bytes_that_are_no_picture_show_none(data: bytes | None) -> None:
    assert picture(data, "grey") is None
    assert picture(data, "file") is None
    assert picture(data, None) is None


def test_pixels_are_shown_as_they_came() -> None:
    pixels = np.arange(784, dtype=np.uint8).tobytes()

    shown = picture(pixels, "grey")

    assert shown is not None
    assert seen(shown).tobytes() == pixels


def test_the_report_is_given_a_few_rows_of_each_reason_with_pictures_of_our_own_making(home: Home) -> None:
    shown = {each.reason: each for each in exhibits(Lake(home.lake).bad)}

    assert {reason: each.rows for reason, each in shown.items()} == {
        "image is 783 bytes, not 784": 1,
        "image is blank": 1,
        "image is too large": 1,
        "image missing": 1,
        "label missing": 1,
        "label outside 0 to 9": 1,
        "the same pixels are already labelled 0": 1,
    }
    (bomb,), (short,) = shown["image is too large"].shown, shown["image is 783 bytes, not 784"].shown
    assert (bomb.picture, bomb.size, bomb.head, bomb.source) == (None, len(BOMB), BOMB[:8], HOSTILE)
    assert (short.picture, short.size) == (None, 783)
    (outside,) = shown["label outside 0 to 9"].shown
    assert outside.picture is not None
    assert seen(outside.picture).shape == (28, 28)
    (missing,) = shown["image missing"].shown
    assert (missing.picture, missing.size, missing.head) == (None, None, b"")


def test_however_much_is_in_quarantine_little_of_it_is_shown(tmp_path: Path) -> None:
    lake, count = Lake(tmp_path), 60
    sizes = [bytes([1]) * (100 + number % 20) for number in range(count)]
    lake.add(RawRows.of(sizes, ["y" * 5000] * count, source="mine", licence="", origins="a"))

    shown = exhibits(lake.bad)

    assert (len(shown), shown[0].reason, shown[0].rows) == (12, "label outside 0 to 9", 60)
    assert {len(each.shown) for each in shown} == {3}
    assert {row.label for each in shown for row in each.shown} == {"y" * 40}
    assert exhibits(Lake(tmp_path / "none").bad) == ()
