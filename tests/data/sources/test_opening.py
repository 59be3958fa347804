"""A file that is none of those that are read is told from one that is damaged."""

from pathlib import Path

import numpy as np
import pytest

from demlopment.data.sources import opened
from demlopment.errors import DataError
from tests.data.sources.written import pictures, png


@pytest.mark.parametrize(
    ("data", "problem", "remedy"),
    [
        (png(pictures(1)[0]), "is a single picture, which has no label", "called as its label"),
        (bytes(1000), r"starts with b'\x00\x00\x00\x00\x00\x00\x00\x00'", "Give IDX, CSV"),
        (np.random.default_rng(1).bytes(1000), "as none of the files does that are read", "Give IDX, CSV"),
        (b"%PDF-1.7\n%\xb5\xed\xae\xfb\n4 0 obj\n\x00\x01", "starts with b'%PDF-1.7'", "Give IDX, CSV"),
        (b"SQLite format 3\0" + bytes(80), "starts with b'SQLite f'", "Give IDX, CSV"),
    ],
    ids=["PNG", "zeros", "noise", "PDF", "SQLite"],
)
def test_what_no_source_reads_is_named_with_what_can_be_given(tmp_path: Path, data: bytes, problem: str, remedy: str) -> None:
    (tmp_path / "a").write_bytes(data)

    with pytest.raises(DataError) as refused:
        opened(tmp_path / "a")

    assert problem in refused.value.problem
    assert refused.value.problem.startswith(f"{tmp_path / 'a'} ")
    assert remedy in refused.value.remedy
