"""IDX files are read as they were written, and what is wrong with one is said."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from demlopment.data.lake import Lake
from demlopment.data.sources import opened
from demlopment.data.sources.idx import idx
from demlopment.errors import DataError
from tests.data.sources.written import csv_digits, folder_of_pictures, idx_bytes, idx_pair, pictures
from tests.fakes import MemoryStore

Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize("packed", [True, False])
def test_pictures_and_labels_come_row_for_row(tmp_path: Path, packed: bool) -> None:  # noqa: FBT001  pytest passes by name
    path = idx_pair(tmp_path, 23, packed=packed)

    (batch,) = idx(path).batches()

    assert batch["image"].to_list() == [picture.tobytes() for picture in pictures(23)]
    assert batch["label"].to_list() == [str(number % 10) for number in range(23)]
    assert batch["format"].unique().to_list() == ["grey"]


def test_emnist_stands_upright_and_its_labels_have_the_names_of_the_mapping(tmp_path: Path) -> None:
    path = idx_pair(tmp_path, 12, prefix="emnist-letters-train")
    (tmp_path / "emnist-letters-mapping.txt").write_text("".join(f"{n} {64 + n} {96 + n}\n" for n in range(1, 9)))

    (batch,) = idx(path).batches()

    assert batch["image"].to_list() == [picture.T.tobytes() for picture in pictures(12)]
    assert batch["label"].to_list()[:10] == ["unmapped 0", *"ABCDEFGH", "unmapped 9"]


def test_qmnist_names_the_writers(tmp_path: Path) -> None:
    path = idx_pair(tmp_path, 2)
    table = np.array([[5, 4, 2154, 59, 35, 229421, 0, 0], [0, 0, 7, 0, 30, 0, 0, 0]], np.int32)
    labels = tmp_path / "qmnist-train-labels-idx2-int.gz"
    labels.write_bytes(gzip.compress(idx_bytes(table)))

    (batch,) = idx(path, labels).batches()

    assert batch["label"].to_list() == ["5", "0"]
    assert batch["writer"].to_list() == ["nist-2154", "nist-7"]


def test_pictures_of_another_size_come_as_files(tmp_path: Path) -> None:
    path = idx_pair(tmp_path, 3)
    path.write_bytes(idx_bytes(pictures(3, 40, 30)))

    (batch,) = idx(path).batches()

    decoded = [np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)) for data in batch["image"]]
    assert batch["format"].unique().to_list() == ["file"]
    assert np.array_equal(np.stack(decoded), pictures(3, 40, 30))


def claiming(count: int) -> Damage:
    return lambda data: data[:4] + struct.pack(">I", count) + data[8:]


@pytest.mark.parametrize(
    ("which", "damage", "words"),
    [
        pytest.param("images", lambda data: gzip.compress(data)[:-30], "is not a whole gzip file", id="truncated gzip"),
        pytest.param("images", lambda data: gzip.compress(data)[:-8] + bytes(8), "not a whole gzip file", id="checksum"),
        pytest.param("images", lambda data: b"\x89PNG" + data, "is no IDX file: it starts with b'\\x89PNG'", id="magic"),
        pytest.param("images", lambda _: b"", "is no IDX file", id="empty"),
        pytest.param("images", lambda data: data[:9], "in its header", id="half a header"),
        pytest.param("images", lambda data: data[:-1], "in the pictures 1 to 20 of 20: 1 bytes or more", id="too short"),
        pytest.param("images", lambda data: data + b"x", "goes on after the", id="too long"),
        pytest.param("labels", lambda data: data[:-2], "in the labels 1 to 20 of 20", id="labels too short"),
        pytest.param("labels", lambda data: data + b"x", "goes on after the 28 bytes", id="labels too long"),
        pytest.param("labels", claiming(19), "speaks of 19 labels, and", id="other number of labels"),
        pytest.param("images", claiming(4_000_000_000), "4000000000 pictures", id="billions of pictures"),
        pytest.param("labels", lambda _: idx_bytes(pictures(2)), "3 dimensions", id="pictures for labels"),
        pytest.param("images", lambda data: data[:8] + struct.pack(">II", 40_000, 40_000), "40000 x 40000", id="huge"),
        pytest.param("images", lambda data: data[:8] + bytes(8), "0 x 0 pixels", id="no pixels"),
    ],
)
def test_a_broken_file_is_named_and_the_lake_stays_as_it_was(tmp_path: Path, which: str, damage: Damage, words: str) -> None:
    path = idx_pair(tmp_path, 20, packed=False)
    victim = path.with_name(path.name if which == "images" else "train-labels-idx1-ubyte")
    victim.write_bytes(damage(victim.read_bytes()))
    store = MemoryStore()

    with pytest.raises(DataError) as refused:
        Lake("memory", lambda _: store).add(idx(path))

    assert str(victim) in refused.value.problem
    assert words in refused.value.problem
    assert refused.value.remedy
    assert store.version("examples") is None


def test_labels_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    path = idx_pair(tmp_path, 3)
    path.with_name("train-labels-idx1-ubyte.gz").unlink()

    with pytest.raises(DataError, match=r"no labels beside .*train-images-idx3-ubyte\.gz\. Give .*`--labels FILE`"):
        idx(path)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_labels_named_as_on_kaggle_are_found_beside_their_pictures(tmp_path: Path, ending: str) -> None:
    path = idx_pair(tmp_path, 3, packed=bool(ending))
    path.with_name(f"train-labels-idx1-ubyte{ending}").rename(tmp_path / f"train-labels.idx1-ubyte{ending}")

    source = opened(path.rename(tmp_path / f"train-images.idx3-ubyte{ending}"))

    assert pl.concat(source.batches())["label"].to_list() == ["0", "1", "2"]


def test_labels_of_any_name_are_those_that_were_given(tmp_path: Path) -> None:
    path = idx_pair(tmp_path, 3)
    labels = path.with_name("train-labels-idx1-ubyte.gz").rename(tmp_path / "b")

    source = opened(path.rename(tmp_path / "a"), labels=labels)

    assert pl.concat(source.batches())["label"].to_list() == ["0", "1", "2"]


@pytest.mark.parametrize("make", [csv_digits, folder_of_pictures, lambda *_: None])
def test_a_file_of_labels_is_refused_where_it_does_not_belong(tmp_path: Path, make: Callable[[Path, int], Path | None]) -> None:
    with pytest.raises(DataError, match="is no IDX file, so that its labels do not stand in b"):
        opened(make(tmp_path, 3), labels=Path("b"))


def test_idx_has_no_column_of_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no column of labels that could be the first"):
        opened(idx_pair(tmp_path, 3), labels="first")


def test_a_mapping_with_another_text_is_refused_by_its_line(tmp_path: Path) -> None:
    path = idx_pair(tmp_path, 3, prefix="emnist-balanced-train")
    (tmp_path / "emnist-balanced-mapping.txt").write_text("0 48\none 49\n")

    with pytest.raises(DataError, match=r"emnist-balanced-mapping\.txt, line 2: 'one 49'"):
        idx(path)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        pytest.param(None, r"no mapping of the labels beside .*\.gz\. Copy EMNIST's emnist-letters-mapping\.txt", id="missing"),
        pytest.param(" \n", r"emnist-letters-mapping\.txt is empty\. Give lines", id="empty"),
    ],
)
def test_letters_whose_mapping_is_not_there_do_not_pass_for_digits(tmp_path: Path, mapping: str | None, words: str) -> None:
    path = idx_pair(tmp_path, 3, prefix="emnist-letters-train")
    if mapping is not None:
        (tmp_path / "emnist-letters-mapping.txt").write_text(mapping)

    with pytest.raises(DataError, match=words):
        opened(path)
