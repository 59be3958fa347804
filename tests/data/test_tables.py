"""What every table store promises, on Delta and on the fake; and what Delta says when its files are damaged."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from demlopment.data.delta import FILE_BYTES, FORMAT, OLDEST, DeltaStore
from demlopment.data.tables import TableStore
from demlopment.errors import DataError, HomeError
from tests.fakes import MemoryStore

EVERY_BYTE = bytes(range(256))


def rows(*keys: str, value: bytes | None = EVERY_BYTE) -> pl.DataFrame:
    return pl.DataFrame(
        {"key": list(keys), "value": [value] * len(keys), "number": [None] * len(keys)},
        schema={"key": pl.String, "value": pl.Binary, "number": pl.Int64},
    )


def wider(*keys: str) -> pl.DataFrame:
    return rows(*keys).with_columns(run=pl.lit("r"))


@pytest.fixture(params=["folder", "s3", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TableStore:
    if request.param == "memory":
        return MemoryStore()
    return DeltaStore(tmp_path / "lake" if request.param == "folder" else request.getfixturevalue("s3"))


class TestEveryTableStore:
    """The conformance of the port."""

    def test_nothing_is_there_before_the_first_insert(self, store: TableStore) -> None:
        assert store.version("t") is None
        assert not store.exists("t")
        with pytest.raises(DataError):
            store.read("t")

    def test_inserting_again_adds_nothing_and_makes_no_version(self, store: TableStore) -> None:
        first = store.insert("t", rows("a", "b"), by=("key",), note={})
        assert store.exists("t")
        version = store.version("t")

        again = store.insert("t", rows("b", "a"), by=("key",), note={})

        assert (first, again) == (2, 0)
        assert store.version("t") == version

    def test_only_the_unknown_rows_of_an_insert_are_added(self, store: TableStore) -> None:
        store.insert("t", rows("a", "b", value=b"old"), by=("key",), note={})

        added = store.insert("t", rows("b", "c", value=b"new"), by=("key",), note={})

        kept = dict(store.read("t").select("key", "value").iter_rows())
        assert added == 1
        assert kept == {"a": b"old", "b": b"old", "c": b"new"}

    def test_rows_are_known_by_all_the_columns_named(self, store: TableStore) -> None:
        store.insert("t", rows("a", value=b"1"), by=("key", "value"), note={})

        assert store.insert("t", rows("a", value=b"2"), by=("key", "value"), note={}) == 1

    def test_frames_are_added_together_or_not_at_all(self, store: TableStore) -> None:
        def broken() -> Iterator[pl.DataFrame]:
            yield rows("c")
            raise ZeroDivisionError

        first = store.extend("t", [rows("a"), rows("b", "b")], since=None, note={})
        version = store.version("t")
        with pytest.raises(ZeroDivisionError):
            store.extend("t", broken(), since=version, note={})
        nothing = store.extend("t", [], since=version, note={})

        assert (first, nothing) == (True, True)
        assert store.version("t") == version
        assert sorted(store.read("t")["key"]) == ["a", "b", "b"]

    def test_a_column_that_came_later_is_null_in_what_was_there_before(self, store: TableStore) -> None:
        store.extend("t", [rows("a")], since=None, note={})
        before = store.version("t")

        tries = [store.extend("t", [wider("b"), wider("c")], since=store.version("t"), note={})]
        if not tries[0]:
            tries.append(store.extend("t", [wider("b"), wider("c")], since=store.version("t"), note={}))

        assert tries[-1]
        assert dict(store.read("t", columns=("key", "run")).iter_rows()) == {"a": None, "b": "r", "c": "r"}
        assert store.read("t", version=before, columns=("key", "run")).rows() == [("a", None)]
        assert store.read("t", columns=("run",), where=pl.col("key") == "a").rows() == [(None,)]
        assert store.read("t").schema == wider("b").schema
        assert store.read("t", version=before).schema == rows("a").schema
        assert_frame_equal(pl.concat(store.slices("t", 2)).sort("key"), store.read("t").sort("key"))

    def test_the_history_has_the_notes_and_versions_of_what_was_added_the_newest_first(self, store: TableStore) -> None:
        versions: list[int | None] = []
        for name in "ab":
            store.extend("t", [rows(name)], since=store.version("t"), note={"why": name})
            versions.insert(0, store.version("t"))

        found = [(note["why"], note["version"]) for note in store.history("t") if "why" in note]
        assert found == list(zip(["b", "a"], versions, strict=True))
        assert store.history("none") == ()

    def test_who_extends_by_what_is_no_longer_true_adds_nothing(self, store: TableStore) -> None:
        store.extend("t", [rows("a")], since=None, note={})
        version = store.version("t")
        store.extend("t", [rows("b")], since=version, note={})

        late, first_too = (
            store.extend("t", [rows("c")], since=version, note={}),
            store.extend("t", [rows("d")], since=None, note={}),
        )
        again = store.extend("t", [rows("c")], since=store.version("t"), note={})

        assert (late, first_too, again) == (False, False, True)
        assert sorted(store.read("t")["key"]) == ["a", "b", "c"]

    def test_of_writers_that_extend_at_once_one_gets_through(self, store: TableStore) -> None:
        store.extend("t", [rows("a")], since=None, note={})
        version, start_together, done = store.version("t"), threading.Barrier(4), []

        def write(name: str) -> None:
            start_together.wait()
            done.append(store.extend("t", [rows(name)], since=version, note={}))

        threads = [threading.Thread(target=write, args=(name,)) for name in "bcde"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(done) == [False, False, False, True]
        assert len(store.read("t")) == 2

    def test_an_old_version_stays_readable(self, store: TableStore) -> None:
        store.insert("t", rows("a"), by=("key",), note={})
        old = store.version("t")
        store.insert("t", rows("b"), by=("key",), note={})

        assert store.read("t", version=old)["key"].to_list() == ["a"]
        assert sorted(store.read("t", columns=("key",))["key"]) == ["a", "b"]

    def test_removed_rows_are_in_no_newer_version_and_nothing_else_is_touched(self, store: TableStore) -> None:
        store.insert("t", rows("a", "it's", "c"), by=("key",), note={})
        store.append("t", rows("d"), batch="one")
        before = store.version("t")

        removed, again = (store.remove("t", "key", {"it's", "d", "never"}, note={}) for _ in range(2))
        after = store.version("t")
        nothing = store.remove("t", "key", set(), note={}), store.remove("none", "key", {"a"}, note={})

        assert (removed, again, nothing) == (2, 0, (0, 0))
        assert sorted(store.read("t")["key"]) == ["a", "c"]
        assert sorted(store.read("t", version=before)["key"]) == ["a", "c", "d", "it's"]
        assert store.version("t") == after
        assert store.batches("t", ["one"]) == {"one"}
        assert store.version("none") is None

    def test_any_number_of_rows_is_removed(self, store: TableStore) -> None:
        keys = [str(number) for number in range(45_000)]
        store.insert("t", rows(*keys, "stays"), by=("key",), note={})

        assert store.remove("t", "key", keys, note={}) == len(keys)
        assert store.read("t")["key"].to_list() == ["stays"]

    def test_slices_hold_every_row_once_and_nothing_that_was_written_meanwhile(self, store: TableStore) -> None:
        for keys in ("abc", "d", "ef"):
            store.insert("t", rows(*keys), by=("key",), note={})
        whole = [frame["key"].to_list() for frame in store.slices("t", 4)]
        slices = store.slices("t", 4)

        first = next(slices)
        store.remove("t", "key", {"a", "b", "c", "d", "e"}, note={})
        store.insert("t", rows("g"), by=("key",), note={})
        (second,) = slices

        assert [first["key"].to_list(), second["key"].to_list()] == whole
        assert [len(each) for each in whole] == [4, 2]
        assert sorted("".join(whole[0] + whole[1])) == list("abcdef")
        assert first.schema == rows("a").schema
        assert list(store.slices("none", 4)) == []

    def test_slices_of_an_older_version_have_the_columns_asked_for(self, store: TableStore) -> None:
        store.insert("t", rows("a", "b"), by=("key",), note={})
        before = store.version("t")
        store.insert("t", rows("c"), by=("key",), note={})

        found = list(store.slices("t", 1, version=before, columns=(pl.col("key").str.to_uppercase().alias("upper"),)))

        assert sorted(each.rows() for each in found) == [[("A",)], [("B",)]]
        assert found[0].columns == ["upper"]

    def test_amended_rows_have_the_new_values_and_nothing_else_changes(self, store: TableStore) -> None:
        store.insert("t", rows("a", "b", "it's"), by=("key",), note={})
        news = pl.DataFrame({"key": ["it's", "never"], "number": [7, 8]})

        amended = store.amend("t", news, by="key", note={"why": "a test"})
        version = store.version("t")
        nothing = [store.amend("t", each, by="key", note={}) for each in (news[1:], news.clear())]

        assert (amended, nothing, store.amend("none", news, by="key", note={})) == (1, [0, 0], 0)
        assert (store.version("t"), store.version("none")) == (version, None)
        expected = rows("a", "b", "it's").with_columns(number=pl.Series([None, None, 7], dtype=pl.Int64))
        assert_frame_equal(store.read("t").sort("key"), expected)

    def test_a_version_that_never_was_is_refused(self, store: TableStore) -> None:
        store.insert("t", rows("a"), by=("key",), note={})

        with pytest.raises(DataError):
            store.read("t", version=99)

    def test_an_empty_insert_leaves_an_empty_table(self, store: TableStore) -> None:
        assert store.insert("t", rows(), by=("key",), note={}) == 0
        assert_frame_equal(store.read("t"), rows())

    def test_only_the_rows_asked_for_are_read(self, store: TableStore) -> None:
        store.insert("t", rows("a", "b", "c"), by=("key",), note={})

        found = store.read("t", columns=("value",), where=pl.col("key") > "a")

        assert found.columns == ["value"]
        assert len(found) == 2

    def test_a_batch_is_appended_once_with_all_its_rows_however_alike(self, store: TableStore) -> None:
        first = store.append("t", rows("a", "a"), batch="one")
        version = store.version("t")

        again = store.append("t", rows("b"), batch="one")

        assert (first, again) == (True, False)
        assert store.version("t") == version
        assert store.read("t")["key"].to_list() == ["a", "a"]

    def test_another_batch_with_the_same_rows_is_appended_too(self, store: TableStore) -> None:
        for name in ("one", "two"):
            store.append("t", rows("a"), batch=name)

        assert store.read("t")["key"].to_list() == ["a", "a"]
        assert store.batches("t", ["one", "two", "three"]) == {"one", "two"}
        assert store.batches("nothing", ["one"]) == set()

    def test_a_batch_without_rows_is_remembered(self, store: TableStore) -> None:
        store.append("t", rows(), batch="one")

        assert store.batches("t", ["one"]) == {"one"}
        assert_frame_equal(store.read("t"), rows())

    def test_writers_at_once_append_a_batch_once_and_other_batches_beside_it(self, store: TableStore) -> None:
        names = ["one", "one", "two", "one", "three"]
        start_together = threading.Barrier(len(names))

        def write(name: str) -> None:
            start_together.wait()
            store.append("t", rows(name), batch=name)

        threads = [threading.Thread(target=write, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(store.read("t")["key"]) == ["one", "three", "two"]

    @pytest.mark.parametrize(
        "kind", [pl.UInt8, pl.UInt64, pl.List(pl.UInt8), pl.Array(pl.UInt8, 2), pl.List(pl.Int64), pl.Null]
    )
    def test_a_type_that_does_not_survive_storing_is_refused(self, store: TableStore, kind: pl.DataType) -> None:
        with pytest.raises(DataError, match="does not survive storing"):
            store.insert("t", pl.DataFrame(schema={"key": pl.String, "bad": kind}), by=("key",), note={})

        assert store.version("t") is None

    def test_writers_at_once_add_each_row_once(self, store: TableStore) -> None:
        added: list[int] = []
        batches = [[str(n) for n in range(start, start + 6)] for start in (0, 3, 6, 0)]
        start_together = threading.Barrier(len(batches))

        def write(keys: list[str]) -> None:
            start_together.wait()
            added.append(store.insert("t", rows(*keys), by=("key",), note={}))

        threads = [threading.Thread(target=write, args=(keys,)) for keys in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sum(added) == 12
        assert sorted(store.read("t")["key"], key=int) == [str(n) for n in range(12)]


@settings(max_examples=25)  # each example writes a table; files are slow, not wrong
@given(pictures=st.lists(st.binary(min_size=0, max_size=800), min_size=1, max_size=4), shift=st.integers(0, 255))
def test_every_byte_comes_back_from_delta(tmp_path_factory: pytest.TempPathFactory, pictures: list[bytes], shift: int) -> None:
    pictures = [*pictures, bytes((value + shift) % 256 for value in range(256)) * 3]
    frame = pl.DataFrame(
        {"key": [str(n) for n in range(len(pictures))], "image": pictures}, schema_overrides={"image": pl.Binary}
    )
    store = DeltaStore(tmp_path_factory.mktemp("lake"))

    store.insert("t", frame, by=("key",), note={})

    assert_frame_equal(store.read("t").sort("key"), frame)


def test_many_rows_are_written_in_files_of_which_one_fits_into_memory(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)  # so that nothing can be packed
    pictures = [pl.Series([chance.bytes(784) for _ in range(2500)]) for _ in range(12)]
    frames = [rows(*map(str, range(2500))).with_columns(value=some) for some in pictures]

    DeltaStore(tmp_path).extend("t", iter(frames), since=None, note={})

    sizes = [file.stat().st_size for file in (tmp_path / "t").glob("*.parquet")]
    assert sum(sizes) > 2.5 * FILE_BYTES
    assert max(sizes) < 1.5 * FILE_BYTES


def test_each_version_says_what_was_added(tmp_path: Path) -> None:
    DeltaStore(tmp_path).insert("t", rows("a"), by=("key",), note={"source": "mnist-5k"})

    assert DeltaTable(tmp_path / "t").history(1)[0]["source"] == "mnist-5k"


def test_an_address_may_be_a_uri(tmp_path: Path) -> None:
    DeltaStore(f"file://{tmp_path}/lake/").insert("t", rows("a"), by=("key",), note={})

    assert DeltaStore(tmp_path / "lake").read("t")["key"].to_list() == ["a"]


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_bits(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4:-4] = bytes(byte ^ 0xFF for byte in data[4:-4])
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [cut_in_half, flip_bits, Path.unlink], ids=["cut", "flipped", "gone"])
@pytest.mark.parametrize("pattern", ["*.parquet", "_delta_log/*.json"])
def test_a_damaged_table_is_named_and_nothing_is_added_to_it(
    tmp_path: Path, damage: Callable[[Path], None], pattern: str
) -> None:
    store = DeltaStore(tmp_path)
    store.insert("t", rows("a"), by=("key",), note={})
    store.insert("t", rows("b"), by=("key",), note={})
    victim = min((tmp_path / "t").glob(pattern), key=lambda file: file.name)
    damage(victim)

    with pytest.raises(DataError) as refused:
        store.read("t")

    assert str(tmp_path / "t") in refused.value.problem
    assert "\n" not in refused.value.problem


def test_a_file_that_lost_its_middle_is_damage_and_nothing_else_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = DeltaStore(tmp_path)
    store.insert("t", rows(*(f"{n:0999}" for n in range(99))), by=("key",), note={})
    (file,) = (tmp_path / "t").glob("*.parquet")
    data = file.read_bytes()
    file.write_bytes(data[:100] + data[-2000:])

    with pytest.raises(DataError, match=rf"t is damaged: {file.name} has 2100 bytes, not {len(data)}"):
        store.read("t")

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("description", "found", "remedy"),
    [
        (f"demlopment format {FORMAT + 1}", str(FORMAT + 1), "Use a newer release."),
        (None, "1", "Use the release that wrote it"),
        ("somebody else's", "somebody else's", "Use the release that wrote it"),
    ],
)
@pytest.mark.parametrize("mode", ["read", "insert", "append", "extend", "version"])
def test_a_table_of_another_release_is_refused_and_left_as_it_was(
    tmp_path: Path, description: str | None, found: str, remedy: str, mode: str
) -> None:
    write_deltalake(tmp_path / "t", rows("a"), description=description)
    store = DeltaStore(tmp_path)
    verbs: dict[str, Callable[[], object]] = {
        "read": lambda: store.read("t"),
        "insert": lambda: store.insert("t", rows("b"), by=("key",), note={}),
        "append": lambda: store.append("t", rows("b"), batch="one"),
        "extend": lambda: store.extend("t", [rows("b")], since=0, note={}),
        "version": lambda: store.version("t"),
    }

    with pytest.raises(DataError) as refused:
        verbs[mode]()

    assert (
        refused.value.problem == f"The table {tmp_path}/t has the format {found}, and this release reads {OLDEST} to {FORMAT}."
    )
    assert refused.value.remedy.startswith(remedy)
    assert DeltaTable(tmp_path / "t").version() == 0


def test_a_table_of_a_newer_delta_is_said_to_be_that(tmp_path: Path) -> None:
    DeltaStore(tmp_path).insert("t", rows("a"), by=("key",), note={})
    log = tmp_path / "t" / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace('"minReaderVersion":1', '"minReaderVersion":99'))

    with pytest.raises(DataError, match=r"is of a newer release: .*99") as refused:
        DeltaStore(tmp_path).read("t")

    assert refused.value.remedy == "Use a newer release."


def test_a_table_of_an_earlier_release_is_read_and_grows_and_is_then_refused_by_that_release(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", rows("a"), description=f"demlopment format {OLDEST}")
    store = DeltaStore(tmp_path)

    read = store.read("t")
    same = store.extend("t", [rows("b")], since=0, note={})
    unchanged = DeltaTable(tmp_path / "t").metadata().description
    tries = [store.extend("t", [wider("c")], since=store.version("t"), note={}) for _ in range(2)]

    assert_frame_equal(read, rows("a"))
    assert (same, unchanged, tries) == (True, f"demlopment format {OLDEST}", [False, True])
    assert DeltaTable(tmp_path / "t").metadata().description == f"demlopment format {FORMAT}"
    assert sorted(store.read("t")["key"]) == ["a", "b", "c"]


def test_a_table_of_an_earlier_release_takes_rows_with_a_column_more_that_are_compared_with_its_own(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", rows("a"), description=f"demlopment format {OLDEST}")
    store = DeltaStore(tmp_path)

    added = [store.insert("t", wider(name), by=("key",), note={}) for name in "abb"]

    assert added == [0, 1, 0]
    assert sorted(store.read("t")["key"]) == ["a", "b"]
    assert store.read("t").columns == wider("b").columns


def test_writers_that_widen_a_table_at_once_lose_no_row(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", rows("a"), description=f"demlopment format {OLDEST}")
    start_together = threading.Barrier(4)

    def write(name: str) -> None:
        store = DeltaStore(tmp_path)
        start_together.wait()
        while not store.extend("t", [wider(name)], since=store.version("t"), note={}):
            pass

    threads = [threading.Thread(target=write, args=(name,)) for name in "bcde"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(DeltaStore(tmp_path).read("t")["key"]) == list("abcde")


def test_old_versions_are_never_forgotten_by_delta_itself(tmp_path: Path) -> None:
    DeltaStore(tmp_path).insert("t", rows("a"), by=("key",), note={})

    assert DeltaTable(tmp_path / "t").metadata().configuration["delta.enableExpiredLogCleanup"] == "false"


def test_files_of_a_first_write_that_never_finished_are_no_table(tmp_path: Path) -> None:
    store = DeltaStore(tmp_path)
    store.insert("t", rows("a"), by=("key",), note={})
    for commit in (tmp_path / "t" / "_delta_log").iterdir():
        commit.unlink()

    version, added = store.version("t"), store.insert("t", rows("b"), by=("key",), note={})

    assert (version, added) == (None, 1)
    assert store.read("t")["key"].to_list() == ["b"]


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file, where a folder is needed")

    with pytest.raises(HomeError, match=r"lake/t cannot be written"):
        DeltaStore(tmp_path / "lake").insert("t", rows("a"), by=("key",), note={})


@pytest.mark.parametrize("name", ["my home", "Zürich", "a#b", "a?b"])
def test_a_folder_with_any_usual_name_is_read_back(tmp_path: Path, name: str) -> None:
    store = DeltaStore(tmp_path / name)
    store.insert("t", rows("a"), by=("key",), note={})

    again = store.insert("t", rows("a"), by=("key",), note={})

    assert again == 0
    assert len(store.read("t")) == len(rows("a"))
    assert (tmp_path / name / "t" / "_delta_log").is_dir()


@pytest.mark.parametrize("name", ["a%41", "f[a]", "a\\b", "a\nb"])
def test_a_folder_that_delta_cannot_name_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="which Delta tables cannot have"):
        DeltaStore(tmp_path / name)

    assert list(tmp_path.iterdir()) == []
