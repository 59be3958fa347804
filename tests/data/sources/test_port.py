"""Rows in memory."""

import polars as pl
import pytest

from demlopment.data.contract import RAW
from demlopment.data.sources import RawRows
from demlopment.errors import DataError


def test_a_frame_with_other_columns_is_refused() -> None:
    with pytest.raises(DataError, match=r"label \(UInt8\)"):
        RawRows("x", "", pl.DataFrame(schema=dict(RAW) | {"label": pl.UInt8}))
