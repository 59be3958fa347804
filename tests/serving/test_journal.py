import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment.errors import DataError, HomeError, NotReadyError
from demlopment.records import Arm, Feedback, Gap, Prediction
from demlopment.serving import join, layout, read, segments
from demlopment.serving import journal as journals
from demlopment.serving.journal import Journal, keeps_image
from demlopment.serving.layout import Entry
from demlopment.serving.recorded import forget, found_in

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
        image=draw(st.none() | st.binary(min_size=784, max_size=784).map(picture)),
        label=draw(st.text(max_size=5)),
        probabilities=np.array(draw(st.lists(floats, min_size=1, max_size=10)), np.float32),
        embedding=np.array(draw(st.lists(floats, max_size=16)), np.float32),
        latency_ms=draw(st.floats(0, 1e6)),
        digest=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
    )


def picture(pixels: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(pixels, np.uint8).reshape(28, 28)


def same(one: Prediction, other: Prediction) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one._fields)


@contextmanager
def full_disk(journal: Journal) -> Iterator[None]:
    """What is written to the journal's file meets a disk without room."""
    assert journal._segment is not None
    file = journal._segment._file
    kept, full = os.dup(file), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file, inheritable=False)
    os.close(full)
    try:
        yield
    finally:
        if journal._segment is not None:
            os.dup2(kept, file, inheritable=False)
        os.close(kept)


def prediction(request_id: str, at: float = 1.0) -> Prediction:
    image, row = np.zeros((28, 28), np.uint8), np.array([1], np.float32)
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    return Prediction(request_id, at, "digits", "1.0", "direct", "ada", image, "7", row, row, 0.5, digest)


@settings(max_examples=40)
@given(
    rows=st.lists(predictions(), max_size=5, unique_by=lambda row: (row[:2], row.version, row.digest)),
    labels=st.lists(FEEDBACK, max_size=5),
    since=TIMES,
)
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


def test_a_segment_that_was_copied_adds_no_answer_and_takes_no_label(tmp_path: Path) -> None:
    journal = Journal(tmp_path, name="one")
    journal.record([prediction("a"), prediction("b"), prediction("b", 2.0)], [Feedback("a", 3.0, "3"), Feedback("b", 3.0, "4")])
    journal.close()
    (segment,) = segments.every(tmp_path)
    (tmp_path / f"copy{segment.suffix}").write_bytes(segment.read_bytes())

    found, truths = read(tmp_path)

    assert [(each.request_id, each.at) for each in found] == [("a", 1.0), ("b", 1.0), ("b", 2.0)]
    assert dict(join(found, truths).labels) == {"a": "3"}
    assert found_in(tmp_path).repeated == 3


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
from demlopment.serving.journal import Journal
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


@pytest.mark.parametrize("start", [b"", layout.FIRST_LINE[:5], layout.FIRST_LINE])
def test_a_file_whose_process_died_before_its_first_row_is_empty_not_damaged(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "1-early.journal").write_bytes(start)

    found = read(tmp_path)

    assert found == ([], [])


def test_a_file_that_goes_while_the_folder_is_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1-gone.journal").symlink_to(tmp_path / "moved into the lake")  # listed, and not there any more
    journal = Journal(tmp_path, name="x")
    journal.record([prediction("a")])

    found = found_in(tmp_path)
    journal.close()

    assert [row.request_id for row in found.predictions] == ["a"]
    assert "1-gone" not in found.segments, "the lake is asked for it"


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "1-bad.journal").write_bytes(b"this is no journal, however long it is " * 100)

    with pytest.raises(DataError, match=r"1-bad\.journal is damaged: it does not begin"):
        read(tmp_path)


ENTRIES = [Entry([prediction("a"), prediction("b")]), Entry([prediction("c")], [Feedback("a", 2.0, "3")])]


@given(st.integers(0, 5000))
def test_a_file_that_was_cut_off_anywhere_gives_the_whole_entries_before_that(bytes_left: int) -> None:
    parts = [layout.FIRST_LINE, *map(layout.packed, ENTRIES)]
    content = b"".join(parts)[:bytes_left]

    found = list(layout.entries(content))

    ends = [sum(map(len, parts[: number + 1])) for number in range(len(parts))][1:]
    whole = sum(end <= len(content) for end in ends)
    assert [len(entry.predictions) for entry in found] == [2, 1][:whole]


