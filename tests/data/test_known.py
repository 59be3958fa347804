"""The index of what the lake has met, against a plain list."""

import errno
import tempfile
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.data import known
from demlopment.data.known import Known
from demlopment.errors import HomeError

SCHEMA = {"high": pl.UInt64, "low": pl.UInt64, "label": pl.String, "source": pl.String}
# Few halves, so that keys repeat and differ in one half alone; the ends are where signed numbers would go wrong.
halves = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])
rows = st.tuples(halves, halves, st.sampled_from("07"), st.sampled_from(["mnist", "feedback"]))
batches = st.lists(st.lists(rows, max_size=6), max_size=8)


def frame(some: list[tuple[int, int, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(some, schema=SCHEMA, orient="row")


@given(batches, st.lists(st.tuples(halves, halves), unique=True, max_size=8))
@pytest.mark.parametrize("longest", [0, 4, known.LONGEST])
def test_of_every_key_all_rows_are_met_in_the_order_in_which_they_were_learnt(
    longest: int, learnt: list[list[tuple[int, int, str, str]]], asked: list[tuple[int, int]]
) -> None:
    with closing(Known()) as index, pytest.MonkeyPatch.context() as patched:
        patched.setattr(known, "LONGEST", longest)
        for batch in learnt:
            index.learn(frame(batch))
        met = index.met(frame([(*key, "", "") for key in asked]).select(known.KEY))

    for key in asked:
        expected = [row for batch in learnt for row in batch if row[:2] == key]
        assert met.filter(pl.col("high") == key[0], pl.col("low") == key[1]).rows() == expected
    assert met.schema == pl.Schema(SCHEMA)
    assert len(met) == sum(row[:2] in asked for batch in learnt for row in batch)


def test_runs_stay_few_however_many_batches_come() -> None:
    index = Known()

    for first in range(0, 4000, 4):
        index.learn(frame([(key * 2654435761 % 2**64, key, "7", "mnist") for key in range(first, first + 4)]))

    assert len(index) == 4000
    assert len(index._runs) <= 12


def test_long_runs_are_on_disk_where_nothing_is_left_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "LONGEST", 1024)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    learnt = [(key * 2654435761 % 2**64, key, "7", "mnist") for key in range(20_000)]

    with closing(Known()) as index:
        for first in range(0, len(learnt), 250):
            index.learn(frame(learnt[first : first + 250]))
        in_memory, met = sum(map(len, index._runs)), index.met(frame(learnt[::7]).select(known.KEY))
        assert list(tmp_path.iterdir()) == []

    assert in_memory <= 1024
    assert sorted(met.rows()) == sorted(learnt[::7])


def test_a_full_disk_for_temporary_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(known, "LONGEST", 2)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)

    with pytest.raises(HomeError, match=r"known rows cannot be written into .*No space left on device.*TMPDIR"):
        Known().learn(frame([(1, 1, "7", "mnist"), (2, 2, "7", "mnist")]))
