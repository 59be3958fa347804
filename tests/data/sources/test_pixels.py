"""The same numbers are the same pixels in whatever table they stand."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from demlopment.data.lake import Lake
from demlopment.data.sources import opened
from tests.data.sources.written import pictures
from tests.fakes import MemoryStore

SHOWN = pictures(9).reshape(9, 784)
NAMES = [f"pixel{number}" for number in range(784)]
Values = npt.NDArray[Any]


def as_npz(path: Path, values: Values) -> Path:
    np.savez(path / "a.npz", x=values, y=np.arange(len(values)))
    return path / "a.npz"


def as_csv(path: Path, values: Values) -> Path:
    with (path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*NAMES, "label"], *([*row, number] for number, row in enumerate(values.tolist()))])
    return path / "a.csv"


def as_columns(path: Path, values: Values) -> Path:
    pl.DataFrame(values, NAMES).with_columns(label=pl.int_range(pl.len())).write_parquet(path / "a.parquet")
    return path / "a.parquet"


def as_decimals(path: Path, values: Values) -> Path:
    columns = pl.DataFrame(values, NAMES).cast(pl.Decimal(38, 30)).with_columns(label=pl.int_range(pl.len()))
    columns.write_parquet(path / "a.parquet")
    return path / "a.parquet"


def as_lists(path: Path, values: Values) -> Path:
    pl.DataFrame({"image": values.tolist(), "label": range(len(values))}).write_parquet(path / "a.parquet")
    return path / "a.parquet"


def as_squares(path: Path, values: Values) -> Path:
    squares = values.reshape(-1, 28, 28).tolist()
    pl.DataFrame({"image": squares, "label": range(len(values))}).write_parquet(path / "a.parquet", row_group_size=2)
    return path / "a.parquet"


FORMS = pytest.mark.parametrize("form", [as_npz, as_csv, as_columns, as_decimals, as_lists, as_squares])
TABLES = pytest.mark.parametrize("form", [as_csv, as_columns, as_lists, as_squares])


@FORMS
def test_fractions_of_255_are_the_pixels_that_they_were_made_of(tmp_path: Path, form: Callable[[Path, Values], Path]) -> None:
    (batch,) = opened(form(tmp_path, SHOWN / 255)).batches()

    assert batch["image"].to_list() == [row.tobytes() for row in SHOWN]
    assert batch["format"].unique().to_list() == ["grey"]


@FORMS
def test_one_pixel_above_1_makes_no_number_of_the_file_a_fraction(tmp_path: Path, form: Callable[[Path, Values], Path]) -> None:
    faint = np.minimum(SHOWN, 1).astype(np.float64)
    faint[8, 400] = 2

    (batch,) = opened(form(tmp_path, faint)).batches()

    assert batch["image"].to_list() == [row.tobytes() for row in faint.astype(np.uint8)]


@TABLES
def test_what_is_no_fraction_is_in_quarantine_alone(tmp_path: Path, form: Callable[[Path, Values], Path]) -> None:
    values = SHOWN[:7] / 255
    values[2, 400], values[4, 400], values[6, 400] = 0.5, -0.2, np.nan

    added = (lake := Lake("memory", lambda _: MemoryStore())).add(opened(form(tmp_path, values)))

    assert (added.added, added.rejected) == (4, 3)
    assert [(row.row, row.reasons) for row in lake.quarantine()] == [
        (2, ("a pixel is no fraction of 255",)),
        (4, ("a pixel is outside 0 to 255",)),
        (6, ("a pixel is missing or no number",)),
    ]
