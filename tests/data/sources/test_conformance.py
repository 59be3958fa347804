"""What every source keeps, whatever it reads."""

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from demlopment.data.contract import RAW
from demlopment.data.sources import Source, packaged_digits
from demlopment.data.sources.folders import pictures
from demlopment.data.sources.idx import idx
from demlopment.errors import DataError
from tests.data.sources.written import csv_digits, folder_of_pictures, idx_pair, zip_of_pictures

Made = Callable[[Path, int], Path]  # writes that many rows below a folder, and gives the path to read
Opened = Callable[[Path], Source]


SOURCES = [
    pytest.param(csv_digits, packaged_digits, id="packaged"),
    pytest.param(idx_pair, idx, id="idx"),
    pytest.param(lambda folder, count: idx_pair(folder, count, packed=False), idx, id="idx plain"),
    pytest.param(folder_of_pictures, pictures, id="folder"),
    pytest.param(zip_of_pictures, pictures, id="zip"),
]
ONE_FILE = [each for each in SOURCES if each.id != "folder"]
STREAMED = [each for each in SOURCES if each.id != "packaged"]
BOUNDED = [each for each in STREAMED if each.id != "zip"]  # of a zip, names and places of all members are in memory


@pytest.mark.parametrize(("made", "opened"), SOURCES)
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

    def test_the_digest_and_the_name_are_of_the_content(self, tmp_path: Path, made: Made, opened: Opened) -> None:
        for folder in "abc":
            (tmp_path / folder).mkdir()

        one, same, other = (opened(made(tmp_path / name, count)) for name, count in (("a", 25), ("b", 25), ("c", 26)))

        assert len(one.sha256) == 64
        assert (one.sha256, one.name) == (same.sha256, same.name)
        assert one.sha256 != other.sha256
        assert one.name != "feedback"


@pytest.mark.parametrize(("made", "opened"), ONE_FILE)
class TestEverySourceThatIsAFile:
    """What it says of a broken one."""

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


@pytest.mark.parametrize(("made", "opened"), STREAMED)
class TestEverySourceThatIsStreamed:
    """It gives a batch at a time."""

    def test_a_batch_has_at_most_so_many_rows(
        self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.modules[opened.__module__], "BATCH", 300)
        source = opened(made(tmp_path, 1007))

        sizes = [len(batch) for batch in source.batches()]

        assert sizes == [300, 300, 300, 107]


@pytest.mark.parametrize(("made", "opened"), BOUNDED)
class TestEverySourceThatHoldsNoList:
    """Its memory is that of a batch."""

    def test_memory_does_not_grow_with_the_rows(
        self, tmp_path: Path, made: Made, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.modules[opened.__module__], "BATCH", 100)
        for folder in "ab":
            (tmp_path / folder).mkdir()

        small, large = (peak(opened(made(tmp_path / name, count))) for name, count in (("a", 400), ("b", 4000)))

        assert large < 2 * small


def peak(source: Source) -> int:
    """Bytes of Python and numpy that were in use at most while all rows were read."""
    tracemalloc.start()
    try:
        for _ in source.batches():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
