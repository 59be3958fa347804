"""Planted bad rows."""

from pathlib import Path

import polars as pl

from demlopment.data.lake import Lake
from demlopment.data.sources import RawRows, opened, spoiled
from tests.data.sources.written import folder_of_pictures
from tests.fakes import MemoryStore


def test_spoiling_leaves_the_good_rows_as_they_were(few: RawRows) -> None:
    both = spoiled(few)
    frame = pl.concat(both.batches())

    assert frame.head(len(few.frame)).equals(few.frame)
    assert frame["source"].tail(6).to_list() == ["planted"] * 6
    assert (both.name, both.sha256, both.rows) == (few.name, few.sha256, len(frame))


def test_pictures_in_files_are_spoiled_too_after_the_first_that_can_be_read(tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path, 20)
    (folder / "0" / "00000.png").write_bytes(b"no picture")
    lake = Lake("memory", MemoryStore)

    added = lake.add(spoiled(opened(folder)))

    assert (added.rows, added.added, added.rejected) == (26, 19, 7)
    assert {row.source for row in lake.quarantine()} == {"planted", opened(folder).name}


def test_where_nothing_is_shown_nothing_is_planted(few: RawRows) -> None:
    nothing = RawRows(few.name, few.sha256, few.frame.with_columns(image=pl.lit(None, pl.Binary)))

    assert sum(map(len, spoiled(nothing).batches())) == len(few.frame)