@given(st.data())
def test_a_byte_that_is_not_what_was_written_is_noticed_unless_it_is_in_the_last_body(data: st.DataObject) -> None:
    first, last = map(layout.packed, ENTRIES)
    content = bytearray(layout.FIRST_LINE + first + last)
    place = data.draw(st.integers(0, len(layout.FIRST_LINE + first) + layout.HEAD_BYTES - 1))
    content[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(ValueError, match=r"checksum|does not begin|form"):
        list(layout.entries(bytes(content)))


@pytest.mark.parametrize("written", [0, 5, 12, 100])
def test_zeros_behind_the_last_entry_are_what_a_power_cut_leaves(tmp_path: Path, written: int) -> None:
    next_one = layout.packed(ENTRIES[1])[:written]
    (tmp_path / "1-x.journal").write_bytes(layout.FIRST_LINE + layout.packed(ENTRIES[0]) + next_one + bytes(10_000))

    rows, _ = read(tmp_path)

    assert [row.request_id for row in rows] == ["a", "b"]


def test_a_file_of_an_earlier_release_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1-9000.sqlite").write_bytes(b"SQLite format 3")

    with pytest.raises(DataError, match=r"earlier release: .*1-9000\.sqlite"):
        read(tmp_path)


def test_a_full_disk_refuses_whole_batches_and_says_so_until_there_is_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path, name="full")
    journal.record([prediction("before")])

    with full_disk(journal):
        with pytest.raises(NotReadyError, match="cannot be written: No space left on device"):
            journal.record([prediction(f"r{number}") for number in range(100)])
        journal.probe()
        failing = journal.failing
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


def test_a_row_that_is_no_picture_is_a_damaged_journal(tmp_path: Path) -> None:
    flat = prediction("a")._replace(image=np.zeros(5, np.uint8))
    (tmp_path / "1-9000.journal").write_bytes(layout.FIRST_LINE + layout.packed(Entry([flat])))

    with pytest.raises(DataError, match=r"1-9000\.journal is damaged"):
        read(tmp_path)


@pytest.mark.parametrize("table", ["predictions", "feedback"])
def test_what_is_forgotten_is_in_no_byte_of_a_file_and_all_else_stays(
    tmp_path: Path, table: Literal["predictions", "feedback"]
) -> None:
    journal = Journal(tmp_path, name="x", full="serve")
    with full_disk(journal):
        journal.record([prediction("missed", at=7)])
    journal.record([prediction("kept"), prediction("secret-1")], [Feedback("secret-1", 2.0, "3")])
    journal.record([prediction("secret-2")], [Feedback("kept", 2.0, "4")])
    (path,) = segments.every(tmp_path)
    written = forget(path, table, ["secret-1", "secret-2"])
    journal.close()

    removed = forget(path, table, ["secret-1", "secret-2", "unknown"])

    found = found_in(tmp_path)
    rows, labels = [row.request_id for row in found.predictions], [label.request_id for label in found.feedback]
    assert written is None, "it is still written"
    assert removed == (2 if table == "predictions" else 1)
    assert found.gaps == [Gap(7, 7, 1)]
    assert rows == (["kept"] if table == "predictions" else ["kept", "secret-1", "secret-2"])
    assert labels == (["secret-1", "kept"] if table == "predictions" else ["kept"])
    assert path.read_bytes().count(b"secret") == (1 if table == "predictions" else 2)
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_answered_is_for_its_owner_alone_to_read_before_and_after_something_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path, name="x")
    journal.record([prediction("kept"), prediction("secret")])
    (path,) = segments.every(tmp_path)
    journal.close()
    before = path.stat().st_mode & 0o777

    forget(path, "predictions", ["secret"])

    assert (before, path.stat().st_mode & 0o777) == (0o600, 0o600)


def test_a_file_of_a_later_form_is_refused_and_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "1-9000.journal").write_bytes(b"demlopment journal 2\nwith moods")

    with pytest.raises(DataError, match=r"1-9000\.journal has a form that this version does not know"):
        read(tmp_path)


@given(share=st.floats(0, 1), other=st.floats(0, 1), request_id=IDS)
def test_a_larger_share_keeps_every_image_that_a_smaller_one_keeps(share: float, other: float, request_id: str) -> None:
    smaller, larger = sorted((share, other))

    kept = keeps_image(request_id, smaller), keeps_image(request_id, larger)

    assert kept != (True, False)
    assert (keeps_image(request_id, 0), keeps_image(request_id, 1)) == (False, True)


def test_images_are_kept_by_the_stated_share_and_all_digests_stay(tmp_path: Path) -> None:
    journal = Journal(tmp_path, name="sampling", images=0.3)
    rows = [prediction(f"r{number}") for number in range(2000)]
    journal.record(rows)
    journal.close()

    found, _ = read(tmp_path)

    kept = {row.request_id for row in found if row.image is not None}
    assert kept == {row.request_id for row in rows if keeps_image(row.request_id, 0.3)}
    # Six standard deviations of a binomial share around 0.3 of 2,000: the ids are fixed, so this is a golden value too.
    assert abs(len(kept) - 600) < 6 * (2000 * 0.3 * 0.7) ** 0.5
    assert {row.digest for row in found} == {rows[0].digest}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.mark.parametrize("limit", [{"segment_bytes": 1}, {"segment_seconds": 60}])
