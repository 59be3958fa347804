"""A bad row stays until it is good: then it is the example it would have been at once. A killed replay is repeated."""

import hashlib
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from demlopment.data.contract import KEPT
from demlopment.data.corrections import Corrections, corrections
from demlopment.data.delta import DeltaStore
from demlopment.data.lake import Lake
from demlopment.data.queue import waiting
from demlopment.data.sources import RawRows, returned, spoiled
from demlopment.data.sources.port import raw_frame
from demlopment.errors import DataError
from tests.data.test_faults import script
from tests.data.test_lake import SALT, Killed, MortalStore
from tests.fakes import MemoryStore, without_runs

FOUR = tuple("0123")
TABLES = ("examples", "quarantine", "corrections")


@pytest.fixture(params=[DeltaStore, MemoryStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DeltaStore | MemoryStore:
    made: DeltaStore | MemoryStore = request.param(tmp_path / "lake")
    return made


def lake_on(store: DeltaStore | MemoryStore, classes: Sequence[str] = tuple("0123456789")) -> Lake:
    return Lake("lake", lambda _: store, classes=classes)


def name_of(lake: Lake, reason: str) -> str:
    """The one row that is in quarantine for exactly that reason."""
    (name,) = lake.bad.found(pl.col("reasons") == reason, ("name",))["name"]
    return str(name)


def lone(few: RawRows) -> RawRows:
    """Good rows and five bad ones, without the good row that these are made of and the one that contradicts it."""
    return RawRows(few.name, few.sha256, pl.concat(spoiled(few).batches())[1:-1])


def said(labels: Mapping[str, str]) -> Corrections:
    return Corrections("fixes.csv", "f" * 64, labels)


def drawn(number: int, size: int = 90) -> bytes:
    """A file that shows a digit, and that preparing changes more than once."""
    paper = np.full((size, size), 250, np.uint8)
    cv2.putText(paper, str(number), (20, 70), cv2.FONT_HERSHEY_SIMPLEX, 2, 20, 5)
    return cv2.imencode(".png", paper)[1].tobytes()


def held(store: DeltaStore | MemoryStore) -> dict[str, pl.DataFrame]:
    return {table: store.read(table).pipe(lambda frame: frame.sort(frame.columns)) for table in TABLES}


def test_what_another_release_of_the_contract_takes_leaves_as_if_it_had_been_taken_at_once(
    store: DeltaStore | MemoryStore, few: RawRows
) -> None:
    lake_on(store, FOUR).add(few)
    at_once = MemoryStore()
    lake_on(at_once).add(few)

    done = lake_on(store).replay()

    assert (done.rows, done.added, done.known, done.rejected) == (60, 60, 0, 0)
    assert lake_on(store).quarantine() == ()
    assert_frame_equal(*(without_runs(each.read("examples")).sort("key") for each in (store, at_once)))


def test_a_corrected_row_keeps_all_but_its_label_and_the_others_stay_with_the_reasons_they_have_now(
    store: DeltaStore | MemoryStore, few: RawRows
) -> None:
    lake = lake_on(store)
    lake.add(lone(few))
    before = {row.row: row for row in lake.quarantine()}

    done = lake.replay(said({name_of(lake, "label outside 0 to 9"): "0"}))

    assert (done.rows, done.added, done.known, done.rejected) == (5, 1, 0, 4)
    assert {row.row: row for row in lake.quarantine()} == {row: bad for row, bad in before.items() if row != 0}
    (row,) = lake.now(pl.col("origin") == "planted in mnist-5k", ("label", "source", "row", "licence", "image")).rows()
    assert row == ("0", "planted", 0, few.frame["licence"][0], few.frame["image"][0])


def test_rows_that_stay_bad_have_the_reasons_that_they_have_now(store: DeltaStore | MemoryStore, few: RawRows) -> None:
    lake_on(store, FOUR).add(spoiled(few))
    lake = lake_on(store, tuple("012345678"))

    done = lake.replay()

    assert done.quarantined == {
        **dict.fromkeys(("image is 783 bytes, not 784", "image is blank", "image missing", "label missing"), 1),
        "label outside 0 to 8": 11,
        "the same pixels are already labelled 0": 1,
    }
    reasons = [reason for row in lake.quarantine() for reason in row.reasons]
    assert {reason: reasons.count(reason) for reason in reasons} == done.quarantined


def test_a_corrected_row_that_stays_bad_has_the_label_that_was_said_and_its_source_brings_it_back_once(
    store: DeltaStore | MemoryStore, few: RawRows
) -> None:
    lake = lake_on(store)
    first = few.frame.head(1)
    lake.add(RawRows("mine", "a", first.with_columns(label=pl.lit("0"))))
    bad = RawRows("other", "b", first.with_columns(label=pl.lit("11"), source=pl.lit("other"), origin=pl.lit("b")))
    lake.add(bad)
    name = name_of(lake, "label outside 0 to 9")

    lake.replay(said({name: "1"}))

    (row,) = lake.quarantine()
    assert (row.label, row.reasons) == ("1", ("the same pixels are already labelled 0",))
    assert [(item.label, item.suggestion) for item in waiting(lake)] == [("0", "1")]
    assert lake.add(bad).rejected == 1
    assert len(lake.quarantine()) == 1
    done = lake.replay(said({name: "0"}))
    assert (done.known + done.added, done.rejected) == (1, 0)
    assert lake.quarantine() == ()
    recorded = store.read("corrections", columns=("name", "label", "former"))
    assert recorded.rows() == [(name, "0", "11")]


def test_a_picture_that_contradicted_another_keeps_its_own_bytes_and_gets_the_key_it_would_have_had(
    store: DeltaStore | MemoryStore,
) -> None:
    def files(labels: Sequence[str], origin: str) -> RawRows:
        frame = raw_frame([drawn(7)] * len(labels), labels, source="mine", licence="own", origins=origin, kind="file")
        return RawRows("mine", origin, frame)

    lake = lake_on(store)
    lake.add(files(["7"], "a"))
    lake.add(files(["1"], "b"))
    (bad,) = lake.quarantine()
    (key,) = lake.now(pl.col("origin") == "a", ("key",))["key"]

    done = lake.replay(said({name_of(lake, "the same pixels are already labelled 7"): "7"}))

    assert (bad.image, bad.format) == (drawn(7), "file")
    assert (done.added, done.known, done.rejected) == (0, 1, 0)
    assert lake.quarantine() == ()
    assert lake.now(pl.lit(True), ("key", "origin")).rows() == [(key, "a")]  # noqa: FBT003  polars' way to say "all"


def test_a_row_that_was_corrected_does_not_come_back_with_its_source(store: DeltaStore | MemoryStore, few: RawRows) -> None:
    lake, rows = lake_on(store), lone(few)
    lake.add(rows)
    right = said({name_of(lake, "label outside 0 to 9"): "0"})
    lake.replay(right)
    before = held(store)

    added = lake.add(rows)
    again = lake.replay(right)

    assert (added.rows, added.added, added.known, added.rejected) == (len(rows.frame), 0, len(rows.frame) - 4, 4)
    assert "label outside 0 to 9" not in added.quarantined
    assert (again.rows, again.added, again.rejected) == (4, 0, 4)
    after = held(store)
    for table in TABLES:
        assert_frame_equal(after[table], before[table])


@pytest.mark.parametrize("labels", [{"f" * 64: "1"}, {"f" * 64: "1", "e" * 64: "2"}])
def test_corrections_of_rows_that_are_not_there_change_nothing(few: RawRows, labels: dict[str, str]) -> None:
    store = MemoryStore()
    lake = lake_on(store, FOUR)
    lake.add(few)
    before = {table: len(versions) for table, versions in store.tables.items()}

    with pytest.raises(DataError, match=r"fixes\.csv names rows that are not in quarantine: [ef]{64}"):
        lake_on(store).replay(said(labels | {lake.bad.found(pl.col("label") == "7", ("name",))["name"][0]: "7"}))

    assert {table: len(versions) for table, versions in store.tables.items()} == before


def test_a_correction_is_told_in_the_commit_and_kept_row_by_row(few: RawRows) -> None:
    store = MemoryStore()
    lake = lake_on(store)
    lake.add(lone(few))
    name = name_of(lake, "label outside 0 to 9")

    lake.replay(said({name: "0"}))

    note = {"source": "quarantine", "corrections": "f" * 64, "corrected": "1"}
    assert any(note.items() <= each.items() for each in store.notes)
    assert store.read("corrections").rows() == [(name, "0", "12", "planted", "planted in mnist-5k", 0, "f" * 64)]


class MortalInMore(MortalStore):
    """Dies at removals and amendments too."""

    def remove(self, table: str, column: str, values: Sequence[str], *, note: Mapping[str, str]) -> int:  # type: ignore[override]
        with self._perhaps_the_last():
            return super().remove(table, column, values, note=note)

    def amend(self, table: str, frame: pl.DataFrame, *, by: str, note: Mapping[str, str]) -> int:
        with self._perhaps_the_last():
            return super().amend(table, frame, by=by, note=note)


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("write", range(1, 5))
def test_a_replay_killed_at_any_write_and_repeated_ends_in_the_same_tables(
    few: RawRows,
    write: int,
    committed: bool,  # noqa: FBT001  pytest passes parameters by name
) -> None:
    def prepared(store: MemoryStore) -> Callable[[], object]:
        lake_on(store, FOUR).add(spoiled(RawRows(few.name, few.sha256, few.frame[1:])))
        lake = lake_on(store)
        fixes = said({name_of(lake, "label missing"): "0"})
        return lambda: lake.replay(fixes)

    whole, mortal = MemoryStore(), MortalInMore(0, committed=committed)
    prepared(whole)()
    again = prepared(mortal)
    mortal.write = write

    with pytest.raises(Killed):
        again()
    again()

    for table in TABLES:
        order = "name" if table != "examples" else "key"
        assert_frame_equal(*(without_runs(store.read(table)).sort(order) for store in (mortal, whole)))


REPLAY = """
lake = Lake(Path(sys.argv[1]), classes=tuple('0123'))
lake.add(spoiled(some(0)))
lake = Lake(Path(sys.argv[1]))
def die(): os.kill(os.getpid(), signal.SIGKILL)
verb = sys.argv[2]
whole = getattr(delta.DeltaStore, verb)
setattr(delta.DeltaStore, verb, lambda *a, **k: (whole(*a, **k), die()))
lake.replay()
"""


@pytest.mark.parametrize("verb", ["extend", "remove", "amend"])
def test_a_process_that_is_killed_leaves_what_the_next_replay_understands(few: RawRows, tmp_path: Path, verb: str) -> None:
    with script(REPLAY, tmp_path / "lake", verb) as killed:
        killed.communicate()

    lake = Lake(tmp_path / "lake")
    lake.replay()

    assert killed.returncode == -signal.SIGKILL
    assert len(lake.load(lake.pin("all", SALT))) == 200
    assert len(lake.quarantine()) == 6


def test_an_ingest_at_the_same_time_is_seen_and_each_row_is_there_once(few: RawRows) -> None:
    class Hurried(MemoryStore):
        """Somebody else ingests the rows that are replayed just before they are added."""

        other: Lake | None = None

        def extend(self, *arguments: object, **named: object) -> bool:
            other, self.other = self.other, None
            if other is not None:
                other.add(few)
            return super().extend(*arguments, **named)  # type: ignore[arg-type]

    store = Hurried()
    lake_on(store, FOUR).add(few)
    store.other = lake_on(store)

    done = lake_on(store).replay()

    assert (done.added, done.known, done.rejected) == (0, 60, 0)
    assert lake_on(store).quarantine() == ()
    assert len(store.read("examples")) == 100


def test_a_quarantine_of_many_batches_is_replayed_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, few: RawRows) -> None:
    monkeypatch.setattr("demlopment.data.quarantine.BATCH", 7)
    Lake(tmp_path, classes=FOUR).add(spoiled(few))
    lake = Lake(tmp_path)

    done = lake.replay()

    assert (done.rows, done.added, done.rejected) == (66, 60, 6)
    assert len(lake.quarantine()) == 6


def test_nothing_is_replayed_where_there_is_nothing(tmp_path: Path) -> None:
    done = Lake(tmp_path / "lake").replay()

    assert (done.rows, done.added, done.known, done.rejected) == (0, 0, 0, 0)
    assert not (tmp_path / "lake").exists()


labels = st.lists(st.tuples(st.sampled_from("0123456789"), st.sampled_from(["3", "x", None])), min_size=1, max_size=12)


@settings(max_examples=25)  # each example fills two lakes
@given(labels, st.data())
def test_correcting_in_parts_or_at_once_is_the_same(
    few: RawRows, changes: list[tuple[str, str | None]], data: st.DataObject
) -> None:
    frame = few.frame.head(len(changes)).with_columns(label=pl.Series([label for _, label in changes], dtype=pl.String))
    stores = MemoryStore(), MemoryStore()
    for store in stores:
        lake_on(store).add(RawRows(few.name, few.sha256, frame))
    lakes = [lake_on(store) for store in stores]
    names = dict(lakes[0].bad.found(pl.lit(True), ("row", "name")).rows())  # noqa: FBT003  polars' way to say "all"
    right = {name: changes[int(row) // 50][0] for row, name in names.items()}
    first = {name: label for name, label in right.items() if data.draw(st.booleans())}

    lakes[0].replay(said(right))
    for part in (first, right):
        lakes[1].replay(said(part))

    assert [lake.quarantine() for lake in lakes] == [(), ()]
    if names:
        assert_frame_equal(*(without_runs(store.read("examples")).sort("row") for store in stores))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name,truth\na,1\n", "has no column label"),
        ("name,label,label\na,1,2\n", "has more than one column label"),
        ("name,label\na,1\na,2\n", "gives two labels to the row a"),
        ("", "has no column name"),
        ('name,label\na,"1\nb,2\n', "cannot be read after line 1: unexpected end of data"),
    ],
)
def test_a_file_of_corrections_that_cannot_be_meant_is_named(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "fixes.csv"
    path.write_text(text)

    with pytest.raises(DataError, match=match):
        corrections(path)


def test_a_file_of_corrections_is_read_whatever_else_stands_in_it(tmp_path: Path) -> None:
    path = tmp_path / "fixes.csv"
    path.write_text('label,name,reasons\n 7 ,a,"x; y, z"\n,b,empty\n007,c,\n7,a,twice\n')

    assert corrections(path).labels == {"a": "7", "c": "007"}
    with pytest.raises(DataError, match="cannot be read"):
        corrections(tmp_path / "none.csv")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_file_of_corrections_is_read_however_a_spreadsheet_saved_it(
    tmp_path: Path, separator: str, mark: bytes, end: str
) -> None:
    path = tmp_path / "fixes.csv"
    saved = [["name", "label", "reasons"], ["a", "7", '"x, y; z"'], ["b", "", ""], ["c", "2"]]
    path.write_bytes(mark + end.join(separator.join(line) for line in saved).encode())

    assert corrections(path).labels == {"a": "7", "c": "2"}


def test_rows_that_were_dropped_are_gone_and_do_not_come_back_with_their_source(
    store: DeltaStore | MemoryStore, few: RawRows
) -> None:
    lake, rows = lake_on(store), spoiled(few)
    lake.add(rows)
    lake.replay(said({name_of(lake, "label missing"): "5"}))  # which its picture contradicts: it stays, with that label

    dropped = lake.bad.drop(pl.col("reasons").str.contains("image") | (pl.col("label") == "5"))
    again = lake.add(rows)

    assert dropped == 4
    assert [row.reasons for row in lake.quarantine()] == [
        ("label outside 0 to 9",),
        ("the same pixels are already labelled 0",),
    ]
    assert (again.added, again.known, again.rejected) == (0, 104, 2)
    assert again.quarantined == {"label outside 0 to 9": 1, "the same pixels are already labelled 0": 1}


def test_a_row_that_was_dropped_comes_in_once_its_class_is_known(store: DeltaStore | MemoryStore, few: RawRows) -> None:
    lake_on(store, FOUR).add(few)
    lake_on(store, FOUR).bad.drop(pl.lit(True))  # noqa: FBT003  polars' way to say "all"

    added = lake_on(store).add(few)

    assert (added.added, added.known, added.rejected) == (60, 40, 0)


def test_of_a_source_that_is_forgotten_its_dropped_rows_are_too(few: RawRows) -> None:
    store = MemoryStore()
    lake = lake_on(store)
    lake.add(spoiled(few))
    lake.bad.drop(pl.lit(True))  # noqa: FBT003  polars' way to say "all"

    lake.bad.forget("source", few.name, ())

    assert store.read("corrections").is_empty()


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("write", [1, 2])
def test_a_drop_killed_at_any_write_and_repeated_ends_in_the_same_tables(
    few: RawRows,
    write: int,
    committed: bool,  # noqa: FBT001  pytest passes parameters by name
) -> None:
    whole, mortal = MemoryStore(), MortalInMore(0, committed=committed)
    lakes = [lake_on(store) for store in (whole, mortal)]
    blank = pl.col("reasons").str.contains("blank")
    for lake in lakes:
        lake.add(spoiled(few))
    lakes[0].bad.drop(blank)
    mortal.write = write

    with pytest.raises(Killed):
        lakes[1].bad.drop(blank)
    lakes[1].bad.drop(blank)

    for table in TABLES:
        order = "name" if table != "examples" else "key"
        assert_frame_equal(*(without_runs(store.read(table)).sort(order) for store in (mortal, whole)))


def test_what_is_forgotten_is_forgotten_in_corrections_too_and_would_be_bad_again(few: RawRows) -> None:
    store = MemoryStore()
    lake, rows = lake_on(store), lone(few)
    lake.add(rows)
    lake.replay(said({name_of(lake, "label outside 0 to 9"): "0"}))

    lake.forget("source", "planted")
    lake.add(rows)

    assert store.read("corrections").is_empty()
    assert name_of(lake, "label outside 0 to 9")


def test_a_picture_is_forgotten_in_quarantine_whichever_file_it_came_in(few: RawRows) -> None:
    lake = lake_on(MemoryStore())
    lake.add(
        RawRows("mine", "a", raw_frame([drawn(7), drawn(3)], ["7", "x"], source="mine", licence="", origins="a", kind="file"))
    )
    lake.add(
        RawRows(
            "mine", "b", raw_frame([drawn(7), drawn(7)[:-30]], ["x", "1"], source="b", licence="", origins="b", kind="file")
        )
    )
    (key,) = lake.now(pl.col("label") == "7", ("key",))["key"]

    removed = lake.bad.forget("key", key, {key})

    assert removed == 1
    assert [(row.source, row.row) for row in lake.quarantine()] == [("b", 1), ("mine", 1)]


def test_a_bad_row_that_came_back_is_in_quarantine_once_whatever_comes_back_before_it() -> None:
    lake = lake_on(MemoryStore())
    pictures = np.zeros((3, 28, 28), np.uint8)
    pictures[:, 4:24, 10:14] = np.array([255, 254, 253], np.uint8).reshape(3, 1, 1)
    lake.add(returned(pictures[1:], [None, None], ["b", "c"]))

    lake.add(returned(pictures, [None, None, None], ["a", "b", "c"]))

    assert sorted(row.origin for row in lake.quarantine()) == ["a", "b", "c"]


def test_rows_named_by_an_earlier_release_are_read_and_leave_when_they_are_good(few: RawRows) -> None:
    store = MemoryStore()
    lake = lake_on(store)
    bad = (
        few.frame.head(1)
        .select(*KEPT)
        .with_columns(label=pl.lit("x"), row=pl.lit(7, pl.Int64), reasons=pl.lit("label outside 0 to 9"))
    )
    (held,) = bad.select("source", "origin", "row", "label", "image").rows()
    name = hashlib.sha256(repr(held).encode()).hexdigest()  # as every release has named rows of one file
    store.insert("quarantine", bad.with_columns(name=pl.lit(name)), by=("name",), note={})

    (read,) = lake.quarantine()
    done = lake.replay(said({name: "0"}))

    assert (read.row, read.reasons) == (7, ("label outside 0 to 9",))
    assert (done.added, lake.quarantine()) == (1, ())


def test_rows_that_came_back_are_replayed_like_any_other(few: RawRows) -> None:
    lake = lake_on(MemoryStore())
    pictures = np.stack([np.frombuffer(image, np.uint8).reshape(28, 28) for image in few.frame["image"][:2]])
    lake.add(returned(pictures, ["zero", "0"], ["asked-1", "asked-2"]))

    lake.replay(said({name_of(lake, "label outside 0 to 9"): "0"}))

    assert sorted(lake.now(pl.col("source") == "feedback", ("origin", "label")).rows()) == [("asked-1", "0"), ("asked-2", "0")]


@pytest.mark.parametrize("count", [0, 783, 785])
def test_forgetting_passes_over_a_row_that_has_another_number_of_pixels(few: RawRows, count: int) -> None:
    bad = raw_frame([bytes(range(256)) * 4][:1], ["1"], source="bad", licence="CC0", origins="f" * 64)
    lake = lake_on(MemoryStore())
    lake.add(few)
    lake.add(RawRows("bad", "", bad.with_columns(image=pl.col("image").bin.head(count))))
    key = lake.now(pl.col("row") == 0, ("key",))["key"][0]

    removed = lake.bad.forget("key", key, {key})

    assert removed == 0
    assert [row.reasons for row in lake.quarantine()] == [(f"image is {count} bytes, not 784",)]
