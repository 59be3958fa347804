"""What a snapshot is said to hold is what it holds, and what is checked out is the same rows in other files."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from demlopment.cli import app
from demlopment.data.delta import FORMAT, NUMBERED, OLDEST
from demlopment.data.lake import Lake
from demlopment.data.quarantine import ALL
from demlopment.data.snapshots import checkout, contents, difference
from demlopment.data.sources import RawRows, opened, returned
from demlopment.errors import DataError, HomeError
from tests.data.sources.written import zipped
from tests.fakes import MemoryStore
from tests.lifecycle.test_full_disk import disk, fill
from tests.test_cli import assert_two_sentences, run

SALT = "demlopment-1"
__all__ = ["disk"]
NEW = np.full((1, 28, 28), np.eye(28) * 255).astype(np.uint8)


@pytest.fixture
def lake(few: RawRows) -> Lake:
    """A lake with two writers and a row that came back, pinned before and after that."""
    lake = Lake("memory", MemoryStore)
    writers = pl.Series("writer", ["ann"] * 30 + ["bob"] * 50 + [None] * 20, pl.String)
    lake.add(RawRows(few.name, few.sha256, few.frame.with_columns(writers)))
    lake.pin("before", SALT, commit="c0ffee")
    lake.add(returned(NEW, ["1"], ["request-1"]))
    lake.pin("after", SALT, commit="c0ffee")
    return lake


def test_contents_count_every_picture_once(lake: Lake) -> None:
    found = contents(lake, "after")

    assert found.snapshot == lake.named("after")
    assert found.snapshot.commit == "c0ffee"
    assert found.classes == {"0": 10, "1": 11, **{str(n): 10 for n in range(2, 10)}}
    assert found.writers == {"ann": 30, "bob": 50, "unknown": 21}
    assert found.sources == {"feedback": 1, "mnist-5k": 100}
    assert sum(found.origins.values()) == 101
    assert found.origins["requests"] == 1


def test_a_difference_read_backwards_is_its_mirror(lake: Lake) -> None:
    there, back = difference(lake, "before", "after"), difference(lake, "after", "before")

    assert (len(there.added), there.removed, there.relabelled) == (1, (), {})
    assert (back.added, back.removed) == (there.removed, there.added)
    assert there.classes == {"1": (10, 11)}
    assert back.writers == {"unknown": (21, 20)}
    assert difference(lake, "after", "after").classes == {}


def test_another_label_of_one_picture_is_relabelled_and_neither_added_nor_removed(few: RawRows) -> None:
    store = MemoryStore()
    lake = Lake("memory", lambda _: store)
    lake.add(few)
    lake.pin("before", SALT)
    changed = store.tables["examples"][-1].with_columns(
        label=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("9")).otherwise("label")
    )
    store.tables["examples"].append(changed)
    lake.pin("after", SALT)

    found = difference(lake, "before", "after")

    assert (found.added, found.removed) == ((), ())
    assert found.relabelled == {changed["key"][0]: ("0", "9")}


def test_a_name_that_was_never_pinned_is_answered_with_those_that_were(lake: Lake) -> None:
    with pytest.raises(DataError, match=r"no snapshot 'nothing'.*after, before|no snapshot 'nothing'.*before, after"):
        contents(lake, "nothing")


def test_parquet_of_a_checkout_holds_the_rows_of_the_snapshot(lake: Lake, tmp_path: Path) -> None:
    folder = checkout(lake, lake.named("after"), tmp_path / "new" / "out")

    rows = pl.read_parquet(folder / "examples.parquet")
    assert rows["key"].to_list() == lake.load(lake.named("after")).keys.tolist()
    assert f'"digest": "{lake.named("after").digest}"' in (folder / "snapshot.json").read_text()


def test_pictures_of_a_checkout_are_the_pixels_of_the_snapshot(lake: Lake, tmp_path: Path) -> None:
    folder = checkout(lake, lake.named("after"), tmp_path / "out", pictures=True)

    loaded = lake.load(lake.named("after"))
    listed = pl.read_csv(folder / "labels.csv", schema_overrides={"label": pl.String, "writer": pl.String})
    shown = [cv2.imread(str(folder / file), cv2.IMREAD_UNCHANGED) for file in listed["file"]]
    assert np.array_equal(np.array(shown), loaded.images)
    assert listed["file"].to_list() == [f"{label}/{key}.png" for label, key in zip(loaded.labels, loaded.keys, strict=True)]
    assert len(list(folder.rglob("*.png"))) == 101


@pytest.mark.parametrize(("pictures", "packed"), [(True, False), (True, True), (False, False)])
def test_a_checkout_is_ingested_whole_and_nothing_of_it_is_bad(
    lake: Lake, tmp_path: Path, *, pictures: bool, packed: bool
) -> None:
    snapshot = lake.named("after")
    folder = checkout(lake, snapshot, tmp_path / "out", pictures=pictures)
    other = Lake("memory", MemoryStore)

    added = other.add(opened(zipped(tmp_path / "out.zip", folder) if packed else folder))

    assert (added.added, added.rejected) == (101, 0)
    assert sorted(other.now(ALL, ("key",))["key"]) == lake.load(snapshot).keys.tolist()


def test_a_folder_that_holds_something_is_left_as_it_was(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(DataError, match="already there"):
        checkout(lake, lake.named("after"), tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("pictures", [False, True])
def test_a_checkout_onto_a_full_disk_is_told_and_leaves_nothing(few: RawRows, disk: Path, pictures: bool) -> None:  # noqa: FBT001  pytest passes by name
    lake = Lake("memory", MemoryStore)
    lake.add(few)
    snapshot = lake.pin("all", SALT)
    filled = fill(disk)
    os.truncate(filled, filled.stat().st_size - 8192)  # for the folder itself

    with pytest.raises(HomeError, match=r"/out cannot be written: No space left on device\. Free some space"):
        checkout(lake, snapshot, disk / "out", pictures=pictures)

    assert [path.name for path in disk.iterdir()] == [filled.name]


def test_a_checkout_that_is_killed_leaves_no_folder_and_the_next_one_tidies_up(few: RawRows, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "var" / "lake")
    lake.add(few)
    lake.pin("all", SALT)
    dies = (
        "import os, signal; from pathlib import Path; from demlopment import images\n"
        "from demlopment.data.lake import Lake; from demlopment.data.snapshots import checkout\n"
        "images.encode_png = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"lake = Lake({str(tmp_path / 'var' / 'lake')!r}); checkout(lake, lake.named('all'),"
        f" Path({str(tmp_path / 'out')!r}), pictures=True)"
    )
    killed = subprocess.run([sys.executable, "-c", dies], env=os.environ, check=False)
    half = sorted(path.name for path in tmp_path.iterdir())

    done = run("data", "checkout", "all", "--to", tmp_path / "out", home=tmp_path / "var")

    assert killed.returncode == -signal.SIGKILL
    assert len(half) == 2
    assert "out" not in half
    assert done.stdout.startswith("100 rows of all"), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "var"]


def test_the_commands_tell_it_in_lines(few: RawRows, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.add(few)
    lake.pin("one", SALT, commit="c0ffee")
    lake.add(returned(NEW, ["1"], ["request-1"]))
    lake.pin("two", SALT)

    shown, compared = run("data", "show", "one", home=tmp_path), run("data", "diff", "one", "two", home=tmp_path)
    unknown = run("data", "show", "three", home=tmp_path)

    assert "one: 100 rows" in shown.stdout
    assert "commit       c0ffee" in shown.stdout
    assert compared.stdout.splitlines()[:2] == ["1 rows added, 0 removed, 0 relabelled.", "class  1  10 -> 11"]
    assert_two_sentences(unknown, "one, two")


@pytest.mark.parametrize(
    "command",
    [
        "data snapshots",
        "data show all",
        "data diff all all",
        "data checkout all --to out",
        "data audit",
        "data gc --dry-run",
        "data forget --source mnist-5k --yes",
        "lineage --source mnist-5k",
    ],
)
def test_every_command_says_the_same_of_examples_that_a_newer_release_wrote(
    few: RawRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    lake = Lake(tmp_path / "lake")
    lake.add(few)
    lake.pin("all", SALT)
    log = tmp_path / "lake" / "examples" / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace(f"{NUMBERED}{FORMAT}", f"{NUMBERED}{FORMAT + 1}"))

    said = CliRunner().invoke(app, ["--home", str(tmp_path), *command.split()])

    assert isinstance(said.exception, DataError)
    assert said.exception.problem == (
        f"The table {tmp_path}/lake/examples has the format {FORMAT + 1}, and this release reads {OLDEST} to {FORMAT}."
    )
    assert said.exception.remedy == "Use a newer release."
