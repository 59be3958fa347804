"""Bad rows come back as they were given, from memory and from disk, until they are let go of."""

from contextlib import closing
from pathlib import Path

import pytest

from demlopment.data import withheld
from demlopment.data.sources import RawRows
from demlopment.data.withheld import Withheld
from demlopment.errors import HomeError
from tests.lifecycle.test_full_disk import disk, fill

__all__ = ["disk"]


@pytest.mark.parametrize("in_memory", [withheld.IN_MEMORY, 1])
def test_frames_come_back_in_their_order(monkeypatch: pytest.MonkeyPatch, few: RawRows, in_memory: int) -> None:
    monkeypatch.setattr(withheld, "IN_MEMORY", in_memory)
    with closing(Withheld()) as waiting:
        waiting.add(few.frame[:7])
        waiting.clear()
        waiting.add(few.frame[7:30])
        waiting.add(few.frame[30:])

        found = list(waiting)

    assert [frame.rows() for frame in found] == [few.frame[7:30].rows(), few.frame[30:].rows()]


def test_a_folder_without_room_is_named(monkeypatch: pytest.MonkeyPatch, few: RawRows, disk: Path) -> None:
    monkeypatch.setattr(withheld, "IN_MEMORY", 1)
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    fill(disk)

    with closing(Withheld()) as waiting, pytest.raises(HomeError, match=f"kept in {disk}: No space left on device") as refused:
        waiting.add(few.frame)

    assert "TMPDIR" in refused.value.remedy
