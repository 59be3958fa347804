"""Parquet files are read whichever way they hold their pictures."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from demlopment import images
from demlopment.data.contract import screen
from demlopment.data.lake import Lake
from demlopment.data.sources import Source, opened
from demlopment.data.sources.parquet import parquet
from demlopment.errors import DataError
from tests.data.sources.written import pictures
from tests.fakes import MemoryStore

SHOWN = pictures(12)
PNG = [images.encode_png(picture) for picture in SHOWN]
LISTS = [picture.ravel().tolist() for picture in SHOWN]


def saved(path: Path, columns: dict[str, Any]) -> Path:
    pl.DataFrame(columns).write_parquet(path, row_group_size=5)
    return path


def rows(source: Source) -> list[dict[str, Any]]:
    return [row for batch in source.batches() for row in batch.to_dicts()]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        pytest.param(PNG, "file", id="files"),
        pytest.param([{"bytes": each, "path": f"{n}.png"} for n, each in enumerate(PNG)], "file", id="Hugging Face"),
        pytest.param([picture.tobytes() for picture in SHOWN], "grey", id="pixels"),
        pytest.param([{"path": None, "bytes": picture.tobytes()} for picture in SHOWN], "grey", id="pixels in a struct"),
        pytest.param(LISTS, "grey", id="lists"),
        pytest.param(pl.Series(LISTS, dtype=pl.Array(pl.UInt8, 784)), "grey", id="arrays"),
        pytest.param([picture.tolist() for picture in SHOWN], "grey", id="lists of rows"),
        pytest.param(pl.Series(LISTS, dtype=pl.List(pl.Float64)), "grey", id="floats"),
    ],
)
def test_a_column_of_pictures_is_read(tmp_path: Path, column: Any, kind: str) -> None:
    path = saved(tmp_path / "train.parquet", {"image": column, "label": range(12), "writer": [f"hand {n}" for n in range(12)]})

    source = opened(path)
    read = rows(source)

    assert source.rows == 12
    assert [row["image"] for row in read] == (PNG if kind == "file" else [picture.tobytes() for picture in SHOWN])
    assert {row["format"] for row in read} == {kind}
    assert [(row["row"], row["label"], row["writer"]) for row in read] == [(n, str(n), f"hand {n}") for n in range(12)]


@pytest.mark.parametrize("kind", [pl.UInt8, pl.Int64, pl.Float32])
def test_columns_of_pixels_are_read(tmp_path: Path, kind: type[pl.DataType]) -> None:
    table = pl.DataFrame(SHOWN.reshape(12, 784), schema={f"pixel{n}": kind for n in range(784)}, orient="row")
    table.with_columns(label=pl.Series("label", [str(n) for n in range(12)], pl.Categorical)).write_parquet(
        tmp_path / "a.parquet"
    )

    read = rows(opened(tmp_path / "a.parquet"))

    assert [row["image"] for row in read] == [picture.tobytes() for picture in SHOWN]
    assert [row["label"] for row in read] == [str(n) for n in range(12)]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        pytest.param([*LISTS[:2], [*LISTS[2][:-1], 256]], "a pixel is outside 0 to 255", id="outside"),
        pytest.param([*LISTS[:2], [*LISTS[2][:-1], None]], "a pixel is missing or no number", id="missing"),
        pytest.param([*LISTS[:2], LISTS[2][:-1]], "image is no list of 784 numbers", id="too short"),
        pytest.param([*LISTS[:2], None], "image missing", id="null"),
        pytest.param([*PNG[:2], None], "image missing", id="null bytes"),
        pytest.param([{"bytes": PNG[0]}, {"bytes": PNG[1]}, {"bytes": None}], "image missing", id="null in a struct"),
    ],
)
def test_a_row_without_a_picture_goes_to_quarantine_alone(tmp_path: Path, column: list[Any], reason: str) -> None:
    (batch,) = parquet(saved(tmp_path / "a.parquet", {"image": column, "label": [1, 2, None]})).batches()

    fine, bad = screen(batch, tuple("0123456789"))

    assert fine["row"].to_list() == [0, 1]
    assert set(bad["reasons"][0].split("; ")) == {"label missing", reason}


def test_a_bad_pixel_among_columns_keeps_the_numbers_of_its_row(tmp_path: Path) -> None:
    values = SHOWN[:3].reshape(3, 784).astype(int).tolist()
    values[1][:2] = [-4, None]
    table = pl.DataFrame(values, schema={f"pixel{n}": pl.Int32 for n in range(784)}, orient="row").with_columns(label=pl.lit(1))
    table.write_parquet(tmp_path / "a.parquet")

    read = rows(parquet(tmp_path / "a.parquet"))

    assert [row["format"] for row in read] == ["grey", "unread", "grey"]
    assert read[1]["image"].startswith(b"(-4, None, 0, ")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image": PNG}, "has no column `label` among its 1 columns (image, ...)"),
        ({"image": PNG, "label": [True] * 12}, "has a column 'label' of type Boolean"),
        ({"image": ["a.png"] * 12, "label": range(12)}, "has a column 'image' of type String"),
        ({"image": [{"path": "x"}] * 12, "label": range(12)}, "has a column 'image' of type Struct"),
        ({"image": [[PNG[0]]] * 12, "label": range(12)}, "has a column 'image' of type List(Binary)"),
        ({"image": PNG, "label": range(12), "Label": range(12)}, "has 2 columns that are called 'label'"),
        ({"picture": PNG, "label": range(12)}, "has 1 columns of pixels, not 784"),
        ({"image": PNG[:0], "label": range(0)}, "holds no rows"),
    ],
    ids=range(8),
)
def test_columns_that_do_not_fit_are_named(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    path = saved(tmp_path / "a.parquet", columns)

    with pytest.raises(DataError) as refused:
        parquet(path)

    assert str(path) in refused.value.problem
    assert words in refused.value.problem
    assert refused.value.remedy


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-40],
        lambda data: data[: len(data) // 2],
        lambda _: b"PAR1" + b"x" * 50 + b"PAR1",
        lambda _: b"PAR1",
        lambda data: data[:60] + bytes(100) + data[160:],
    ],
    ids=["footer", "half", "junk", "only a start", "hole"],
)
def test_a_broken_file_is_named_and_nothing_is_added(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = saved(tmp_path / "a.parquet", {"image": [each.tobytes() for each in pictures(40)], "label": [1] * 40})
    path.write_bytes(damage(path.read_bytes()))
    store = MemoryStore()

    with pytest.raises(DataError, match="is not a whole Parquet file") as refused:
        Lake("memory", lambda _: store).add(opened(path))

    assert str(path) in refused.value.problem
    assert refused.value.remedy
    assert store.version("examples") is None


def test_a_label_that_is_missing_makes_no_other_a_broken_number(tmp_path: Path) -> None:
    labels = [3.0, float("nan"), None, 0.5, *[7.0] * 8]

    read = rows(parquet(saved(tmp_path / "a.parquet", {"image": PNG, "label": labels, "writer": [12.0] * 12})))

    assert [row["label"] for row in read] == ["3", None, None, "0.5", *["7"] * 8]
    assert {row["writer"] for row in read} == {"12"}


READ = """
import sys
from pathlib import Path
from demlopment.data.sources.parquet import parquet

def peak_mb():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1000

source = parquet(Path(sys.argv[1]))
before = peak_mb()
print(sum(len(batch) for batch in source.batches()), peak_mb() - before)
"""


def test_of_a_row_group_that_is_the_whole_file_little_is_in_memory(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(200_000_000)
    pieces = [noise[start : start + 100_000] for start in range(0, len(noise), 100_000)]
    table = pl.DataFrame({"image": pieces, "label": [1] * len(pieces)})
    table.write_parquet(tmp_path / "a.parquet", row_group_size=len(pieces))

    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path / "a.parquet")], check=True, capture_output=True, text=True)

    rows, grown_mb = map(int, done.stdout.split())
    assert rows == 2_000
    assert grown_mb < 100
