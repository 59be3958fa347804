"""NumPy's files are read as NumPy reads them, a slice at a time, and nothing in them is run."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from demlopment import images
from demlopment.data.lake import Lake
from demlopment.data.sources import Source, opened, port
from demlopment.data.sources import npz as module
from demlopment.data.sources.npz import npz
from demlopment.errors import DataError
from tests.data.sources.written import pictures
from tests.fakes import MemoryStore

Array = npt.NDArray[Any]
SEVENS = np.full(4, 7)


def saved(path: Path, arrays: Mapping[str, Array], *, packed: bool = False) -> Path:
    (np.savez_compressed if packed else np.savez)(path, **arrays)  # type: ignore[arg-type]  # a name may be a keyword
    return path


def rows(source: Source) -> list[dict[str, Any]]:
    return [row for batch in source.batches() for row in batch.to_dicts()]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda shown: shown, id="as they are"),
        pytest.param(lambda shown: shown.reshape(-1, 784), id="flat"),
        pytest.param(lambda shown: shown[..., None], id="one channel"),
        pytest.param(lambda shown: shown.astype(np.int64), id="int64"),
        pytest.param(lambda shown: shown.astype(">u2"), id="big-endian"),
        pytest.param(lambda shown: shown.astype(np.float16), id="float16"),
        pytest.param(lambda shown: shown.astype(np.float64), id="float64"),
        pytest.param(lambda shown: (shown / 255).astype(np.float16), id="fractions, float16"),
        pytest.param(lambda shown: (shown / 255).astype(np.float32), id="fractions, float32"),
        pytest.param(lambda shown: shown.astype(np.float32) * np.float32(1 / 255), id="fractions, multiplied"),
        pytest.param(lambda shown: shown / 255, id="fractions, float64"),
    ],
)
def test_pictures_come_as_they_were_whatever_their_type(tmp_path: Path, form: Callable[[Array], Array], packed: bool) -> None:  # noqa: FBT001  pytest passes by name
    every = np.concatenate([pictures(30), np.arange(256, dtype=np.uint8).repeat(4)[:784].reshape(1, 28, 28)])
    path = saved(
        tmp_path / "some.npz", {"images": form(every), "labels": np.arange(31) % 10, "writers": np.arange(31)}, packed=packed
    )

    read = rows(opened(path))

    assert [row["image"] for row in read] == [picture.tobytes() for picture in every]
    assert [row["label"] for row in read] == [str(number % 10) for number in range(31)]
    assert read[7]["writer"] == "7"
    assert {row["format"] for row in read} == {"grey"}


@pytest.mark.parametrize(
    "labels",
    [np.array([7, 7, 7, 7], np.uint8), SEVENS[:, None], SEVENS.astype(float), SEVENS.astype(str), SEVENS.astype(bytes)],
    ids=lambda labels: f"{labels.dtype} {labels.ndim}",
)
def test_labels_are_numbers_or_text(tmp_path: Path, labels: Array) -> None:
    assert [row["label"] for row in rows(npz(saved(tmp_path / "a.npz", {"x": pictures(4), "y": labels})))] == ["7"] * 4


def test_train_and_test_are_parts_of_one_source(tmp_path: Path) -> None:
    """As Keras' mnist.npz has them."""
    shown = pictures(9)
    arrays: dict[str, Array] = {"x_test": shown[6:], "x_train": shown[:6], "y_train": np.arange(6), "y_test": np.arange(6, 9)}

    source = npz(saved(tmp_path / "mnist.npz", arrays))

    assert source.rows == 9
    assert [(row["row"], row["label"]) for row in rows(source)] == [(number, str(number)) for number in range(9)]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_colours_come_as_files_that_prepare_to_the_same(tmp_path: Path, channels: int) -> None:
    shown = np.random.default_rng(3).integers(0, 256, (4, 40, 30, channels)).astype(np.uint8)
    shown[:, 10:30, 12:18] //= 4

    read = rows(npz(saved(tmp_path / "a.npz", {"X": shown, "y": SEVENS})))

    assert {row["format"] for row in read} == {"file"}
    assert all(np.array_equal(images.prepare(row["image"]), images.prepare(one)) for row, one in zip(read, shown, strict=True))
    assert cv2.imdecode(np.frombuffer(read[0]["image"], np.uint8), cv2.IMREAD_UNCHANGED) is not None