def test_a_file_that_is_large_or_old_is_closed_and_nothing_is_missing_meanwhile(
    tmp_path: Path, limit: dict[str, float]
) -> None:
    clock = Clock()
    journal = Journal(tmp_path, name="x", now=clock, **limit)  # type: ignore[arg-type]  # mypy takes every keyword for a float
    for number in range(4):
        journal.record([prediction(f"r{number}", at=number)])
        clock.at += 60
        assert [row.request_id for row in read(tmp_path)[0]] == [f"r{n}" for n in range(number + 1)]
    being_written = [path for path in segments.every(tmp_path) if not segments.complete(path)]
    journal.close()

    assert len(segments.every(tmp_path)) == 4
    assert segments.every(tmp_path)[-1] in being_written
    assert all(segments.complete(path) for path in segments.every(tmp_path))
    assert {path.suffix for path in tmp_path.iterdir()} == {".journal"}, "closed files are plain files without company"


def test_a_file_without_a_row_is_neither_closed_nor_left_behind(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path, name="x", segment_seconds=1, now=clock)
    (before,) = segments.every(tmp_path)
    clock.at += 100

    journal.tend()
    after = segments.every(tmp_path)
    journal.close()

    assert after == [before]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_never_begun_to_the_end_is_no_segment_and_goes(tmp_path: Path) -> None:
    journal = Journal(tmp_path, name="x")
    journal.record([prediction("a")])
    for name in ("1-dead.begun", "2-young.begun", "3-gone.partial", "4-gone.stored"):
        (tmp_path / name).touch()
    os.utime(tmp_path / "1-dead.begun", (0, 0))

    listed = segments.every(tmp_path)
    segments.tidy(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    journal.close()

    assert len(listed) == 1
    assert left == {listed[0].name, "2-young.begun"}


def test_a_file_that_somebody_removes_is_said_and_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    journal = Journal(tmp_path / "journal", name="x", now=clock)
    journal.record([prediction("lost")])
    shutil.rmtree(tmp_path / "journal")
    clock.at += journals.LOOK_SECONDS

    journal.record([prediction("kept")])
    journal.close()

    assert "removed while it was written" in capsys.readouterr().err
    assert [row.request_id for row in read(tmp_path / "journal")[0]] == ["kept"]


def test_a_journal_that_serves_lets_answers_pass_and_records_the_gap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    journal = Journal(tmp_path, name="x", full="serve", now=clock)
    first = journal.record([prediction("before", at=1)])

    with full_disk(journal):
        during = [journal.record([prediction(f"{at}-{n}", at=at) for n in range(100)]) for at in (2, 3, 4)]
        with pytest.raises(NotReadyError, match="cannot be written"):
            journal.record(feedback=[Feedback("before", 3.0, "1" * 100_000)])
        failing = journal.failing
    last = journal.record([prediction("after", at=5)])
    journal.close()

    found = found_in(tmp_path)
    assert (first, during, failing, last) == (True, [False] * 3, True, True)
    assert not journal.failing
    assert [row.request_id for row in found.predictions] == ["before", "after"]
    assert found.gaps == [Gap(2, 4, 300)]
    assert capsys.readouterr().err.count("answers leave without a record, 100 so far") == 1, "once a minute is loud enough"


@pytest.mark.parametrize("closed", [False, True])
def test_a_gap_is_recorded_without_further_traffic(tmp_path: Path, *, closed: bool) -> None:
    journal = Journal(tmp_path, name="x", full="serve")
    with full_disk(journal):
        journal.record([prediction(f"r{n}", at=2) for n in range(100)])

    if not closed:
        journal.tend()
        assert not journal.failing
        assert found_in(tmp_path).gaps == [Gap(2, 2, 100)]
    journal.close()

    assert found_in(tmp_path).gaps == [Gap(2, 2, 100)]


def test_a_gap_that_cannot_be_recorded_is_said_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path, name="x", full="serve")
    with full_disk(journal):
        journal.record([prediction("a")])
        capsys.readouterr()

        journal.close()

    assert "1 answers were not recorded, and neither can this be" in capsys.readouterr().err


