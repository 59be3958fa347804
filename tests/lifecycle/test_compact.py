"""The compactor moves each acknowledged row into the lake once, whatever is killed and whoever reads meanwhile."""

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demlopment.data import Lake
from demlopment.data.answers import FEEDBACK, PREDICTIONS, Answers
from demlopment.errors import DataError, HomeError
from demlopment.home import Home
from demlopment.lifecycle.collect import collect_returned
from demlopment.lifecycle.compact import DAY_SECONDS, compact, everything
from demlopment.lifecycle.observe import journalled, samples
from demlopment.records import Feedback, Gap, Prediction
from demlopment.serving import join, segments
from demlopment.serving.journal import LOOK_SECONDS, Journal
from demlopment.serving.layout import FIRST_LINE
from demlopment.settings import Data, Endpoint
from tests.fakes import MemoryStore
from tests.serving.test_journal import Clock, prediction, predictions, same
from tests.test_cli import run

RULES = Endpoint()
ROOT = Path(__file__).parents[2]


class Killed(BaseException):
    """What a test throws where a process would have died."""


def dying_after(steps: int) -> Callable[[str], None]:
    """A hook that dies at its n-th step."""
    done: list[str] = []

    def step(what: str) -> None:
        done.append(what)
        if len(done) == steps:
            raise Killed(what)

    return step


class MortalStore(MemoryStore):
    """Dies at one of its appends: before it is committed, or just after."""

    def __init__(self) -> None:
        super().__init__()
        self.appends = 0
        self.dies_at, self.committed = 0, False

    def append(self, table: str, frame: pl.DataFrame, *, batch: str) -> bool:
        self.appends += 1
        if self.appends == self.dies_at and not self.committed:
            raise Killed
        added = super().append(table, frame, batch=batch)
        if self.appends == self.dies_at:
            raise Killed
        return added


def closed(home: Home, *names: str) -> None:
    """A journal with one complete segment for each name, which holds a prediction, its label and a gap."""
    for name in names:
        journal = Journal(home.endpoint / "journal", name="test", full="serve")
        journal._gap = Gap(1, 2, 3)
        journal.record([prediction(name, at=5)], [Feedback(name, 6, "3")])
        journal.close()


def ids(home: Home, answers: Answers) -> list[str]:
    return [row.request_id for row in everything(home, answers).predictions]


