"""Labels that were made wrong on purpose are doubted, and right ones hardly ever."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from demlopment.cli import app
from demlopment.data import Lake, RawRows, packaged_digits
from demlopment.data.queue import waiting
from demlopment.errors import DataError
from demlopment.lifecycle.doubts import suspected
from demlopment.records import Examples
from demlopment.settings import Training
from tests.fakes import MemoryStore

WRONG = 100  # of 5,000: 2 %


@pytest.fixture(scope="module")
def digits() -> Examples:
    lake = Lake("memory", MemoryStore)
    lake.add(packaged_digits())
    return lake.load(lake.pin("all", "demlopment-1"))


def planted(digits: Examples, seed: int) -> tuple[Examples, set[int]]:
    """The digits with another label for some, chosen by chance, and the rows of these."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(digits), WRONG, replace=False)
    labels = digits.labels.copy()
    labels[rows] = (labels[rows] + rng.integers(1, 10, WRONG)) % 10
    return replace(digits, labels=labels), set(rows.tolist())


def test_nearly_all_planted_errors_are_found_and_few_right_labels_are_doubted(digits: Examples) -> None:
    spoiled, wrong = planted(digits, seed=1)

    found = suspected(spoiled, 10, Training())

    hits = [doubt.row in wrong for doubt in found]
    right = [doubt.suggestion == digits.labels[doubt.row] for doubt in found if doubt.row in wrong]
    # With two seeds 87 and 88 were found; 93 and 97 % of the doubts, and 98 % of the first 50, were among the planted.
    assert sum(hits) >= 0.80 * WRONG
    assert np.mean(hits) >= 0.85
    assert np.mean(hits[:50]) >= 0.94
    assert np.mean(right) >= 0.97


def test_of_the_digits_as_they_are_hardly_one_is_doubted(digits: Examples) -> None:
    assert len(suspected(digits, 10, Training())) <= 25  # 11 were; MNIST itself has a few that nobody can read


def test_too_few_rows_are_named(digits: Examples) -> None:
    with pytest.raises(DataError, match="no example of class"):
        suspected(digits.where(digits.labels < 9), 10, Training())


def test_the_command_shows_them_and_changes_no_label(tmp_path: Path) -> None:
    rows = packaged_digits()
    wrong = pl.when(pl.col("row") == 990).then(pl.lit("0")).otherwise("label")
    frame = rows.frame.gather_every(10).with_columns(label=wrong)
    lake = Lake(tmp_path / "lake")
    lake.add(RawRows(rows.name, rows.sha256, frame))
    (key,) = lake.now((pl.col("row") == 990), ("key",))["key"]
    digest = lake.pin("few", "salt").digest
    runner, command = CliRunner(), ["--home", str(tmp_path), "data", "doubts"]

    shown = runner.invoke(app, [*command, "--limit", "3"])
    unknown = runner.invoke(app, [*command, "unknown"])

    assert re.search(rf"^ *-[01]\.\d+  0 -> \d  {key}$", shown.stdout, re.MULTILINE), shown.stdout
    assert re.search(r"\d+ of the 500 labels of few are doubted", shown.stdout)
    assert lake.pin("again", "salt").digest == digest
    assert key in [item.key for item in waiting(lake)]
    assert isinstance(unknown.exception, DataError)