@pytest.mark.parametrize("full", ["refuse", "serve"])
def test_beyond_its_limit_a_journal_gives_up_what_is_in_the_lake_and_then_is_full(
    tmp_path: Path, full: Literal["refuse", "serve"]
) -> None:
    clock = Clock()
    journal = Journal(tmp_path, name="x", full=full, segment_bytes=1, max_bytes=1_000_000, now=clock)

    def fill(*numbers: int) -> None:
        for number in numbers:
            journal.record([prediction(f"{number}-{n}", at=number) for n in range(280)])  # about 270 kB
            clock.at += journals.LOOK_SECONDS
            for thread in journal._closing:
                thread.join()

    fill(0, 1, 2)
    segments.mark_stored(segments.every(tmp_path)[0], stored=True)
    fill(3, 4)
    if full == "serve":
        assert not journal.record([prediction("over", at=9)])
    else:
        with pytest.raises(NotReadyError, match=r"limit of 1 MB.*demlopment data compact"):
            journal.record([prediction("over")])
    failing = journal.failing
    for path in segments.every(tmp_path)[:2]:
        segments.mark_stored(path, stored=True)
    clock.at += journals.LOOK_SECONDS
    again = journal.record([prediction("again", at=10)])
    journal.close()

    found = found_in(tmp_path)
    assert (failing, again, journal.failing) == (True, True, False)
    assert {row.request_id.split("-")[0] for row in found.predictions} >= {"4", "again"}
    assert "0-0" not in {row.request_id for row in found.predictions}, "it is in the lake"
    assert found.gaps == ([Gap(9, 9, 1)] if full == "serve" else [])


@pytest.mark.parametrize("full", ["refuse", "serve"])
def test_a_file_that_cannot_be_removed_for_room_is_a_full_journal_until_it_is_gone(
    tmp_path: Path, full: Literal["refuse", "serve"]
) -> None:
    clock = Clock()
    journal = Journal(tmp_path, name="x", full=full, max_bytes=4096, now=clock)
    stuck = tmp_path / "1-stuck.journal"  # as on a disk that has become read-only
    (stuck / "in it").mkdir(parents=True)
    (tmp_path / "1-stuck.stored").write_bytes(bytes(5000))

    journal.tend()
    if full == "serve":
        assert not journal.record([prediction("during", at=2)])
    else:
        with pytest.raises(NotReadyError, match="reached its limit"):
            journal.record([prediction("during")])
    journal.tend()
    failing = journal.failing
    shutil.rmtree(stuck)
    segments.tidy(tmp_path)
    clock.at += journals.LOOK_SECONDS
    after = journal.record([prediction("after", at=3)])
    journal.close()

    found = found_in(tmp_path)
    assert (failing, after) == (True, True)
    assert [row.request_id for row in found.predictions] == ["after"]
    assert found.gaps == ([Gap(2, 2, 1)] if full == "serve" else [])


def test_a_folder_that_cannot_be_looked_at_refuses_every_request_and_stops_no_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", name="x", max_bytes=1_000_000)
    journal.record([prediction("before")])
    journal._looked = 0.0
    (tmp_path / "journal").rename(tmp_path / "aside")
    (tmp_path / "journal").symlink_to("journal")  # to itself: whoever follows it gets an error

    journal.tend()
    for _ in range(2):
        with pytest.raises(NotReadyError, match="The journal"):
            journal.record([prediction("during")])
    (tmp_path / "journal").unlink()
    (tmp_path / "aside").rename(tmp_path / "journal")
    journal.record([prediction("after")])
    journal.close()

    assert [row.request_id for row in read(tmp_path / "journal")[0]] == ["before", "after"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mount needs root, here or in a container with CAP_SYS_ADMIN: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_disk_without_room_for_a_file_stops_no_journal_that_serves(disk: Path) -> None:
    (disk / "fill").touch()
    with suppress(OSError):
        (disk / "fill").write_bytes(bytes(2_000_000))

    with pytest.raises(NotReadyError, match="cannot be started"):
        Journal(disk / "journal", name="x")
    journal = Journal(disk / "journal", name="x", full="serve")
    during = journal.record([prediction("during", at=2)])
    (disk / "fill").unlink()
    after = journal.record([prediction("after", at=3)])
    journal.close()

    found = found_in(disk / "journal")
    assert (during, after) == (False, True)
    assert [row.request_id for row in found.predictions] == ["after"]
    assert found.gaps == [Gap(2, 2, 1)]
    assert len(list((disk / "journal").iterdir())) == 1, "a file that could not be begun leaves nothing"


def test_a_disk_that_fills_while_files_change_loses_no_acknowledged_row(disk: Path) -> None:
    clock = Clock()
    journal = Journal(disk / "journal", name="x", segment_bytes=1, now=clock)
    acknowledged = []
    with pytest.raises(NotReadyError):  # noqa: PT012  whichever record it is that meets the end of the disk
        for number in range(1000):
            journal.record([prediction(f"r{number}")])
            acknowledged.append(f"r{number}")
            clock.at += journals.LOOK_SECONDS
    read(disk / "journal")
    journal.close()

    assert len(acknowledged) > 5
    assert {row.request_id for row in read(disk / "journal")[0]} == set(acknowledged)
