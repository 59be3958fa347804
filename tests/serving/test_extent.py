"""What OpenCV decodes is the oracle: a picture never has more pixels than its header was read to say."""

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment import images
from demlopment.images import MAX_PIXELS
from demlopment.serving.extent import pixels

FORMATS = {
    "png": (".png", []),
    "bmp": (".bmp", []),
    "jpeg": (".jpg", []),
    "progressive jpeg": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "jpeg with restarts": (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]),
    "webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 50]),
    "webp without loss": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
}


def encoded(kind: str, shape: tuple[int, ...]) -> bytes:
    ending, options = FORMATS[kind]
    noise = np.random.default_rng(len(kind)).integers(0, 255, shape, np.uint8)
    return bytes(cv2.imencode(ending, noise, options)[1].tobytes())


def decodes(data: bytes) -> int:
    """To how many pixels; none where OpenCV refuses it, one way or the other."""
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return 0
    return 0 if decoded is None else decoded.shape[0] * decoded.shape[1]


@given(st.sampled_from(list(FORMATS)), st.integers(1, 300), st.integers(1, 300), st.sampled_from([(), (3,), (4,)]))
def test_the_pixels_are_those_that_are_decoded(kind: str, height: int, width: int, channels: tuple[int, ...]) -> None:
    assert pixels(encoded(kind, (height, width, *channels))) == height * width


@given(st.sampled_from(list(FORMATS)), st.integers(0, 80), st.data())
def test_whatever_happens_to_a_header_more_is_never_decoded_than_it_says(kind: str, place: int, data: st.DataObject) -> None:
    whole = bytearray(encoded(kind, (9, 7)))
    whole[place : place + 1] = data.draw(st.binary(max_size=3))

    decoded = images.is_picture(bytes(whole)) and decodes(bytes(whole))

    assert pixels(bytes(whole)) >= decoded


@pytest.mark.parametrize("channels", [(), (4,)])  # with four a WebP has another header
@pytest.mark.parametrize("kind", list(FORMATS))
def test_a_header_that_ends_too_early_says_that_it_may_be_anything(kind: str, channels: tuple[int, ...]) -> None:
    whole = encoded(kind, (9, 7, *channels))

    assert {pixels(whole[:length]) for length in range(12, len(whole))} <= {63, MAX_PIXELS + 1}
    assert pixels(whole[:13]) == MAX_PIXELS + 1


@pytest.mark.parametrize("sides", [(3000, -3000), (-3000, 3000), (-3000, -3000)])
def test_a_bmp_upside_down_has_its_pixels_too(sides: tuple[int, int]) -> None:
    assert pixels(b"BM" + bytes(12) + struct.pack("<Iii", 40, *sides)) == 9_000_000


@given(st.binary(max_size=40))
def test_what_is_no_picture_has_no_pixels(data: bytes) -> None:
    assert images.is_picture(data[:12]) or pixels(data) == 0