@given(rows=st.lists(predictions(), max_size=4))
@settings(max_examples=20)
def test_rows_come_back_from_the_lake_bit_for_bit_as_from_the_journal(rows: list[Prediction]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        answers = Answers(home.lake, MemoryStore)
        journal = Journal(home.endpoint / "journal", name="x")
        journal.record(rows, [Feedback("a", 1.5, "7")])
        journal.close()
        before = everything(home, answers)
        compact(home, answers, RULES)
        shutil.rmtree(home.endpoint)

        after = everything(home, answers)

    assert len(after.predictions) == len(rows)
    assert all(same(one, other) for one, other in zip(before.predictions, after.predictions, strict=True))
    assert (after.feedback, after.gaps) == (before.feedback, before.gaps)


@pytest.mark.parametrize("bit", range(0, 32, 5))
def test_a_length_that_is_not_what_was_written_is_damage_and_no_row_goes(tmp_path: Path, bit: int) -> None:
    home, answers = Home(tmp_path), Answers(tmp_path / "lake", MemoryStore)
    closed(home, "a", "b")
    path = segments.every(home.endpoint / "journal")[0]
    content = bytearray(path.read_bytes())
    content[len(FIRST_LINE) + bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"damaged: the entry at byte \d+ does not have its checksum"):
        compact(home, answers, RULES)

    assert path.read_bytes() == content
    assert [row.request_id for row in answers.predictions(0)] == ["b"]


def test_what_is_complete_is_moved_once_and_what_is_written_waits(tmp_path: Path) -> None:
    home, answers = Home(tmp_path), Answers(tmp_path / "lake")
    closed(home, "a", "b")
    journal = Journal(home.endpoint / "journal", name="x")
    journal.record([prediction("c", at=9)])

    first, second = compact(home, answers, RULES), compact(home, answers, RULES)
    meanwhile = ids(home, answers)
    journal.close()
    third = compact(home, answers, RULES)

    assert (first.moved, first.predictions, first.labels, first.removed, first.waiting) == (2, 2, 2, 0, 1)
    assert (second.moved, second.waiting) == (0, 1)
    assert (third.moved, third.predictions, third.waiting) == (1, 1, 0)
    assert meanwhile == ids(home, answers) == ["a", "b", "c"]
    assert sorted(pl.read_delta(str(tmp_path / "lake" / PREDICTIONS))["request_id"]) == ["a", "b", "c"]
    assert everything(home, answers).gaps == [Gap(1, 2, 3)] * 2


def test_a_file_with_nothing_but_labels_is_moved_once_too(tmp_path: Path) -> None:
    home, answers = Home(tmp_path), Answers("memory", MemoryStore)
    journal = Journal(home.endpoint / "journal", name="x")
    journal.record(feedback=[Feedback("late", 6, "3")])
    journal.close()

    moved = [compact(home, answers, RULES).moved for _ in range(2)]

    assert moved == [1, 0]
    assert everything(home, answers).feedback == [Feedback("late", 6, "3")]


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("append", range(1, 7))
def test_a_compactor_that_dies_at_any_commit_is_simply_repeated(tmp_path: Path, append: int, *, committed: bool) -> None:
    store = MortalStore()
    home, answers = Home(tmp_path), Answers("memory", lambda _: store)
    closed(home, "a", "b")
    store.dies_at, store.committed = append, committed

    with pytest.raises(Killed):
        compact(home, answers, RULES)
    meanwhile = everything(home, answers)
    compact(home, answers, RULES)

    shutil.rmtree(home.endpoint)
    for found in (meanwhile, everything(home, answers)):
        assert [row.request_id for row in found.predictions] == ["a", "b"]
        assert found.feedback == [Feedback("a", 6, "3"), Feedback("b", 6, "3")]
        assert found.gaps == [Gap(1, 2, 3)] * 2


@pytest.mark.parametrize("step", range(1, 9))
def test_a_compactor_that_dies_between_its_steps_is_simply_repeated(tmp_path: Path, step: int) -> None:
    home, answers = Home(tmp_path), Answers("memory", MemoryStore)
    closed(home, "a", "b")
    later = time.time() + 31 * DAY_SECONDS

    with pytest.raises(Killed):
        compact(home, answers, RULES, now=lambda: later, step=dying_after(step))
    meanwhile = ids(home, answers)
    compact(home, answers, RULES, now=lambda: later)

    assert meanwhile == ids(home, answers) == ["a", "b"]
    assert not list((home.endpoint / "journal").iterdir())


def test_files_stay_for_their_days_once_they_are_in_the_lake(tmp_path: Path) -> None:
    home, answers = Home(tmp_path), Answers("memory", MemoryStore)
    closed(home, "a")
    compact(home, answers, RULES)

    early = compact(home, answers, RULES, now=lambda: time.time() + 29 * DAY_SECONDS).removed
    late = compact(home, answers, RULES, now=lambda: time.time() + 31 * DAY_SECONDS).removed

    assert (early, late) == (0, 1)
    assert ids(home, answers) == ["a"]


def test_beyond_the_limit_the_oldest_files_go_first(tmp_path: Path) -> None:
    home, answers = Home(tmp_path), Answers("memory", MemoryStore)
    journal = Journal(home.endpoint / "journal", name="x", segment_bytes=1, now=(clock := Clock()))
    for name in "abc":
        journal.record([prediction(f"{name}-{n}", at=ord(name)) for n in range(400)])  # about 450 kB
        clock.at += LOOK_SECONDS
    journal.close()
    (oldest, *others) = segments.every(home.endpoint / "journal")

    done = compact(home, answers, Endpoint(journal_max_mb=1))

    assert done.removed == 1
    assert not oldest.exists()
    assert segments.every(home.endpoint / "journal") == others
    assert len(ids(home, answers)) == 1200


def test_a_file_goes_by_what_the_lake_holds_and_not_by_its_mark(tmp_path: Path) -> None:
    home = Home(tmp_path)
    closed(home, "a")
    compact(home, Answers("lost", MemoryStore), RULES)
    answers = Answers("new", MemoryStore)

    again = compact(home, answers, RULES, now=lambda: time.time() + 31 * DAY_SECONDS)

    assert (again.moved, again.removed) == (1, 1)
    assert ids(home, answers) == ["a"]


def test_a_damaged_file_is_named_when_all_others_are_in_the_lake(tmp_path: Path) -> None:
    home, answers = Home(tmp_path), Answers("memory", MemoryStore)
    closed(home, "a")
    bad = home.endpoint / "journal" / "1-bad.journal"
    bad.write_bytes(b"this is no database, however long it is " * 100)

    with pytest.raises(DataError, match=r"1-bad\.journal is damaged"):
        compact(home, answers, RULES)

    assert [row.request_id for row in answers.predictions(since=0)] == ["a"]
    assert bad.exists()


def test_a_second_compactor_leaves_with_a_clear_error(tmp_path: Path) -> None:
    home, answers = Home(tmp_path), Answers("memory", MemoryStore)
    closed(home, "a")

    def second(_: str) -> None:
        with pytest.raises(HomeError, match=r"compact\.lock is held"):
            compact(home, answers, RULES)

    done = compact(home, answers, RULES, step=second)

    assert done.moved == 1
    assert ids(home, answers) == ["a"]


def test_compactors_of_one_lake_that_share_no_lock_move_a_segment_once_all_the_same(tmp_path: Path) -> None:
    rows = [prediction("a")]
    ready = threading.Barrier(4)

    def add() -> None:
        answers = Answers(tmp_path / "lake")
        ready.wait()
        answers.add("1-x", rows, [Feedback("a", 1.0, "3")], [])

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for table in (PREDICTIONS, FEEDBACK):
        assert len(pl.read_delta(str(tmp_path / "lake" / table))) == 1


def test_the_lake_remembers_its_segments_when_its_log_is_cleaned_up(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "lake")
    for number in range(3):
        answers.add(f"{number}-x", [prediction(f"r{number}")], [], [])
    delta = DeltaTable(tmp_path / "lake" / PREDICTIONS)
    delta.create_checkpoint()
    for commit in sorted((tmp_path / "lake" / PREDICTIONS / "_delta_log").glob("*.json"))[:-1]:
        commit.unlink()

    answers.add("1-x", [prediction("r1")], [], [])

    assert answers.held(["0-x", "1-x", "2-x", "3-x"]) == {"0-x", "1-x", "2-x"}
    assert [row.request_id for row in answers.predictions(since=0)] == ["r0", "r1", "r2"]


def test_monitoring_reads_the_journal_and_the_lake_as_one(tmp_path: Path) -> None:
    home, answers = Home(tmp_path), Answers(tmp_path / "lake")
    closed(home, "a", "b")
    before = journalled(home, "digits", since=0)
    compact(home, answers, RULES, now=lambda: time.time() + 31 * DAY_SECONDS)
    journal = Journal(home.endpoint / "journal", name="x")
    journal.record([prediction("c", at=9)], [Feedback("a", 8, "4")])
    journal.close()

    after = journalled(home, "digits", since=0)

    assert [row.request_id for row in before.predictions] == ["a", "b"]
    assert [row.request_id for row in after.predictions] == ["a", "b", "c"]
    assert (before.truth, after.truth) == ({"a": "3", "b": "3"}, {"a": "4", "b": "3"})
    assert journalled(home, "digits", since=7).predictions[0].request_id == "c"
    assert not journalled(home, "another", since=0).predictions


def test_what_shadows_said_is_kept_apart_in_the_journal_and_in_the_lake(tmp_path: Path) -> None:
    home, answers = Home(tmp_path), Answers(tmp_path / "lake")
    journal = Journal(home.endpoint / "journal", name="x")
    said = prediction("a")._replace(arm="shadow", version="2.0", image=None)
    journal.record([prediction("a"), prediction("b")], [Feedback("a", 2, "3")])
    journal.record([said])
    journal.close()

    before = journalled(home, "digits", since=0)
    moved = compact(home, answers, RULES, now=lambda: time.time() + 31 * DAY_SECONDS)
    after = journalled(home, "digits", since=0)

    for traffic in (before, after):
        assert [(row.request_id, row.arm) for row in traffic.predictions] == [("a", "direct"), ("b", "direct")]
        assert [(row.request_id, row.arm, row.version) for row in traffic.shadows] == [("a", "shadow", "2.0")]
        assert traffic.truth == {"a": "3"}, "an id that a shadow repeats is still known"
    assert (moved.predictions, segments.every(home.endpoint / "journal")) == (3, [])


def test_only_labelled_pictures_that_were_kept_come_back_into_the_lake(tmp_path: Path) -> None:
    home, rng = Home(tmp_path), np.random.default_rng(1)
    pictures = rng.integers(0, 256, (3, 28, 28)).astype(np.uint8)
    rows = [prediction(name)._replace(image=image) for name, image in zip("abc", pictures, strict=True)]
    journal = Journal(home.endpoint / "journal", name="x")
    journal.record([rows[0], rows[1]._replace(image=None), rows[2]], [Feedback("a", 2, "3"), Feedback("b", 2, "4")])
    journal.close()
    traffic = journalled(home, "digits", since=0)

    collected = collect_returned(Lake("memory", MemoryStore), Data(), traffic, "returned")
    shown = samples(traffic, "1.0")

    assert (collected.ingested.rows, collected.ingested.added) == (1, 1)
    assert [sample.true for sample in shown] == ["3"]


def test_the_command_says_what_it_moved_and_leaves_nothing_for_the_next(tmp_path: Path) -> None:
    closed(Home(tmp_path), "a", "b")

    first, second = run("data", "compact", home=tmp_path), run("data", "compact", home=tmp_path)

    assert first.stdout == "2 files moved into the lake with 2 predictions and 2 labels, 0 removed, 0 still in use.\n"
    assert second.stdout == "0 files moved into the lake with 0 predictions and 0 labels, 0 removed, 0 still in use.\n"


@dataclass
class Production:
    """A home with two writers, and everything that was acknowledged in it."""

    home: Home
    clock: Clock = field(default_factory=Clock)
    store: MortalStore = field(default_factory=MortalStore)
    acknowledged: list[Prediction] = field(default_factory=list)
    told: list[Feedback] = field(default_factory=list)
    writers: dict[str, Journal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answers = Answers("memory", lambda _: self.store)

    def writer(self, name: str) -> Journal:
        if name not in self.writers:
            folder = self.home.endpoint / "journal"
            self.writers[name] = Journal(folder, name=name, segment_seconds=3 * LOOK_SECONDS, now=self.clock)
        return self.writers[name]

    def record(self, name: str, about: int) -> None:
        """One prediction, and a label for an earlier or a later one."""
        row = prediction(f"r{len(self.acknowledged)}", at=float(len(self.acknowledged)))
        label = Feedback(f"r{about}", float(about % 5), str(about % 10))
        self.writer(name).record([row], [label])
        self.acknowledged.append(row)
        self.told.append(label)
        self.clock.at += LOOK_SECONDS

    def close(self, name: str) -> None:
        if name in self.writers:
            self.writers.pop(name).close()

    def kill(self, name: str) -> None:
        """Leave on disk what a writer leaves that is killed now."""
        if name not in self.writers:
            return
        journal = self.writers.pop(name)
        for thread in journal._closing:
            thread.join()
        assert journal._segment is not None
        beside = journal._segment.path.parent.glob(f"{journal._segment.path.stem}.*")
        left = {path: path.read_bytes() for path in beside if not path.name.endswith("-shm")}
        journal.close()
        for path, data in left.items():
            path.write_bytes(data)

    def compact(self, dies_at: int, days: float, *, committed: bool) -> None:
        self.store.dies_at, self.store.committed = self.store.appends + dies_at, committed
        rules = Endpoint(journal_days=days)
        try:
            compact(self.home, self.answers, rules, step=dying_after(dies_at))
        except Killed:
            pass
        finally:
            self.store.dies_at = 0

    def check(self) -> None:
        found = everything(self.home, self.answers)
        assert [row.request_id for row in found.predictions] == [row.request_id for row in self.acknowledged]
        assert sorted(found.feedback, key=repr) == sorted(self.told, key=repr)
        truth = join(self.acknowledged, self.told)
        assert join(found.predictions, found.feedback).unknown == truth.unknown
        assert join(found.predictions, found.feedback).labels.keys() == truth.labels.keys()


NAMES = st.sampled_from(("one", "two"))
DEEDS = st.one_of(
    st.tuples(st.just("record"), NAMES, st.integers(0, 30)),
    st.tuples(st.just("close"), NAMES),
    st.tuples(st.just("kill"), NAMES),
    st.tuples(st.just("compact"), st.integers(1, 12), st.sampled_from((1e-9, 1.0)), st.booleans()),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(deeds=st.lists(DEEDS, max_size=25))
def test_whatever_happens_in_whatever_order_each_acknowledged_row_is_there_once(deeds: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        production = Production(Home(Path(folder)))
        for verb, *about in deeds:
            match verb, about:
                case "compact", [int(dies_at), float(days), bool(committed)]:
                    production.compact(dies_at, days, committed=committed)
                case _:
                    getattr(production, str(verb))(*about)
            production.check()
        for name in ("one", "two"):
            production.close(name)
        compact(production.home, production.answers, RULES)
        shutil.rmtree(production.home.endpoint, ignore_errors=True)
        production.check()


WRITE = """
import sys
from pathlib import Path
from demlopment.records import Feedback
from demlopment.serving.journal import Journal
from tests.serving.test_journal import Clock, prediction
clock, number = Clock(), 0
journal = Journal(Path(sys.argv[1]), name="doomed", segment_seconds=20, now=clock)
for count in sys.stdin:
    for number in range(number, number + int(count)):
        journal.record([prediction(f"r{number}", at=number)], [Feedback(f"r{number}", number, "1")])
        clock.at += 1
        print(number, flush=True)
    number += 1
"""
COMPACT = """
import os, signal, sys
from pathlib import Path
from demlopment.data import Answers
from demlopment.home import Home
from demlopment.lifecycle.collect import collect_returned
from demlopment.lifecycle.compact import compact
from demlopment.settings import Endpoint
home, left = Home(Path(sys.argv[1])), int(sys.argv[2])
def step(what):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
compact(home, Answers(home.lake), Endpoint(journal_days=1e-9), step=step)
"""


def test_processes_killed_with_signal_nine_lose_and_double_no_acknowledged_row(tmp_path: Path) -> None:
    home, answers = Home(tmp_path), Answers(tmp_path / "lake")
    command = [sys.executable, "-c", WRITE, str(home.endpoint / "journal")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        acknowledged, killed = [], []
        for steps in (2, 5, 7):  # with the rows in the lake, between two files, at a file that was marked
            print(100, file=writer.stdin, flush=True)
            acknowledged += [int(writer.stdout.readline()) for _ in range(50)]  # five files, while the last of them grow
            killed.append(subprocess.run([sys.executable, "-c", COMPACT, str(tmp_path), str(steps)], cwd=ROOT, check=False))
            acknowledged += [int(writer.stdout.readline()) for _ in range(50)]
            assert [row.at for row in everything(home, answers).predictions] == acknowledged
        print(1000, file=writer.stdin, flush=True)
        acknowledged += [int(writer.stdout.readline()) for _ in range(50)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]

    last = subprocess.run([sys.executable, "-c", COMPACT, str(tmp_path), "0"], cwd=ROOT, check=True)

    assert [each.returncode for each in killed] == [-signal.SIGKILL] * 3
    assert last.returncode == 0
    # What the writer had begun when it was killed, and not named yet, holds nothing, and is kept for a minute.
    left = [path for path in (home.endpoint / "journal").iterdir() if path.suffix != segments.BEGUN]
    assert not left, "everything is in the lake, and may go at once"
    for table in (PREDICTIONS, FEEDBACK):
        kept = pl.read_delta(str(tmp_path / "lake" / table))["request_id"].to_list()
        assert len(set(kept)) == len(kept) <= len(acknowledged) + 1, "at most the row that was being acknowledged is more"
        assert {f"r{number}" for number in acknowledged} <= set(kept)
