"""A snapshot that was loaded once is found again without its table, and only if it is whole."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demlopment.data import ready as data_ready
from demlopment.data.delta import DeltaStore
from demlopment.data.lake import Lake
from demlopment.data.pins import EXAMPLES
from demlopment.data.ready import FOLDER, PIECE, Bytes, Ready
from demlopment.data.sources import RawRows, returned
from demlopment.records import Examples
from tests.fakes import MemoryStore

SALT = "demlopment-1"


class CountedStore(DeltaStore):
    """Counts how often the examples were read."""

    reads = 0

    def read(self, table: str, **asked: Any) -> pl.DataFrame:
        self.reads += table == EXAMPLES
        return super().read(table, **asked)


def same(one: Examples, two: Examples) -> bool:
    names = ("keys", "images", "labels", "sources", "writers")
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in names)


def some(rows: int = 7) -> Examples:
    rng = np.random.default_rng(rows)
    return Examples(
        keys=np.array([f"{number:064x}" for number in range(rows)]),
        images=rng.integers(0, 256, (rows, 28, 28), np.uint8),
        labels=rng.integers(0, 10, rows),
        sources=np.array(["mnist-5k", "Zürich"] * rows)[:rows],
        writers=np.array(["", "somebody with a long name"] * rows)[:rows],
    )


def test_loading_again_reads_no_table_and_gives_the_same_in_memory_that_may_be_written_to(few: RawRows, tmp_path: Path) -> None:
    store = CountedStore(tmp_path)
    lake = Lake(tmp_path, lambda _: store)
    lake.add(few)
    pinned = lake.pin("a", SALT)
    first = lake.load(pinned)
    reads = store.reads

    again = lake.load(pinned)
    again.images[0] = 7

    assert store.reads == reads
    assert not same(first, again)
    assert same(first, lake.load(pinned))
    assert [array.dtype.kind for array in vars(again).values()] == [array.dtype.kind for array in vars(first).values()]


def test_snapshots_with_the_same_rows_and_other_sources_are_kept_apart(few: RawRows, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.add(few)
    before = lake.load(lake.pin("before", SALT))
    lake.add(returned(before.images[:3], [str(label) for label in before.labels[:3]], ["a", "b", "c"]))
    after = lake.load(lake.pin("after", SALT))

    again = [lake.load(snapshot) for snapshot in lake.snapshots().values()]

    assert before.keys.tolist() == after.keys.tolist()
    assert [sorted(set(each.sources)) for each in again] == [["mnist-5k"], ["feedback", "mnist-5k"]]


@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_any_byte_changed_is_not_there(tmp_path: Path, place: float, change: int) -> None:
    ready = Ready(tmp_path)
    ready.keep(some(), "a")
    (file,) = (tmp_path / FOLDER).iterdir()
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= change
    file.write_bytes(data)

    assert ready.find("a") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:100],
        lambda data: data + b"\0" * 1024,
        lambda data: b"",
        lambda data: b"null\n" + data,
        lambda data: data[:2048] + bytes(1024) + data[3072:],
        lambda data: data[:2048] + data[3072:4096] + data[2048:3072] + data[4096:],
    ],
    ids=["cut", "short", "longer", "empty", "no header", "a page of zeros", "two pages exchanged"],
)
def test_a_file_that_is_not_whole_is_not_there_and_is_made_anew(
    few: RawRows, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    lake = Lake(tmp_path)
    lake.add(few)
    pinned = lake.pin("a", SALT)
    first = lake.load(pinned)
    (file,) = (tmp_path / FOLDER).iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))

    again = lake.load(pinned)

    assert same(first, again)
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "written",
    [lambda file: file.write_bytes(bytes(file.stat().st_size)), lambda file: os.truncate(file, 1024)],
    ids=["zeros", "cut"],
)
def test_what_was_loaded_stays_what_was_checked_whatever_is_done_to_the_file(
    tmp_path: Path, written: Callable[[Path], object]
) -> None:
    ready, kept = Ready(tmp_path), some(2000)
    ready.keep(kept, "a")
    (file,) = (tmp_path / FOLDER).iterdir()

    found = ready.find("a")
    file.chmod(0o644)
    written(file)

    assert found is not None
    assert same(found, kept)
    assert ready.find("a") is None


def test_a_file_that_is_cut_short_while_it_is_read_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = Ready(tmp_path)
    ready.keep(some(2000), "a")
    (file,) = (tmp_path / FOLDER).iterdir()
    file.chmod(0o644)

    def cut(data: Bytes) -> object:
        os.truncate(file, 2 * PIECE // 3)
        return sums(data)

    sums = data_ready._sums
    monkeypatch.setattr(data_ready, "_sums", cut)

    assert ready.find("a") is None


@pytest.mark.parametrize("names", [["mnist-5k"], ["mnist-5k", "feedback", "Zürich"]])
def test_a_name_stands_in_the_file_once_however_many_rows_have_it(tmp_path: Path, names: list[str]) -> None:
    rows = 2000
    kept = replace(some(rows), sources=np.array(names * rows)[:rows], writers=np.array([""] * rows))

    Ready(tmp_path).keep(kept, "a")
    found = Ready(tmp_path).find("a")

    (file,) = (tmp_path / FOLDER).iterdir()
    assert found is not None
    assert same(found, kept)
    assert file.stat().st_size < rows * (28 * 28 + 64 + 8 + 2 * 4) + 2048
    assert found.sources[::2].tolist() == kept.sources[::2].tolist()


def test_only_what_was_kept_under_the_same_meaning_is_found(tmp_path: Path) -> None:
    ready, kept = Ready(tmp_path), some()
    ready.keep(kept, "a", ["b"])

    found, other = ready.find("a", ["b"]), ready.find("a", None)

    assert found is not None
    assert same(found, kept)
    assert other is None


def test_a_folder_that_cannot_be_written_only_makes_loading_slower(few: RawRows, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.add(few)
    pinned = lake.pin("a", SALT)
    (tmp_path / FOLDER).write_text("a file, where a folder is needed")

    first, again = lake.load(pinned), lake.load(pinned)

    assert same(first, again)
    assert (tmp_path / FOLDER).is_file()


def test_a_lake_that_is_no_folder_here_keeps_nothing(few: RawRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for root in ("s3://bucket/lake", "memory"):
        lake = Lake(root, MemoryStore)
        lake.add(few)
        lake.load(lake.pin("a", SALT))

    assert list(tmp_path.iterdir()) == []
