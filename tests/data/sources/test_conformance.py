"""What every source keeps, whatever it reads."""

import gzip
import itertools
import json
import shutil
import sys
import time
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from demlopment.data.contract import RAW
from demlopment.data.lake import Lake
from demlopment.data.sources import Source, port, returned
from demlopment.data.sources.delimited import delimited
from demlopment.data.sources.folders import pictures as filed
from demlopment.data.sources.idx import idx
from demlopment.data.sources.npz import npz
from demlopment.data.sources.parquet import parquet
from demlopment.data.sources.strokes import strokes
from demlopment.errors import DataError
from tests.data.sources.written import csv_digits, folder_of_pictures, idx_bytes, idx_pair, pictures, zip_of_pictures
from tests.fakes import MemoryStore, without_runs

Made = Callable[[Path, int], Path]  # writes that many rows below a folder, and gives the path to read
Opened = Callable[[Path], Source]


def csv_with_names(folder: Path, count: int) -> Path:
    path = folder / "train.csv.gz"
    names = ",".join(["label", *(f"pixel{number}" for number in range(784))])
    rows = "".join(f"{number % 10}," + "0," * 300 + "255," * 80 + "0," * 403 + "0\n" for number in range(count))
    path.write_bytes(gzip.compress(f"{names}\n{rows}".encode(), 1, mtime=0))
    return path


def came_back(folder: Path, count: int) -> Path:
    np.save(folder / "pictures.npy", pictures(count))
    return folder / "pictures.npy"


def from_production(path: Path) -> Source:
    """No file is read in production: the rows are in memory."""
    shown = np.load(path)
    return returned(shown, [str(number % 10) for number in range(len(shown))], [f"request {n}" for n in range(len(shown))])


def qmnist(folder: Path, count: int) -> Path:
    path = idx_pair(folder, count, prefix="qmnist-train")
    path.with_name("qmnist-train-labels-idx1-ubyte.gz").unlink()
    table = np.zeros((count, 8), np.int32)
    table[:, 0], table[:, 2] = np.arange(count) % 10, np.arange(count) // 5
    path.with_name("qmnist-train-labels-idx2-int.gz").write_bytes(gzip.compress(idx_bytes(table), mtime=0))
    return path


def parquet_pictures(folder: Path, count: int) -> Path:
    table = {"image": [picture.tobytes() for picture in pictures(count)], "label": [number % 10 for number in range(count)]}
    pl.DataFrame(table).write_parquet(folder / "train.parquet", row_group_size=300)
    return folder / "train.parquet"


def npz_arrays(folder: Path, count: int) -> Path:
    np.savez_compressed(folder / "train.npz", x=pictures(count), y=np.arange(count) % 10)
    return folder / "train.npz"


def npz_parts(folder: Path, count: int) -> Path:
    shown, labels, half = pictures(count) / 255, np.arange(count) % 10, count // 2
    np.savez(folder / "parts.npz", x_train=shown[:half], y_train=labels[:half], x_test=shown[half:], y_test=labels[half:])
    return folder / "parts.npz"


def pen_record(number: int) -> dict[str, object]:
    return {"label": str(number % 10), "strokes": [[[0, 0], [number % 97, 90]]]}


def pen_lines(folder: Path, count: int) -> Path:
    path = folder / "pen.jsonl.gz"
    path.write_bytes(
        gzip.compress("".join(f"{json.dumps(pen_record(number))}\n" for number in range(count)).encode(), 1, mtime=0)
    )
    return path


def pen_list(folder: Path, count: int) -> Path:
    path = folder / "pen.json"
    path.write_text(json.dumps([pen_record(number) for number in range(count)], indent=1))
    return path


