"""A table of named numbers comes into a lake of rows: whole, once, split by its writers; what is wrong with its reasons."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from demlopment import data, row
from demlopment.data import Lake, queue, refuse_leaks, returned, split, tabular
from demlopment.data.corrections import Corrections
from demlopment.data.snapshots import checkout
from demlopment.errors import DataError
from demlopment.row import Column
from tests.tables import CLASSES, COLUMNS, rows

HEADER = "cellar,hue,label,alcohol,notes,ash"


def lake(root: Path) -> Lake:
    return Lake(root, classes=CLASSES, columns=COLUMNS)


def table(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def sound(path: Path, count: int) -> Path:
    values, labels = rows(count)
    written = (
        f"cellar {number // 4},{hue},{CLASSES[label]},{alcohol},fine,{ash}"
        for number, ((alcohol, ash, hue), label) in enumerate(zip(values.tolist(), labels, strict=True))
    )
    return table(path, *written)


def test_the_rows_that_went_in_come_out_with_their_labels(tmp_path: Path) -> None:
    source = tabular(sound(tmp_path / "wines.csv", 60), COLUMNS)
    ours = lake(tmp_path / "lake")

    first, again = ours.add(source), ours.add(source)
    examples = ours.load(ours.pin("wines", "salt"))

    values, labels = rows(60)
    came = {each.tobytes(): label for each, label in zip(examples.images, examples.labels.tolist(), strict=True)}
    assert (first.added, again.added, again.known) == (60, 0, 60)
    assert examples.images.dtype == np.float32
    assert came == {each.tobytes(): label for each, label in zip(values, labels.tolist(), strict=True)}


def test_a_snapshot_of_a_table_is_checked_out_as_one_and_holds_no_pictures(tmp_path: Path) -> None:
    ours = lake(tmp_path / "lake")
    ours.add(tabular(sound(tmp_path / "wines.csv", 60), COLUMNS))
    pinned = ours.pin("wines", "salt")

    with pytest.raises(DataError, match=r"^The snapshot holds rows of a table, and no pictures\. "):
        checkout(ours, pinned, tmp_path / "pictures", pictures=True)
    written = pl.read_parquet(checkout(ours, pinned, tmp_path / "rows") / "examples.parquet")

    assert len(written) == 60
    assert not (tmp_path / "pictures").exists()


def test_a_bad_row_waits_in_quarantine_with_every_reason(tmp_path: Path) -> None:
    lines = (
        "a,1,barolo,13,fine,2",
        "a,9,barolo,130,fine,2",
        "a,1,chianti,12,fine,2",
        "a,1,,much,fine,",
        "a,1,barolo,12",
        "b,1,barbera,13,the same numbers,2",
    )
    ours = lake(tmp_path / "lake")

    added = ours.add(tabular(table(tmp_path / "wines.csv", *lines), COLUMNS))

    reasons = [sorted(each.reasons) for each in sorted(ours.quarantine(), key=lambda bad: bad.row)]
    assert (added.added, added.rejected) == (1, 5)
    assert reasons == [
        ["alcohol outside 10 to 16", "hue outside 0 to 2"],
        ["label outside barolo to barbera"],
        ["alcohol no number", "ash missing", "label missing"],
        ["label missing", "line does not have 6 cells"],
        ["the same pixels are already labelled barolo"],
    ]


def test_a_bad_row_with_its_label_put_right_becomes_an_example_where_the_columns_are_named_and_where_they_are_not(
    tmp_path: Path,
) -> None:
    lines = ("a,1,barolo,13,fine,2", "a,1,chianti,12,fine,2", "a,1.5,merlot,11,fine,2", "a,1,barolo,much,fine,2")
    lake(tmp_path / "lake").add(tabular(table(tmp_path / "wines.csv", *lines), COLUMNS))
    named, unnamed = lake(tmp_path / "lake"), Lake(tmp_path / "lake", classes=CLASSES)

    for ours, place in ((named, 1), (unnamed, 2)):
        (name,) = ours.bad.found(pl.col("row") == place, ("name",))["name"]
        done = ours.replay(Corrections("fixes.csv", "f" * 64, {name: "barbera"}))
        assert done.added == 1

    assert sorted(ours.now(pl.col("label") == "barbera", ("row",))["row"]) == [1, 2]
    assert [each.reasons for each in ours.quarantine()] == [("alcohol no number",)]


def test_rows_whose_labels_contradict_each_other_are_written_out_for_a_person(tmp_path: Path) -> None:
    lines = ("a,1,barolo,13,fine,2", "a,1,barbera,13,fine,2")
    named, unnamed = lake(tmp_path / "lake"), Lake(tmp_path / "lake", classes=CLASSES)
    named.add(tabular(table(tmp_path / "wines.csv", *lines), COLUMNS))

    written = [queue.export(ours, tmp_path / name) for ours, name in ((named, "named"), (unnamed, "unnamed"))]

    (asked,) = pl.read_csv(tmp_path / "named" / "reviews.csv").to_dicts()
    assert (written, asked["label"], asked["suggestion"]) == ([1, 1], "barolo", "barbera")
    read = [json.loads((tmp_path / folder / asked["picture"]).read_bytes()) for folder in ("named", "unnamed")]
    assert read == [{"alcohol": 13, "ash": 2, "hue": 1}, [13, 2, 1]]


def test_rows_and_their_snapshots_say_which_version_of_the_code_for_rows_prepared_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row, "VERSION", 7)
    ours = lake(tmp_path / "lake")
    ours.add(tabular(sound(tmp_path / "wines.csv", 20), COLUMNS))

    pinned = ours.pin("wines", "salt")

    assert pinned.preparation == 7
    assert ours.rows(pinned)["preparation"].unique().to_list() == [7]


def test_no_writer_stands_on_two_sides_and_nothing_leaks(tmp_path: Path) -> None:
    ours = lake(tmp_path / "lake")
    ours.add(tabular(sound(tmp_path / "wines.csv", 200), COLUMNS, writer="cellar"))

    parts = split(ours.load(ours.pin("wines", "salt")), "salt")

    refuse_leaks(parts, "wines")
    cellars = [set(each.writers.tolist()) for each in (parts.train, parts.validation, parts.test, parts.stream)]
    assert sum(map(len, cellars)) == len(set.union(*cellars)) == 50
    assert all(cellars)


def test_rows_that_came_back_from_production_are_rows_of_the_lake(tmp_path: Path) -> None:
    values, labels = rows(9, seed=3)
    ours = lake(tmp_path / "lake")

    added = ours.add(returned([*values], [CLASSES[each] for each in labels], [f"request {number}" for number in range(9)]))

    assert (added.added, added.rejected) == (9, 0)


def test_a_picture_is_no_row_of_a_table_and_a_row_no_picture(tmp_path: Path) -> None:
    picture = data.RawRows.of([bytes(range(200)) * 4], ["barolo"], source="odd", licence="none", origins="")
    table_row = tabular(sound(tmp_path / "wines.csv", 1), COLUMNS)

    refused = lake(tmp_path / "rows"), Lake(tmp_path / "pictures", classes=CLASSES)
    added = refused[0].add(picture), refused[1].add(table_row)

    assert [each.rejected for each in added] == [1, 1]
    assert "format is not row" in refused[0].quarantine()[0].reasons
    assert "format is neither grey nor file" in refused[1].quarantine()[0].reasons


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("cellar,hue,label,alcohol", "has 0 columns called 'ash'. Its first line must name alcohol, ash, hue, label"),
        ("hue,hue,label,alcohol,ash", "has 2 columns called 'hue'"),
        ("hue,alcohol,ash", "has 0 columns called 'label'"),
    ],
)
def test_a_table_without_its_columns_is_refused(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(DataError) as refused:
        tabular(table(tmp_path / "wines.csv", "1,2,3,4,5", header=header), COLUMNS)

    assert said in str(refused.value)


@pytest.mark.parametrize("columns", [(*COLUMNS, COLUMNS[0]), (Column("ash", 5, 0),), (Column("", 0, 1),)])
def test_columns_that_no_table_has_are_refused_by_the_file_and_by_the_lake(tmp_path: Path, columns: tuple[Column, ...]) -> None:
    with pytest.raises(DataError, match=r"^The table has the column .*\. Name 1 to 128"):
        tabular(table(tmp_path / "wines.csv", "1,2,3"), columns)
    with pytest.raises(DataError, match=r"^The table has the column .*\. Name 1 to 128"):
        Lake(tmp_path / "lake", columns=columns)
    with pytest.raises(DataError, match=r"^The table has the columns \(\)\."):
        tabular(table(tmp_path / "wines.csv", "1,2,3"), ())


def test_a_table_without_rows_is_broken_and_adds_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "none.csv"
    empty.touch()

    with pytest.raises(DataError, match="holds no rows"):
        lake(tmp_path / "lake").add(tabular(table(tmp_path / "wines.csv"), COLUMNS))
    with pytest.raises(DataError, match="is empty"):
        tabular(empty, COLUMNS)


def test_semicolons_quotes_and_spaces_are_read(tmp_path: Path) -> None:
    written = table(tmp_path / "wines.csv", '"12.5"; 2 ;1;"barolo"', header="alcohol; ash;hue ;label")

    (batch,) = tabular(written, COLUMNS).batches()

    assert (batch["label"][0], batch["fault"][0]) == ("barolo", None)
    assert np.frombuffer(batch["image"][0], np.float32).tolist() == row.prepare([12.5, 2, 1], COLUMNS).tolist()
