"""Reviews change the labels of new snapshots and of no other, whatever is added, reviewed again or forgotten meanwhile."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.data.delta import DeltaStore
from demlopment.data.garbage import sweep
from demlopment.data.lake import Lake
from demlopment.data.reviews import Review, Reviews
from demlopment.data.snapshots import difference
from demlopment.data.sources import RawRows
from demlopment.errors import NotReadyError
from tests.fakes import MemoryStore

SALT = "demlopment-1"


@pytest.fixture(params=[DeltaStore, MemoryStore])
def lake(request: pytest.FixtureRequest, tmp_path: Path, few: RawRows) -> Lake:
    lake = Lake(tmp_path / "lake", request.param)
    lake.add(few)
    return lake


def review(key: str, label: str | None, by: str = "ann", file: str = "one", row: int = 1) -> Review:
    return Review(key, "0", label, by, 1.0, file, row)


def keys_of(lake: Lake, label: str) -> list[str]:
    return lake.now(pl.col("label") == label, ("key",))["key"].sort().to_list()


def labels(lake: Lake, name: str) -> dict[str, str]:
    return dict(lake.rows(lake.named(name), ("key", "label", "source")).select("key", "label").rows())


def test_a_review_reaches_the_next_snapshot_and_no_earlier_one(lake: Lake) -> None:
    wrong, unreadable = keys_of(lake, "0")[:2]
    before = lake.pin("before", SALT)
    original = lake.load(before)

    lake.reviews.add([review(wrong, "6"), review(unreadable, None, row=2)])
    after = lake.pin("after", SALT)

    changed = difference(lake, "before", "after")
    assert (changed.relabelled, changed.removed, changed.added) == ({wrong: ("0", "6")}, (unreadable,), ())
    assert (before.rows, after.rows) == (100, 99)
    assert lake.load(before).labels.tolist() == original.labels.tolist()
    loaded = lake.load(after)
    assert loaded.labels[loaded.keys.tolist().index(wrong)] == 6
    assert unreadable not in loaded.keys


def test_the_row_keeps_its_source_licence_and_origin(lake: Lake) -> None:
    (wrong, *_) = keys_of(lake, "0")
    lake.pin("before", SALT)
    lake.reviews.add([review(wrong, "6")])
    lake.pin("after", SALT)

    one, other = (lake.rows(lake.named(name)).filter(pl.col("key") == wrong).drop("label") for name in ("before", "after"))

    assert one.equals(other)


def test_ingesting_the_source_again_does_not_bring_the_old_label_back(lake: Lake, few: RawRows) -> None:
    wrong, unreadable = keys_of(lake, "0")[:2]
    lake.reviews.add([review(wrong, "6"), review(unreadable, None, row=2)])
    first = lake.pin("first", SALT)

    again = lake.add(few)
    other = lake.add(RawRows("other", "", few.frame.with_columns(source=pl.lit("other"))))

    assert (again.added, again.known, again.rejected) == (0, 100, 0)
    assert (other.added, other.rejected) == (100, 0)
    assert lake.pin("second", SALT).digest == first.digest


def test_a_row_that_comes_with_the_reviewed_label_is_no_contradiction(lake: Lake, few: RawRows) -> None:
    (wrong, *_) = keys_of(lake, "0")
    row = lake.now(pl.col("key") == wrong, ("row",))["row"][0]
    came = few.frame.filter(pl.col("row") == row).with_columns(source=pl.lit("other"), label=pl.lit("6"))
    before = lake.add(RawRows("other", "", came))

    lake.reviews.add([review(wrong, "6")])
    after = lake.add(RawRows("other", "", came))

    assert before.quarantined == {"the same pixels are already labelled 0": 1}
    assert (after.added, after.rejected) == (1, 0)
    lake.pin("all", SALT)
    assert labels(lake, "all")[wrong] == "6"


def test_the_latest_review_of_a_row_wins_and_all_are_kept_with_who_and_when(lake: Lake) -> None:
    (key, *_) = keys_of(lake, "0")

    lake.reviews.add([review(key, "6"), review(key, "8", row=2)])
    lake.reviews.add([replace(review(key, None, by="bob", file="two"), at=2.0)])
    lake.pin("dropped", SALT)
    lake.reviews.add([review(key, "0", by="cid", file="three")])
    lake.pin("kept", SALT)

    assert key not in labels(lake, "dropped")
    assert labels(lake, "kept")[key] == "0"
    assert lake.reviews.all().select("label", "by", "at").rows() == [
        ("6", "ann", 1.0),
        ("8", "ann", 1.0),
        (None, "bob", 2.0),
        ("0", "cid", 1.0),
    ]


def test_a_file_that_was_added_before_adds_nothing_also_after_others(lake: Lake) -> None:
    (key, other, *_) = keys_of(lake, "0")
    file = [review(key, "6"), review(other, None, row=2)]

    first = lake.reviews.add(file)
    lake.reviews.add([review(key, "8", by="bob", file="two")])
    again = lake.reviews.add(file)
    grown = lake.reviews.add([replace(each, file="grown") for each in file[1:]])

    assert (first, again, grown) == (2, 0, 0)
    assert dict(lake.reviews.standing().rows()) == {key: "8", other: ""}


verdicts = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", None]), st.sampled_from(["ann", "bob"])))


@given(st.lists(verdicts, max_size=4))
def test_what_stands_is_what_a_loop_over_all_reviews_leaves(files: list[list[tuple[str, str | None, str]]]) -> None:
    reviews, expected, snapshots = Reviews(MemoryStore()), {}, []
    for number, file in enumerate(files):
        reviews.add([review(key, label, by, str(number), row) for row, (key, label, by) in enumerate(file)])
        for key, label, _ in file:
            expected[key] = "" if label is None else label
        snapshots.append((reviews.last(), dict(expected)))

        assert dict(reviews.standing().rows()) == expected
    for last, then in snapshots:
        assert dict(reviews.standing(last).rows()) == then


class BusyStore(MemoryStore):
    """Another process is always quicker."""

    def extend(self, table: str, frames: Iterable[pl.DataFrame], *, since: int | None, note: Mapping[str, str]) -> bool:
        return False


def test_a_table_that_is_always_busy_is_named() -> None:
    with pytest.raises(NotReadyError, match="keep adding reviews"):
        Reviews(BusyStore()).add([review("a", "1")])


def test_a_forgotten_row_leaves_its_reviews_and_snapshots_keep_the_labels_they_had(tmp_path: Path, few: RawRows) -> None:
    lake = Lake(tmp_path / "lake")
    early = pl.col("row") < 1000
    lake.add(RawRows("eve", few.sha256, few.frame.filter(early).with_columns(source=pl.lit("eve"))))
    lake.add(RawRows(few.name, few.sha256, few.frame.filter(~early)))
    lake.add(RawRows("other", "", few.frame.filter(pl.col("row") == 0).with_columns(source=pl.lit("other"))))
    zeros, (five, *_) = keys_of(lake, "0"), keys_of(lake, "5")
    shared = lake.now(pl.col("source") == "other", ("key",))["key"][0]
    lonely = next(key for key in zeros if key != shared)
    lake.pin("without", SALT, {"other"})
    lake.reviews.add([review(lonely, "6"), review(five, "3", row=2), review(shared, "9", row=3)])
    with_reviews = lake.pin("with", SALT, {"other"})
    lake.pin("all", SALT)
    lake.reviews.add([review(five, "4", file="two"), review(shared, "0", file="two", row=2)])

    lake.forget("source", "eve")
    sweep(tmp_path / "lake")

    assert lake.reviews.all()["key"].to_list() == [five, shared, five, shared]
    assert labels(lake, "without") == {shared: "0"}
    assert labels(lake, "with") == {shared: "9"}
    assert lake.rest("with") == with_reviews
    left = dict(lake.rows(lake.rest("all"), ("key", "label", "source")).select("key", "label").rows())
    assert (left[five], left[shared], len(left)) == ("3", "9", 81)
    lake.reviews.add([review(five, "7", file="three")])
    assert labels(lake, "with") == {shared: "9"}
    assert lake.rest("all").rows == 81


@pytest.mark.parametrize("dies_at", ["reviewed", "pins"])
def test_a_pin_that_dies_half_way_is_repeated_with_the_reviews_of_then(
    few: RawRows, dies_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    store = MemoryStore()
    lake = Lake("memory", lambda _: store)
    lake.add(few)
    (key, *_) = keys_of(lake, "0")
    lake.reviews.add([review(key, "6")])
    insert = store.insert

    def dying(table: str, *arguments: object, **more: object) -> int:
        if table == dies_at:
            raise Killed
        return insert(table, *arguments, **more)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(store, "insert", dying)
    with pytest.raises(Killed):
        lake.pin("all", SALT)
    monkeypatch.undo()
    lake.reviews.add([review(key, "8", file="two")])

    lake.pin("all", SALT)

    assert labels(lake, "all")[key] == "8"
