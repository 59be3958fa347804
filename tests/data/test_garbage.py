"""Only files that no version needs are deleted, and never those of a writer that may be alive."""

import os
import time
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from demlopment.data.delta import DeltaStore
from demlopment.data.garbage import ABANDONED_HOURS, sweep
from demlopment.data.lake import Lake
from demlopment.data.sources import RawRows
from tests.test_cli import run

SALT = "demlopment-1"
HOUR = 3600  # seconds


def files(root: Path) -> set[str]:
    return {path.name for path in (root / "examples").glob("*.parquet")}


def left_by_a_writer(root: Path, hours: float) -> str:
    path = root / "examples" / f"part-00000-{hours}.zstd.parquet"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - hours * HOUR,) * 2)
    return path.name


def test_a_lake_without_garbage_gets_no_new_version(few: RawRows, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.add(few)
    lake.pin("all", SALT)
    before = DeltaTable(tmp_path / "examples").version()

    assert sweep(tmp_path) == {}
    assert DeltaTable(tmp_path / "examples").version() == before


def test_an_empty_lake_has_no_garbage(tmp_path: Path) -> None:
    assert sweep(tmp_path / "lake") == {}
    assert not (tmp_path / "lake").exists()


def test_what_a_killed_writer_left_goes_when_it_is_old_and_not_before(few: RawRows, tmp_path: Path) -> None:
    Lake(tmp_path).add(few)
    needed = files(tmp_path)
    old, young = left_by_a_writer(tmp_path, ABANDONED_HOURS + 1), left_by_a_writer(tmp_path, ABANDONED_HOURS - 1)

    named = sweep(tmp_path, dry_run=True)
    before = files(tmp_path)
    sweep(tmp_path)

    assert named == {"examples": (old,)}
    assert before == needed | {old, young}
    assert files(tmp_path) == needed | {young}


@pytest.mark.parametrize("folder", ["lake", "my Zürich"])
def test_older_versions_go_unless_they_are_pinned(few: RawRows, tmp_path: Path, folder: str) -> None:
    root = tmp_path / folder
    lake = Lake(root)
    lake.add(few)
    pinned = lake.pin("first", SALT)
    kept = files(root)
    DeltaTable(root / "examples").delete("label = '0'")
    between = files(root) - kept
    DeltaTable(root / "examples").delete("label = '1'")
    newest = files(root) - kept - between

    swept = sweep(root)

    assert set(swept["examples"]) == between
    assert files(root) == kept | newest
    assert len(lake.load(pinned)) == 100
    assert sorted(set(DeltaStore(root).read("examples")["label"])) == list("23456789")
    assert lake.add(few).added == 20


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_what_is_gone_is_not_deleted_again_and_makes_no_version(
    few: RawRows, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue("s3") if where == "s3" else tmp_path / "lake"
    lake = Lake(root)
    lake.add(few)

    def forgotten(row: int) -> tuple[int, bool, int]:
        """How many files go then, whether another look finds any, and how many versions a second time makes."""
        lake.forget("key", lake.now(pl.col("row") == row, ("key",))["key"][0])
        swept, looked = sweep(root), sweep(root, dry_run=True)
        version = DeltaStore(root).version("examples") or 0
        return len(swept["examples"]), bool(looked or sweep(root)), (DeltaStore(root).version("examples") or 0) - version

    assert [forgotten(row) for row in (0, 50)] == [(1, False, 0), (1, False, 0)]


def test_the_command_names_the_files_first(few: RawRows, tmp_path: Path) -> None:
    Lake(tmp_path / "lake").add(few)
    name = left_by_a_writer(tmp_path / "lake", ABANDONED_HOURS + 1)

    named, done = run("data", "gc", "--dry-run", home=tmp_path), run("data", "gc", home=tmp_path)

    assert named.stdout == f"examples/{name}\n1 files would be deleted.\n"
    assert done.stdout == "1 files were deleted.\n"
    assert name not in files(tmp_path / "lake")


def test_the_copies_that_loading_keeps_go_and_are_made_again(few: RawRows, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.add(few)
    pinned = lake.pin("all", SALT)
    lake.load(pinned)

    named = sweep(tmp_path, dry_run=True)
    swept = sweep(tmp_path)
    again = lake.load(pinned)

    assert named == swept
    assert [len(files) for files in swept.values()] == [1]
    assert len(again) == 100
    assert sweep(tmp_path, dry_run=True) == swept
