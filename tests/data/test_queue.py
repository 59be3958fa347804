"""What is in question waits for a person, comes back as verdicts, and nothing else changes a label."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from demlopment import images
from demlopment.data.delta import DeltaStore
from demlopment.data.doubted import COLUMNS
from demlopment.data.lake import Lake
from demlopment.data.queue import Item, export, waiting
from demlopment.data.sources import RawRows, returned, spoiled
from demlopment.data.verdicts import take
from demlopment.errors import DataError
from tests.fakes import MemoryStore

SALT = "demlopment-1"


@pytest.fixture(params=[DeltaStore, MemoryStore])
def lake(request: pytest.FixtureRequest, tmp_path: Path, few: RawRows) -> Lake:
    """With a doubt about a 3 and one about a 4, a 0 that came back as 8, and a row of a file that calls the same 0 a 1."""
    lake = Lake(tmp_path / "lake", request.param)
    lake.add(spoiled(few))
    lake.add(returned(np.frombuffer(few.frame["image"][0], np.uint8).reshape(1, 28, 28), ["8"], ["asked"]))
    doubt(lake, some(lake, "3"), "3", "5", -0.7)
    doubt(lake, some(lake, "4"), "4", "9", -0.9)
    return lake


def some(lake: Lake, label: str) -> str:
    return str(lake.now(pl.col("label") == label, ("key",))["key"].min())


def doubt(lake: Lake, key: str, label: str, suggestion: str, score: float) -> None:
    lake.doubted.add(pl.DataFrame([(key, label, suggestion, score, "all")], schema=COLUMNS, orient="row"))


def zero(lake: Lake) -> str:
    return str(lake.now(pl.col("row") == 0, ("key",))["key"].item())


def filled(path: Path, verdicts: dict[str, str], *, separator: str = ",", mark: str = "") -> Path:
    """The exported file with the verdicts of some keys filled in, as a spreadsheet would save it."""
    rows = list(csv.DictReader(path.read_text().splitlines()))
    answered = path.with_name(f"answered-{len(list(path.parent.iterdir()))}.csv")
    with answered.open("w", newline="", encoding="utf-8") as file:
        file.write(mark)
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows({**row, "verdict": verdicts.get(row["key"], "")} for row in rows)
    return answered


def test_contradictions_come_first_and_then_the_likeliest_errors(lake: Lake) -> None:
    first, second, third, fourth = waiting(lake)

    assert first == Item(zero(lake), "0", "8", "contradicted by feedback", None, None)
    assert second == Item(zero(lake), "0", "1", "contradicted by planted", None, None)
    assert third == Item(some(lake, "4"), "4", "9", "doubted", -0.9, "all")
    assert fourth == Item(some(lake, "3"), "3", "5", "doubted", -0.7, "all")


def test_a_doubt_changes_no_label_and_the_same_doubt_waits_once(lake: Lake) -> None:
    before = lake.pin("before", SALT).digest

    doubt(lake, some(lake, "3"), "3", "5", -0.1)

    assert lake.pin("after", SALT).digest == before
    assert [item.score for item in waiting(lake)] == [None, None, -0.9, -0.7]


def test_a_reviewed_row_is_in_question_no_more_and_neither_is_one_that_is_gone(lake: Lake, tmp_path: Path) -> None:
    export(lake, tmp_path / "folder")
    file = filled(tmp_path / "folder" / "reviews.csv", {zero(lake): "8", some(lake, "3"): "keep"})

    take(lake, file, "ann", 1.0)
    left = waiting(lake)
    lake.forget("key", some(lake, "4"))

    assert [item.label for item in left] == ["4"]
    assert waiting(lake) == ()
    assert set(lake.doubted.all()["label"]) == {"3"}


def test_an_export_has_the_pictures_and_an_empty_column_and_is_whole(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "to review"

    assert export(lake, folder) == 4

    rows = list(csv.DictReader((folder / "reviews.csv").read_text().splitlines()))
    assert [(row["key"], row["label"], row["suggestion"]) for row in rows] == [
        (item.key, item.label, item.suggestion) for item in waiting(lake)
    ]
    assert {row["verdict"] for row in rows} == {""}
    for row in rows:
        (pixels,) = lake.now(pl.col("key") == row["key"], ("image",))["image"]
        assert images.prepare((folder / row["picture"]).read_bytes()).tobytes() == pixels
    with pytest.raises(DataError, match="is already there"):
        export(lake, folder)


@pytest.mark.parametrize(("separator", "mark"), [(",", ""), (";", "\ufeff")])
def test_verdicts_keep_relabel_or_drop(lake: Lake, tmp_path: Path, separator: str, mark: str) -> None:
    export(lake, tmp_path / "folder")
    three, four = some(lake, "3"), some(lake, "4")
    verdicts = {zero(lake): "Keep", three: " 5 ", four: "DROP"}
    file = filled(tmp_path / "folder" / "reviews.csv", verdicts, separator=separator, mark=mark)

    taken = take(lake, file, "ann", 7.0)
    again = take(lake, file, "ann", 8.0)

    # The 0 waits twice, with two suggestions, and the second verdict repeats the first.
    assert (taken.lines, taken.added, taken.known, taken.empty, taken.refused) == (4, 3, 1, 0, {})
    assert (again.added, again.known) == (0, 4)
    assert dict(lake.reviews.standing().rows()) == {zero(lake): "0", three: "5", four: ""}
    assert lake.reviews.all().select("was", "by", "at").unique(maintain_order=True).rows() == [
        ("0", "ann", 7.0),
        ("4", "ann", 7.0),
        ("3", "ann", 7.0),
    ]
    assert lake.pin("after", SALT).rows == 99


def test_a_bad_line_goes_to_quarantine_with_every_reason_and_stops_no_other(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "reviews.csv"
    three = some(lake, "3")
    file.write_text(f"key,label,verdict\n{three},3,perhaps\nnobody,,KEEP\n{three},3,5\n{three},3,\n")
    before = len(lake.quarantine())

    taken = take(lake, file, "ann", 1.0)
    take(lake, file, "ann", 1.0)

    assert (taken.lines, taken.added, taken.empty) == (4, 1, 1)
    assert taken.refused == {
        2: "verdict is neither keep, drop nor a class",
        3: "no row has this key; label that is kept is none of the classes",
    }
    rows = [row for row in lake.quarantine() if row.format == "review"]
    assert len(lake.quarantine()) == before + 2
    assert [(row.row, row.label, row.reasons) for row in rows] == [
        (2, "perhaps", ("verdict is neither keep, drop nor a class",)),
        (3, "KEEP", ("no row has this key", "label that is kept is none of the classes")),
    ]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"key,verdict\nabc,keep\n", "no column label"),
        (b"", "no column key"),
        (b"key,label,verdict\n\xff\xfe,1,2\n", "no text in UTF-8"),
        (b'key,label,verdict\na,3,"drop\nb,3,drop\n', "cannot be read after line 1"),
        (b'key,label,verdict\n"' + b"x" * 200_000 + b'",1,2\n', "cannot be read after line 1"),
    ],
)
def test_a_file_that_is_no_reviews_is_named_and_nothing_is_taken(
    lake: Lake, tmp_path: Path, content: bytes, named: str
) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(content)

    with pytest.raises(DataError, match=rf"mine\.csv.*{named}"):
        take(lake, file, "ann", 1.0)
    with pytest.raises(DataError, match=r"absent\.csv cannot be read"):
        take(lake, tmp_path / "absent.csv", "ann", 1.0)
    with pytest.raises(DataError, match="Nobody is named"):
        take(lake, file, " ", 1.0)
    assert lake.reviews.last() == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from demlopment.data import delta
from demlopment.data.lake import Lake
from demlopment.data.verdicts import take
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
verb, when = sys.argv[3].split()
whole = getattr(delta.DeltaStore, verb)
before = lambda *a, **k: die()
after = lambda *a, **k: (whole(*a, **k), die())
setattr(delta.DeltaStore, verb, before if when == 'before' else after)
take(Lake(Path(sys.argv[1])), Path(sys.argv[2]), 'ann', 1.0)
"""


@pytest.mark.parametrize("point", ["insert before", "insert after", "extend before", "extend after"])
def test_taking_verdicts_that_is_killed_anywhere_is_simply_repeated(few: RawRows, tmp_path: Path, point: str) -> None:
    lake = Lake(tmp_path / "lake")
    lake.add(few)
    file = tmp_path / "reviews.csv"
    file.write_text(f"key,label,verdict\n{some(lake, '3')},3,5\nnobody,1,2\n{some(lake, '4')},4,drop\n")
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "lake", file, point], env=os.environ, check=False)

    again = take(lake, file, "ann", 2.0)

    assert killed.returncode == -signal.SIGKILL
    assert (again.added, again.known) == ((2, 0) if point == "extend before" else (0, 2))
    assert len(lake.reviews.all()) == 2
    assert len(lake.quarantine()) == 1
    assert dict(lake.reviews.standing().rows()) == {some(lake, "3"): "5", some(lake, "4"): ""}
