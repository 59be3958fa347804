import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment.errors import DataError, HomeError, NotReadyError
from demlopment.records import Arm, Feedback, Prediction
from demlopment.serving import join, read
from demlopment.serving.journal import TABLES, Journal

TIMES = st.floats(0, 4e9)
ARMS: Sequence[Arm] = ("control", "treatment", "direct")
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
FEEDBACK = st.builds(Feedback, IDS, TIMES, st.sampled_from("0123456789"))


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    floats = st.floats(width=32, allow_nan=False)
    return Prediction(
        request_id=draw(IDS),
        at=draw(TIMES),
        model=draw(st.text(max_size=20)),
        version=draw(st.text(max_size=20)),
        arm=draw(st.sampled_from(ARMS)),
        unit=draw(st.text(max_size=20)),
        image=np.frombuffer(draw(st.binary(min_size=784, max_size=784)), np.uint8).reshape(28, 28),
        label=draw(st.text(max_size=5)),
        probabilities=np.array(draw(st.lists(floats, min_size=1, max_size=10)), np.float32),
        embedding=np.array(draw(st.lists(floats, max_size=16)), np.float32),
        latency_ms=draw(st.floats(0, 1e6)),
    )


def same(one: Prediction, other: Prediction) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)


def prediction(request_id: str, at: float = 1.0) -> Prediction:
    image, row = np.zeros((28, 28), np.uint8), np.array([1], np.float32)
    return Prediction(request_id, at, "digits", "1.0", "direct", "ada", image, "7", row, row, 0.5)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(predictions(), max_size=5), labels=st.lists(FEEDBACK, max_size=5), since=TIMES)
def test_what_was_recorded_comes_back_bit_for_bit_in_order_of_time(
    rows: list[Prediction], labels: list[Feedback], since: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, other = Journal(Path(folder), name="one"), Journal(Path(folder), name="other")
        one.record(rows[::2], labels[1::2])
        other.record(rows[1::2], labels[::2])
        found, truths = read(Path(folder), since)
        one.close()
        other.close()
        again, _ = read(Path(folder), since)

    wanted = sorted((row for row in rows if row.at >= since), key=lambda row: row.at)
    assert [row.at for row in found] == [row.at for row in wanted]
    assert all(any(same(row, match) for match in found) for row in wanted)
    assert sorted(truths, key=repr) == sorted((label for label in labels if label.at >= since), key=repr)
    assert [label.at for label in truths] == sorted(label.at for label in truths)
    assert len(again) == len(found)


@given(known=st.sets(IDS, max_size=6), labels=st.lists(FEEDBACK, max_size=12))
def test_the_last_label_by_time_wins_and_strangers_are_counted(known: set[str], labels: list[Feedback]) -> None:
    joined = join([prediction(each) for each in known], labels)

    slow = {each: [label for label in labels if label.request_id == each] for each in known}
    assert dict(joined.labels) == {
        each: max(enumerate(found), key=lambda pair: (pair[1].at, pair[0]))[1].label for each, found in slow.items() if found
    }
    assert joined.unknown == sum(label.request_id not in known for label in labels)


def test_a_label_for_an_id_that_was_used_twice_belongs_to_neither_picture() -> None:
    joined = join([prediction("trace-1"), prediction("trace-1"), prediction("b")], [Feedback("trace-1", 1.0, "3")])

    assert dict(joined.labels) == {}
    assert joined.unknown == 1


def test_a_killed_writer_leaves_every_acknowledged_row(tmp_path: Path) -> None:
    script = """
import sys; from pathlib import Path
from tests.serving.test_journal import prediction
from demlopment.serving.journal import TABLES, Journal
journal = Journal(Path(sys.argv[1]), name="doomed")
for number in range(10_000):
    journal.record([prediction(f"r{number}")])
    print(number, flush=True)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]

    found = {row.request_id for row in read(tmp_path)[0]}

    assert len(acknowledged) >= 50
    assert {f"r{number}" for number in acknowledged} <= found
    assert len(found) <= len(acknowledged) + 1, "at most the row that was being acknowledged is more"


def test_a_file_whose_process_died_before_its_first_row_is_empty_not_damaged(tmp_path: Path) -> None:
    (tmp_path / "1-early.sqlite").touch()

    found = read(tmp_path)

    assert found == ([], [])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "1-bad.sqlite").write_bytes(b"this is no database, however long it is " * 100)

    with pytest.raises(DataError, match=r"1-bad\.sqlite"):
        read(tmp_path)


def test_a_full_disk_refuses_whole_batches_and_says_so_until_there_is_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path, name="full")
    journal.record([prediction("before")])
    journal._file.execute("PRAGMA max_page_count = 4")

    with pytest.raises(NotReadyError, match="full"):
        journal.record([prediction(f"r{number}") for number in range(100)])
    failing = journal.failing
    journal._file.execute("PRAGMA max_page_count = 100000")
    journal.record([prediction("after")])
    journal.close()

    assert failing
    assert not journal.failing
    assert [row.request_id for row in read(tmp_path)[0]] == ["before", "after"]


def test_a_folder_that_cannot_hold_a_journal_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")

    with pytest.raises(HomeError, match="journal"):
        Journal(tmp_path / "journal", name="x")


def test_rows_written_by_another_connection_are_seen_while_it_is_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path, name=str(os.getpid()))
    journal.record([prediction("a")], [Feedback("a", 2.0, "3")])

    rows, labels = read(tmp_path)

    assert (rows[0].request_id, labels) == ("a", [Feedback("a", 2.0, "3")])
    journal.close()
    with sqlite3.connect(next(tmp_path.glob("*.sqlite"))) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()


def test_a_row_that_is_no_picture_is_a_damaged_journal(tmp_path: Path) -> None:
    file = sqlite3.connect(tmp_path / "1-9000.sqlite")
    file.executescript(TABLES)
    file.execute("INSERT INTO predictions VALUES ('a', 1.0, 'digits', '1.0', 'direct', 'u', x'00', '1', x'', x'', 1.0)")
    file.commit()
    file.close()

    with pytest.raises(DataError, match=r"1-9000\.sqlite is damaged"):
        read(tmp_path)