@pytest.mark.parametrize(
    ("value", "reason"),
    [(256, "a pixel is outside 0 to 255"), (-1, "a pixel is outside 0 to 255"), (np.nan, "a pixel is missing or no number")],
)
def test_a_pixel_that_is_none_makes_its_row_a_bad_one(tmp_path: Path, value: float, reason: str) -> None:
    shown = pictures(4).astype(np.float32)
    shown[2, 0, 0] = value
    lake = Lake("memory", lambda _: MemoryStore())

    added = lake.add(npz(saved(tmp_path / "a.npz", {"x": shown, "y": np.arange(4)})))

    (bad,) = lake.quarantine()
    assert (added.added, bad.reasons, bad.row) == (3, (reason,), 2)
    assert bad.image == shown[2].tobytes()[:4096]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": pictures(4) + 0.5, "y": SEVENS}, "x.npy holds 0.5, neither whole from 0 to 255 nor"),
        ({"x": pictures(4) / 300, "y": SEVENS}, "neither whole from 0 to 255 nor that divided by 255"),
        ({"x": pictures(4)}, "has x.npy, and no y with its labels"),
        ({"x_test": pictures(4), "y": SEVENS}, "has x_test.npy, and no y_test with its labels"),
        ({"a": pictures(4), "b": SEVENS}, "no arrays of pictures and labels: it has a, b"),
        ({"x": pictures(4), "images": pictures(4), "y": SEVENS}, "has x.npy and images.npy, which mean the same"),
        ({"x": pictures(4), "y": SEVENS[:3]}, "y.npy has 3 rows, and x.npy 4"),
        ({"x": pictures(4), "y": np.eye(4)}, "y.npy is 4 x 4 of float64, no column"),
        ({"x": pictures(4)[..., None, None], "y": SEVENS}, "x.npy is 4 x 28 x 28 x 1 x 1 of uint8, no pictures"),
        ({"x": pictures(4)[:, 0], "y": SEVENS}, "x.npy is 4 x 28 of uint8, no pictures"),
        ({"x": pictures(4)[:, :0], "y": SEVENS}, "no pictures of 1 to"),
        ({"x": pictures(4).astype(str), "y": SEVENS}, "of <U3, no pictures"),
        ({"x": pictures(0), "y": SEVENS[:0]}, "holds no rows"),
        ({"x": pictures(4), "y": np.array([7, "7", None, 7], object)}, "y.npy holds Python objects, which are never loaded"),
        ({"x": np.asfortranarray(pictures(4)), "y": SEVENS}, "x.npy is stored column by column"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, arrays: dict[str, Array], words: str) -> None:
    path = saved(tmp_path / "a.npz", arrays)

    with pytest.raises(DataError) as refused:
        npz(path)

    assert str(path) in refused.value.problem
    assert words in refused.value.problem
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-30], "is not a whole .npz file"),
        (lambda data: data[:1000] + bytes(8) + data[1008:], "is not a whole .npz file: x.npy: Bad CRC-32"),
        (lambda data: data.replace(b"\x93NUMPY", b"\x93NUMPX"), "is not a whole .npz file: x.npy: the magic string"),
        (lambda data: data.replace(b"'descr'", b"'descx'"), "is not a whole .npz file"),
        (lambda data: data.replace(b"\x93NUMPY\x01", b"\x93NUMPY\x03"), "x.npy has the format 3.0"),
    ],
    ids=["cut", "checksum", "magic", "header", "version"],
)
def test_a_broken_file_is_named_and_nothing_is_added(tmp_path: Path, damage: Callable[[bytes], bytes], words: str) -> None:
    path = saved(
        tmp_path / "a.npz", {"x": np.random.default_rng(1).integers(0, 255, (8, 28, 28)).astype(np.uint8), "y": np.arange(8)}
    )
    path.write_bytes(damage(path.read_bytes()))
    store = MemoryStore()

    with pytest.raises(DataError) as refused:
        Lake("memory", lambda _: store).add(npz(path))

    assert str(path) in refused.value.problem
    assert words in refused.value.problem
    assert store.version("examples") is None


@pytest.mark.parametrize(("rows_said", "words"), [(9, "x.npy ends 784 bytes or more too early"), (7, "x.npy goes on after")])
def test_an_array_of_another_length_than_it_says_is_named(tmp_path: Path, rows_said: int, words: str) -> None:
    path = saved(tmp_path / "a.npz", {"x": pictures(8), "y": np.arange(rows_said)})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"(8, 28, 28)", b"(%d, 28, 28)" % rows_said))

    with pytest.raises(DataError) as refused:
        rows(npz(path))

    assert words in refused.value.problem


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
            return open, (str(tmp_path / "sprung"),)

    path = saved(tmp_path / "a.npz", {"x": pictures(1), "y": np.array([Trap()], object)})

    with pytest.raises(DataError, match="holds Python objects"):
        opened(path)


def test_large_pictures_come_in_smaller_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "BATCH_BYTES", 20_000)
    path = saved(tmp_path / "a.npz", {"x": pictures(10, 112, 112), "y": np.arange(10)})

    assert max(len(batch) for batch in npz(path).batches()) == 1


def test_a_zip_of_other_things_is_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")

    assert not module.is_npz(path.read_bytes())


@pytest.mark.parametrize("order", "<>")
def test_text_that_is_none_is_a_label_that_no_class_has(tmp_path: Path, order: str) -> None:
    codes = np.array([[0xD800], [0x110005], [ord("7")], [0]], np.dtype(f"{order}u4"))
    path = saved(tmp_path / "odd.npz", {"x": pictures(4), "y": codes.view(f"{order}U1")})

    assert [row["label"] for row in rows(npz(path))] == ["\ufffd", "\ufffd", "7", None]


def test_a_column_of_text_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "wide.npz", {"x": pictures(2), "y": np.array(["7", "7" * 100_000])}, packed=True)

    with pytest.raises(DataError, match=r"y.npy is 2 of <U100000, no column of at most 4096 bytes a row"):
        npz(path)


@pytest.mark.parametrize("header", ["{'descr': (", "(" * 300, "'''", "  1\n 2", "{'descr': '<u1'}"])
def test_a_header_that_is_none_is_named(tmp_path: Path, header: str) -> None:
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as packed:
        packed.writestr("x.npy", start)

    with pytest.raises(DataError, match=r"odd.npz is not a whole .npz file: x.npy: "):
        npz(tmp_path / "odd.npz")


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_is_named_however_it_is_packed(tmp_path: Path, packing: int) -> None:
    whole = saved(
        tmp_path / "whole.npz", {"x": np.random.default_rng(1).integers(0, 255, (50, 28, 28), np.uint8), "y": np.full(50, 7)}
    )
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "odd.npz", "w", packing) as packed:
        packed.writestr("x.npy", source.read("x.npy"))
        packed.writestr("y.npy", source.read("y.npy"))
    data = bytearray((tmp_path / "odd.npz").read_bytes())
    data[5_000:5_100] = bytes(100)
    (tmp_path / "odd.npz").write_bytes(data)

    with pytest.raises(DataError, match=r"odd\.npz"):
        rows(npz(tmp_path / "odd.npz"))
