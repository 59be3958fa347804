"""Planted bad rows."""

from demlopment.data.sources import RawRows, spoiled


def test_spoiling_leaves_the_good_rows_as_they_were(few: RawRows) -> None:
    both = spoiled(few)

    assert both.frame.head(len(few.frame)).equals(few.frame)
    assert both.frame["source"].tail(6).to_list() == ["planted"] * 6
