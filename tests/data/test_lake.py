"""The lake adds each row once, keeps what is bad, and gives back what was pinned or says that it cannot."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from demlopment import images
from demlopment.data.contract import FILE, GREY
from demlopment.data.delta import DeltaStore
from demlopment.data.lake import Lake
from demlopment.data.sources import RawRows, returned, spoiled
from demlopment.data.sources.port import raw_frame
from demlopment.data.splits import split
from demlopment.errors import DataError
from tests.fakes import MemoryStore, without_runs

SALT = "demlopment-1"


@pytest.fixture(params=["folder", "s3", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param == "s3":
        return Lake(request.getfixturevalue("s3"), copies=tmp_path)
    return Lake(tmp_path / "lake", DeltaStore if request.param == "folder" else MemoryStore)


def test_adding_counts_every_row_once(lake: Lake, few: RawRows) -> None:
    added = lake.add(spoiled(few))

    assert (added.rows, added.added, added.known, added.rejected) == (106, 100, 0, 6)
    assert added.quarantined == {
        "image is 783 bytes, not 784": 1,
        "image is blank": 1,
        "image missing": 1,
        "label missing": 1,
        "label outside 0 to 9": 1,
        "the same pixels are already labelled 0": 1,
    }


def test_adding_again_changes_neither_table(few: RawRows) -> None:
    store = MemoryStore()
    lake = Lake("memory", lambda _: store)
    first = lake.add(spoiled(few))
    before = dict(store.tables)

    again = lake.add(spoiled(few))

    assert (again.rows, again.added, again.known, again.rejected) == (106, 0, 100, 6)
    assert again.quarantined == first.quarantined
    assert {name: len(versions) for name, versions in store.tables.items()} == {n: len(v) for n, v in before.items()}


def test_a_bad_label_hides_nothing_that_is_wrong_with_the_picture() -> None:
    lake = Lake("memory", MemoryStore)
    paper = images.encode_png(np.full((40, 30), 255, np.uint8))
    pen = np.full((40, 30), 255, np.uint8)
    pen[10:30, 12:16] = 0
    pictures = [b"no picture", b"", paper, images.encode_png(pen), bytes(784), None]
    kinds = [FILE, FILE, FILE, FILE, GREY, FILE]
    frame = raw_frame(pictures, ["x"] * 6, source="mine", licence="mine", origins="f" * 64, kind=kinds)

    lake.add(RawRows("mine", "f" * 64, frame))

    assert [row.reasons for row in lake.quarantine()] == [
        ("label outside 0 to 9", "image cannot be decoded"),
        ("label outside 0 to 9", "image is empty"),
        ("label outside 0 to 9", "image is blank"),
        ("label outside 0 to 9",),
        ("image is blank", "label outside 0 to 9"),
        ("image missing", "label outside 0 to 9"),
    ]


def test_a_bad_row_is_kept_with_its_bytes_and_reasons(lake: Lake, few: RawRows) -> None:
    lake.add(spoiled(few))

    kept = lake.quarantine()

    assert [row.row for row in kept] == [0, 1, 2, 3, 4, 5]
    assert kept[0].label == "12"
    assert kept[0].reasons == ("label outside 0 to 9",)
    assert kept[2].image == few.frame["image"][0][:-1]
    assert kept[4].image is None
    assert {row.source for row in kept} == {"planted"}


class CutOff(RawRows):
    """A source whose second batch cannot be read."""

    def batches(self) -> Iterator[pl.DataFrame]:
        yield self.frame
        raise DataError("The file ends here.", "Copy it again.")


def test_a_source_that_breaks_off_leaves_neither_good_rows_nor_bad_ones(lake: Lake, few: RawRows) -> None:
    rows = pl.concat(spoiled(few).batches())

    with pytest.raises(DataError, match=r"The file ends here\."):
        lake.add(CutOff(few.name, few.sha256, rows))

    assert lake.quarantine() == ()
    assert lake.add(RawRows(few.name, few.sha256, rows)).added == 100
    assert len(lake.quarantine()) == 6


def test_the_first_label_of_a_picture_stands_and_a_later_one_is_quarantined(lake: Lake, few: RawRows) -> None:
    picture = np.frombuffer(few.frame["image"][0], np.uint8).reshape(1, 28, 28)
    lake.add(few)

    added = lake.add(returned(picture, ["8"], ["request-1"]))

    assert added.quarantined == {"the same pixels are already labelled 0": 1}
    assert lake.load(lake.pin("all", SALT)).sources.tolist() == ["mnist-5k"] * 100


def test_a_picture_that_came_back_is_no_longer_unseen(lake: Lake, few: RawRows) -> None:
    lake.add(few)
    before = split(lake.load(lake.pin("before", SALT, {"mnist-5k"})), SALT)
    chosen = before.stream.where(np.arange(3))

    added = lake.add(returned(chosen.images, [str(label) for label in chosen.labels], ["a", "b", "c"]))
    after = split(lake.load(lake.pin("after", SALT)), SALT)

    assert added.added == 3
    assert set(chosen.keys) <= set(after.train.keys)
    assert set(after.stream.keys) == set(before.stream.keys) - set(chosen.keys)
    assert lake.load(lake.pin("before", SALT, {"mnist-5k"})).sources.tolist() == ["mnist-5k"] * 100


def test_a_picture_that_came_back_is_still_its_writers_and_changes_side_for_nobody(lake: Lake, few: RawRows) -> None:
    written = few.frame.with_columns(writer=pl.format("hsf-{}", pl.col("row") // 5))
    lake.add(RawRows(few.name, few.sha256, written))
    before = split(lake.load(lake.pin("before", SALT)), SALT)
    chosen = before.test.where(np.arange(3))

    lake.add(returned(chosen.images, [str(label) for label in chosen.labels], ["a", "b", "c"]))
    after = split(lake.load(lake.pin("after", SALT)), SALT)

    assert after.test.keys.tolist() == before.test.keys.tolist()
    assert after.test.writers.tolist() == before.test.writers.tolist()
    assert set(after.test.sources.tolist()) == {"mnist-5k", "feedback"}


def test_a_pin_that_would_move_rows_whose_writer_came_later_is_refused_and_another_salt_begins_anew(
    lake: Lake, few: RawRows
) -> None:
    lake.add(few)
    first = lake.pin("first", SALT)
    written = few.frame.with_columns(writer=pl.format("hsf-{}", pl.col("row") // 5), source=pl.lit("written"))
    lake.add(RawRows("written", few.sha256, written))

    with pytest.raises(DataError) as refused:
        lake.pin("second", SALT)
    second = split(lake.load(lake.pin("second", "another")), "another")

    assert refused.value.problem == (
        "Of the rows to be pinned 100 have another writer than in the snapshot 'first', and would change side under the salt "
        f"{SALT!r}."
    )
    assert list(lake.snapshots()) == ["first", "second"]
    assert set(lake.load(first).writers.tolist()) == {""}
    assert len({*second.train.writers.tolist()} & {*second.test.writers.tolist()}) == 0


def test_who_wrote_a_row_is_the_same_whichever_sources_are_pinned(lake: Lake, few: RawRows) -> None:
    written = few.frame.with_columns(writer=pl.format("hsf-{}", pl.col("row") // 5), source=pl.lit("written"))
    lake.add(few)
    lake.add(RawRows("written", few.sha256, written))

    every = lake.load(lake.pin("every", SALT))
    some = lake.load(lake.pin("some", SALT, {few.name}))

    assert some.writers.tolist() == every.writers.tolist()


def test_what_was_pinned_of_other_sources_or_under_another_salt_hinders_no_pin(lake: Lake, few: RawRows) -> None:
    lake.add(few)
    lake.pin("elsewhere", "another")
    others = few.frame.with_columns(source=pl.lit("others"), image=pl.col("image").bin.slice(0, 783) + b"\x07")
    lake.add(RawRows("others", few.sha256, others))
    lake.pin("others", SALT, {"others"})
    written = few.frame.with_columns(writer=pl.format("hsf-{}", pl.col("row") // 5), source=pl.lit("written"))
    lake.add(RawRows("written", few.sha256, written))

    assert lake.pin("whole", SALT).rows == 200


class Killed(BaseException):
    """What a test throws where a process would have died."""


class MortalStore(MemoryStore):
    """Dies at one of its writes: before it is committed, or just after."""

    def __init__(self, write: int, *, committed: bool) -> None:
        super().__init__()
        self.write, self.committed = write, committed

    def insert(self, table: str, frame: pl.DataFrame, *, by: Sequence[str], note: Mapping[str, str]) -> int:
        with self._perhaps_the_last():
            return super().insert(table, frame, by=by, note=note)

    def extend(self, table: str, frames: Iterable[pl.DataFrame], *, since: int | None, note: Mapping[str, str]) -> bool:
        taken = list(frames)
        with self._perhaps_the_last():
            return super().extend(table, taken, since=since, note=note)

    @contextmanager
    def _perhaps_the_last(self) -> Iterator[None]:
        self.write -= 1
        if self.write == 0 and not self.committed:
            raise Killed
        yield
        if self.write == 0:
            raise Killed


@pytest.mark.parametrize("write", [1, 2, 3])
@pytest.mark.parametrize("committed", [False, True])
def test_a_run_killed_at_any_write_and_repeated_ends_in_the_same_tables(few: RawRows, write: int, committed: bool) -> None:  # noqa: FBT001  pytest passes parameters by name
    whole, mortal = MemoryStore(), MortalStore(write, committed=committed)

    def run(store: MemoryStore) -> str:
        lake = Lake("memory", lambda _: store)
        lake.add(spoiled(few))
        return lake.pin("digits", SALT).digest

    with pytest.raises(Killed):
        run(mortal)

    assert run(mortal) == run(whole)
    for table in ("examples", "quarantine", "pins"):
        assert_frame_equal(without_runs(mortal.read(table)), without_runs(whole.read(table)))


def test_a_snapshot_comes_back_whole_and_sorted_whatever_was_added_since(lake: Lake, few: RawRows) -> None:
    lake.add(few)
    pinned = lake.pin("first", SALT)
    lake.add(returned(np.full((1, 28, 28), np.eye(28) * 255).astype(np.uint8), ["1"], ["r"]))

    loaded = lake.load(pinned)

    assert len(loaded) == pinned.rows == 100
    assert loaded.keys.tolist() == sorted(loaded.keys)
    assert [hashlib.sha256(image.tobytes()).hexdigest() for image in loaded.images] == loaded.keys.tolist()
    assert dict(zip(few.frame["image"], few.frame["label"], strict=True)).items() >= {
        (image.tobytes(), str(label)) for image, label in zip(loaded.images, loaded.labels, strict=True)
    }
    assert lake.snapshots() == {"first": pinned}


@pytest.mark.parametrize("order", [lambda frame: frame.reverse(), lambda frame: frame.sample(fraction=1, shuffle=True, seed=3)])
def test_the_digest_depends_on_neither_the_order_of_rows_nor_the_number_of_runs(
    few: RawRows, order: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    one, two = Lake("one", MemoryStore), Lake("two", MemoryStore)
    one.add(few)

    for half in (few.frame.head(37), order(few.frame)):
        two.add(RawRows(few.name, few.sha256, half))

    assert one.pin("a", SALT).digest == two.pin("b", "other salt").digest


def test_the_digest_is_the_one_that_can_be_worked_out_by_hand(few: RawRows) -> None:
    lake = Lake("memory", MemoryStore)
    lake.add(few)

    pinned = lake.pin("a", SALT)

    loaded = lake.load(pinned)
    lines = sorted(f"{key} {label}\n" for key, label in zip(loaded.keys, loaded.labels, strict=True))
    assert pinned.digest == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_pin_reads_a_part_of_the_rows_at_a_time_and_is_the_same(few: RawRows, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Counting(MemoryStore):
        def read(self, table: str, **of: Any) -> pl.DataFrame:
            found = super().read(table, **of)
            read.append((table, len(found)))
            return found

    lake = Lake("memory", Counting)
    lake.add(few)
    lake.add(RawRows("again", "", few.frame.tail(30).with_columns(source=pl.lit("again"))))
    whole, part = lake.pin("whole", SALT), lake.pin("a part", SALT, {"again"})
    read.clear()

    monkeypatch.setattr("demlopment.data.pins.PART", 10)
    again = [lake.pin("whole", SALT), lake.pin("a part", SALT, {"again"})]

    sizes = [size for table, size in read if table == "examples"]
    assert again == [whole, part]
    assert (whole.rows, part.rows, sum(sizes)) == (100, 30, 2 * 130 + 2)  # and twice how many there are
    assert 1 < max(sizes) < 30


def test_the_packaged_digits_have_the_digest_they_had(digits: RawRows) -> None:
    lake = Lake("memory", MemoryStore)
    lake.add(digits)

    pinned = lake.pin("digits", SALT)

    # Read from the first run; it changes only when images.prepare does, which must then raise images.VERSION.
    assert pinned.digest == "b1b4db5dcd746f07680092e98982bc84cdb2986185c65eed76f8b7cfe83fb98b"
    assert pinned.rows == 5000


def test_pinning_a_name_again_is_fine_only_while_it_means_the_same(lake: Lake, few: RawRows) -> None:
    lake.add(few)
    first = lake.pin("a", SALT, {"mnist-5k"})
    lake.add(returned(np.full((1, 28, 28), np.eye(28) * 255).astype(np.uint8), ["1"], ["r"]))

    assert lake.pin("a", SALT, {"mnist-5k"}) == first
    with pytest.raises(DataError, match="already pinned"):
        lake.pin("a", SALT)
    with pytest.raises(DataError, match="another salt"):
        lake.pin("a", "another", {"mnist-5k"})
    assert lake.snapshots() == {"a": first}


def test_nothing_can_be_pinned_where_there_is_nothing(lake: Lake, few: RawRows) -> None:
    with pytest.raises(DataError, match="holds no examples"):
        lake.pin("a", SALT)
    lake.add(few)
    with pytest.raises(DataError, match="no examples of"):
        lake.pin("a", SALT, {"feedback"})
    assert lake.snapshots() == {}


def test_a_snapshot_whose_rows_were_altered_is_refused(few: RawRows) -> None:
    store = MemoryStore()
    lake = Lake("memory", lambda _: store)
    lake.add(few)
    pinned = lake.pin("a", SALT)
    store.tables["examples"] = [frame.with_columns(label=pl.lit("3", pl.String)) for frame in store.tables["examples"]]

    with pytest.raises(DataError, match="not those that were pinned"):
        lake.load(pinned)


def test_a_snapshot_that_was_never_pinned_here_is_refused(lake: Lake, few: RawRows) -> None:
    lake.add(few)
    elsewhere = Lake("elsewhere", MemoryStore)
    elsewhere.add(few)

    with pytest.raises(DataError, match="has no pin 'a'"):
        lake.load(elsewhere.pin("a", SALT))


def test_a_lake_that_is_only_opened_leaves_nothing_on_disk(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")

    assert lake.quarantine() == ()
    assert lake.snapshots() == {}
    assert list(tmp_path.iterdir()) == []


def test_loaded_pictures_may_be_written_to_as_torch_asks(lake: Lake, few: RawRows) -> None:
    lake.add(few)

    loaded = lake.load(lake.pin("a", SALT))
    loaded.images[0] = 7

    assert (loaded.images[0] == 7).all()


def test_rows_of_other_classes_are_quarantined_and_come_in_when_the_classes_are_widened(few: RawRows) -> None:
    store = MemoryStore()
    narrow, wide = Lake("memory", lambda _: store, classes="01234"), Lake("memory", lambda _: store)

    first, again = narrow.add(few), wide.add(few)

    assert (first.added, first.quarantined) == (50, {"label outside 0 to 4": 50})
    assert (again.added, again.known, again.rejected) == (50, 50, 0)
    assert len(narrow.quarantine()) == 50


def test_rows_of_classes_that_are_no_longer_named_are_kept_and_named(few: RawRows) -> None:
    store = MemoryStore()
    wide, narrow = Lake("memory", lambda _: store), Lake("memory", lambda _: store, classes="01234567")
    wide.add(few)
    pinned = wide.pin("all", SALT)

    for verb in (lambda: narrow.load(pinned), lambda: narrow.pin("less", SALT)):
        with pytest.raises(DataError, match=r"the labels 8, 9, and data\.classes is 0,1,2,3,4,5,6,7\."):
            verb()

    assert list(narrow.snapshots()) == ["all"]
    assert len(narrow.rows(pinned)) == 100
    assert wide.load(pinned).labels.max() == 9


def test_a_label_is_its_place_among_the_classes(few: RawRows) -> None:
    store = MemoryStore()
    forward, backward = Lake("memory", lambda _: store), Lake("memory", lambda _: store, classes="9876543210")
    forward.add(few)
    pinned = forward.pin("all", SALT)

    assert (forward.load(pinned).labels == 9 - backward.load(pinned).labels).all()
