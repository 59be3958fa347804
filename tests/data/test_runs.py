"""Every row says by which run it came in, and the run when and with which code; nothing else depends on it."""

import signal
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from demlopment.data.corrections import Corrections
from demlopment.data.delta import OLDEST, DeltaStore
from demlopment.data.lake import Lake
from demlopment.data.quarantine import ALL
from demlopment.data.runs import RUN
from demlopment.data.snapshots import checkout, contents
from demlopment.data.sources import RawRows, spoiled
from tests.data.test_faults import DIE, script
from tests.fakes import MemoryStore
from tests.test_cli import run

SALT = "demlopment-1"


@pytest.fixture(params=["folder", "s3", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    root = request.getfixturevalue("s3") if request.param == "s3" else tmp_path / "lake"
    times = iter([1000.0, 2000.0, 3000.0])
    return Lake(root, MemoryStore if request.param == "memory" else DeltaStore, copies=tmp_path, now=lambda: next(times))


def part(rows: RawRows, start: int, stop: int) -> RawRows:
    return RawRows(rows.name, rows.sha256, rows.frame[start:stop])


def test_a_row_says_when_and_by_which_run_it_came_in(lake: Lake, few: RawRows) -> None:
    lake.add(part(few, 0, 60), commit="one")
    lake.add(part(few, 40, 100), commit="two")
    first, second = lake.arrivals(lake.now(ALL, (RUN, "source")))

    assert first.run
    assert second.run
    assert [(each.rows, each.run.at, each.run.commit) for each in (first, second) if each.run] == [
        (60, 1000.0, "one"),
        (40, 2000.0, "two"),
    ]
    assert (first.run.source, first.run.sha256) == ("mnist-5k", few.sha256)
    assert first.run.id != second.run.id
    assert contents(lake, lake.pin("all", SALT).name).arrivals == (first, second)


def test_ingesting_again_leaves_every_row_to_the_run_that_brought_it(lake: Lake, few: RawRows) -> None:
    lake.add(few)
    before, version = lake.now(ALL, ("key", RUN)).sort("key"), lake.pin("one", SALT)

    again = lake.add(few)

    assert (again.added, again.known) == (0, 100)
    assert lake.now(ALL, ("key", RUN)).sort("key").equals(before)
    assert lake.pin("one", SALT) == version


def test_runs_change_neither_keys_nor_digests(few: RawRows, tmp_path: Path) -> None:
    lakes = [Lake(tmp_path / name) for name in "ab"]
    for each in lakes:
        each.add(few)

    one, two = (each.pin("all", SALT) for each in lakes)

    assert one == two


def test_a_row_that_was_put_right_came_by_the_run_that_took_it_in(lake: Lake, few: RawRows) -> None:
    lake.add(RawRows(few.name, few.sha256, few.frame.with_columns(label=pl.lit("12"))))
    (name, *_) = lake.bad.found(pl.col("row") == few.frame["row"][0], ("name",))["name"]

    lake.replay(Corrections("fixes.csv", "f" * 64, {name: "0"}), commit="two")

    (only,) = lake.arrivals(lake.now(ALL, (RUN, "source")))
    assert only.run
    assert (only.rows, only.run.at, only.run.source, only.run.sha256) == (1, 2000.0, "quarantine", "f" * 64)


@pytest.mark.parametrize("point", ["quarantined", "streaming", "committed"])
def test_rows_of_a_run_that_was_killed_and_repeated_carry_the_one_that_committed_them(
    digits: RawRows, tmp_path: Path, point: str
) -> None:
    with script(DIE, tmp_path, point) as killed:
        killed.communicate()

    Lake(tmp_path, now=lambda: 1.0).add(spoiled(RawRows(digits.name, digits.sha256, digits.frame.gather_every(25))))

    (only,) = Lake(tmp_path).arrivals(Lake(tmp_path).now(ALL, (RUN, "source")))
    assert killed.returncode == -signal.SIGKILL
    assert only.run
    assert only.rows == 200
    assert (only.run.at == 1.0) == (point == "streaming")  # else the good rows were there


def test_a_lake_of_an_earlier_release_goes_on_and_its_rows_came_before_runs_were_noted(few: RawRows, tmp_path: Path) -> None:
    made = MemoryStore()
    Lake("memory", lambda _: made).add(part(few, 0, 60))
    old = made.read("examples").drop(RUN)
    write_deltalake(tmp_path / "lake" / "examples", old, description=f"demlopment format {OLDEST}")
    lake = Lake(tmp_path / "lake")
    pinned = lake.pin("before", SALT)
    shown = contents(lake, "before").arrivals

    added = lake.add(few)

    assert [(each.rows, each.run) for each in shown] == [(60, None)]
    assert (added.added, added.known) == (40, 60)
    assert [(each.rows, each.run is None) for each in contents(lake, lake.pin("after", SALT).name).arrivals] == [
        (60, True),
        (40, False),
    ]
    assert lake.named("before") == pinned
    assert len(lake.load(pinned)) == 60
    checkout(lake, pinned, tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "examples.parquet")[RUN].null_count() == 60


def test_the_commands_tell_it_in_lines(few: RawRows, tmp_path: Path) -> None:
    run("data", "ingest", home=tmp_path)
    lake = Lake(tmp_path / "lake")
    key = lake.load(lake.pin("all", SALT)).keys[0]

    shown, traced = run("data", "show", "all", home=tmp_path), run("lineage", "--row", str(key), home=tmp_path)

    assert " 5000 rows  20" in shown.stdout
    assert f"of mnist-5k {few.sha256[:12]}  commit " in shown.stdout
    assert traced.stdout.startswith("came        1 rows  20")