SOURCES = [
    pytest.param(idx_pair, idx, id="idx"),
    pytest.param(lambda folder, count: idx_pair(folder, count, packed=False), idx, id="idx plain"),
    pytest.param(csv_digits, delimited, id="lines of pixels"),
    pytest.param(csv_with_names, delimited, id="lines of pixels with names, gzip"),
    pytest.param(qmnist, idx, id="qmnist"),
    pytest.param(parquet_pictures, parquet, id="parquet"),
    pytest.param(npz_arrays, npz, id="npz"),
    pytest.param(npz_parts, npz, id="npz of parts, fractions"),
    pytest.param(pen_lines, strokes, id="strokes, lines, gzip"),
    pytest.param(pen_list, strokes, id="strokes, list"),
    pytest.param(folder_of_pictures, filed, id="folder"),
    pytest.param(zip_of_pictures, filed, id="zip"),
]
IN_MEMORY = [pytest.param(came_back, from_production, id="returned")]
ONE_FILE = [each for each in SOURCES if each.id != "folder"]
BOUNDED = [each for each in SOURCES if each.id != "zip"]  # of a zip, names and places of all members are in memory


@pytest.mark.parametrize(("made", "opened"), [*SOURCES, *IN_MEMORY])
class TestEverySource:
    """The conformance of the port."""

    def test_rows_have_the_columns_and_stand_in_order(self, tmp_path: Path, made: Made, opened: Opened) -> None:
        source = opened(made(tmp_path, 25))

        batches = list(source.batches())

        assert all(batch.schema == RAW for batch in batches)
        assert [row for batch in batches for row in batch["row"]] == list(range(25))
        assert [label for batch in batches for label in batch["label"]] == [str(number % 10) for number in range(25)]
        assert {name for batch in batches for name in batch["source"]} == {source.name}
        assert source.rows in (None, 25)

    def test_the_same_rows_come_each_time(self, tmp_path: Path, made: Made, opened: Opened) -> None:
        path = made(tmp_path, 25)
        source = opened(path)

        first, again, anew = list(source.batches()), list(source.batches()), list(opened(path).batches())

        assert all(one.equals(two) and one.equals(three) for one, two, three in zip(first, again, anew, strict=True))

    def test_a_batch_has_at_most_so_many_bytes_of_pictures_or_one_row(
        self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(port, "BATCH_BYTES", 5000)
        source = opened(made(tmp_path, 60))

        batches = list(source.batches())

        assert [row for batch in batches for row in batch["row"]] == list(range(60))
        assert all(len(batch) == 1 or batch["image"].bin.size().sum() <= 5000 for batch in batches)
        assert len(batches) > 1

    def test_of_a_picture_that_is_too_large_the_row_has_the_start_and_says_so(
        self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(port, "LARGEST", 100)
        monkeypatch.setattr(sys.modules[opened.__module__], "LEFT_OVER", 50, raising=False)
        monkeypatch.setattr(port, "LEFT_OVER", 50)
        lake = Lake("memory", MemoryStore)

        added = lake.add(opened(made(tmp_path, 25)))

        kept = lake.quarantine()
        assert (added.added, added.rejected, len(kept)) == (0, 25, 25)
        assert {row.format for row in kept} == {"unread"}
        assert {len(row.image or b"") for row in kept} == {50}
        assert all("MB, and 0.0 MB is the limit" in row.reasons[0] for row in kept)
        assert sorted((row.row, row.label) for row in kept) == [(number, str(number % 10)) for number in range(25)]

    def test_two_may_read_at_once(self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
        in_batches_of(10, opened, monkeypatch)
        source = opened(made(tmp_path, 25))

        pairs = list(zip(source.batches(), source.batches(), strict=True))

        assert len(pairs) >= 3
        assert all(one.equals(two) for one, two in pairs)

    def test_adding_it_again_adds_nothing(self, tmp_path: Path, made: Made, opened: Opened) -> None:
        path, store = made(tmp_path, 25), MemoryStore()
        lake = Lake("memory", lambda _: store)

        first, tables = lake.add(opened(path)), contents(store)
        again = lake.add(opened(path))

        assert first.rows == again.rows == 25
        assert first.added > 0
        assert (again.added, again.rejected) == (0, first.rejected)
        assert contents(store) == tables

    def test_interrupted_between_batches_and_repeated_it_ends_in_the_same_tables(
        self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        in_batches_of(10, opened, monkeypatch)
        source, whole, torn = opened(made(tmp_path, 25)), MemoryStore(), MemoryStore()
        Lake("memory", lambda _: whole).add(source)
        lake = Lake("memory", lambda _: torn)

        with pytest.raises(KeyboardInterrupt):
            lake.add(source, interrupted)
        assert torn.version("examples") is None
        lake.add(source)

        assert contents(torn) == contents(whole)


@pytest.mark.parametrize(("made", "opened"), SOURCES)
class TestEverySourceThatIsStored:
    """It is named by its content."""

    def test_the_digest_and_the_name_are_of_the_content(
        self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hours = itertools.count(1)
        monkeypatch.setattr(time, "time", lambda: 3600 * next(hours))  # what is written says nothing of when
        for folder in "abc":
            (tmp_path / folder).mkdir()

        one, same, other = (opened(made(tmp_path / name, count)) for name, count in (("a", 25), ("b", 25), ("c", 26)))

        assert len(one.sha256) == 64
        assert (one.sha256, one.name) == (same.sha256, same.name)
        assert one.sha256 != other.sha256
        assert one.name != "feedback"


@pytest.mark.parametrize(("made", "opened"), ONE_FILE)
class TestEverySourceThatIsAFile:
    """What it says of its file."""

    def test_the_place_of_a_file_says_nothing_and_each_of_its_bytes_does(
        self, tmp_path: Path, made: Made, opened: Opened
    ) -> None:
        (tmp_path / "here").mkdir()
        path = made(tmp_path / "here", 25)
        one = opened(path)

        shutil.copytree(tmp_path / "here", tmp_path / "there")
        copied = opened(tmp_path / "there" / path.name)
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)

        assert (copied.name, copied.sha256) == (one.name, one.sha256)
        assert sha256_of(opened, path) != one.sha256

    def test_a_file_cut_short_is_named(self, tmp_path: Path, made: Made, opened: Opened) -> None:
        path = made(tmp_path, 25)
        path.write_bytes(path.read_bytes()[:-40])

        with pytest.raises(DataError) as refused:
            list(opened(path).batches())

        assert str(path) in refused.value.problem

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path, made: Made, opened: Opened) -> None:
        path = made(tmp_path, 3)
        path.unlink()

        with pytest.raises(DataError) as refused:
            list(opened(path).batches())

        assert str(path) in refused.value.problem


@pytest.mark.parametrize(("made", "opened"), SOURCES)
class TestEverySourceThatIsStreamed:
    """It gives a batch at a time."""

    def test_a_batch_has_at_most_so_many_rows(
        self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        in_batches_of(300, opened, monkeypatch)
        source = opened(made(tmp_path, 1000 + 7))

        sizes = [len(batch) for batch in source.batches()]

        assert sum(sizes) == 1007
        assert max(sizes) <= 300

    def test_no_batch_is_kept_while_the_next_are_read(
        self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        in_batches_of(10, opened, monkeypatch)
        alive = []
        before: list[weakref.ref[pl.DataFrame]] = []

        for batch in opened(made(tmp_path, 55)).batches():
            alive.append(sum(each() is not None for each in before))
            before.append(weakref.ref(batch))
            del batch

        assert len(alive) >= 6
        assert max(alive) == 0


@pytest.mark.parametrize(("made", "opened"), BOUNDED)
class TestEverySourceThatHoldsNoList:
    """Its memory is that of a batch."""

    def test_memory_does_not_grow_with_the_rows(
        self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        in_batches_of(50, opened, monkeypatch)
        for folder in "ab":
            (tmp_path / folder).mkdir()

        small, large = (peak(opened(made(tmp_path / name, count))) for name, count in (("a", 200), ("b", 2000)))

        assert large < 2 * small


def in_batches_of(size: int, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "BATCH", size)
    monkeypatch.setattr(sys.modules[opened.__module__], "BATCH", size, raising=False)


def sha256_of(opened: Opened, path: Path) -> str | None:
    """None where the source refuses the file, as it may where it is damaged."""
    try:
        return opened(path).sha256
    except DataError:
        return None


def interrupted(rows: int) -> None:
    if rows >= 20:
        raise KeyboardInterrupt


def contents(store: MemoryStore) -> dict[str, list[str]]:
    """Every row of every table, in no order."""
    return {name: sorted(map(repr, without_runs(store.read(name)).rows())) for name in store.tables}


def peak(source: Source) -> int:
    """Bytes of Python and numpy that were in use at most while all rows were read."""
    tracemalloc.start()
    try:
        for _ in source.batches():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
