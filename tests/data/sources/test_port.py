"""Rows in memory, and what can be opened at all."""

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from demlopment.data.contract import RAW
from demlopment.data.corrections import corrections
from demlopment.data.sources import RawRows, opened
from demlopment.data.sources.port import digest
from demlopment.errors import DataError


def test_a_frame_with_other_columns_is_refused() -> None:
    with pytest.raises(DataError, match=r"label \(UInt8\)"):
        RawRows("x", "", pl.DataFrame(schema=dict(RAW) | {"label": pl.UInt8}))


@pytest.mark.parametrize("read", [opened, digest, corrections], ids=lambda read: read.__name__)
def test_what_may_never_end_is_refused_at_once(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody writes into it, so that opening it would wait for ever

    for endless in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DataError, match=f"{endless} is neither a file nor a folder"):
            read(endless)


def test_a_name_that_is_too_long_is_said_to_be() -> None:
    with pytest.raises(DataError, match="cannot be read: File name too long"):
        opened(Path("a" * 5000))
