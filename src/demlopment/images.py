"""Pixels become model input here and nowhere else. Knows nothing of models, HTTP or the rest of the package.

The same file travels inside every model archive, so it may import NumPy and OpenCV only. The treatment is the one
that MNIST's authors gave their digits: ink light on dark, cropped, scaled into 20 x 20 keeping its aspect, centred by
mass in 28 x 28 (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits").
"""

import os
import struct
import zlib
from collections.abc import Sequence

MAX_PIXELS = 16_000_000  # a 4000 x 4000 scan of one character is already absurd
# OpenCV reads this once, when it is loaded: formats whose size it alone can tell are refused before they are unpacked.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what is wrong with a picture is said in an ImageError

import cv2  # noqa: E402 - after the limit, as the next two
import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

VERSION = 1  # raised with every change that alters a single output pixel; archives record it

SIDE = 28
BOX = 20
MIDDLE = SIDE / 2  # where MNIST puts the centre of mass: pixel index 14.0 +- 0.5 in all of the 5,000 packaged digits
INK = 51  # of 255: fainter than a fifth of the darkest stroke is paper noise, not ink
FULL = 250  # strokes at least this strong are not stretched; MNIST's own reach 254 or 255
MAX_SCANS = 64  # a progressive JPEG has about ten; each takes as long as the whole picture, and a few bytes make one
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
JPEG_SCAN = b"\xff\xda"  # what a picture's data cannot hold: 0xff is followed by 0 there

JPEG_END = b"\xff\xd9"
PNG_END = b"IEND"
CHUNK, CHECKSUM = struct.Struct(">I4s"), struct.Struct(">I")  # of a PNG

PLACES = np.arange(SIDE, dtype=np.float32)
# Of a flat picture: its mass, and that times the distance from the left and from the top. Sums of whole numbers below
# 2 ** 24 are exact in float32, in whatever order they are added.
MOMENTS = np.stack((np.ones(SIDE * SIDE, np.float32), np.tile(PLACES, SIDE), np.repeat(PLACES, SIDE)), axis=1)
SMALL = 4096  # pixels
STRIPE = 1 << 18  # pixels
SHARES = np.arange(256, dtype=np.float32) / np.float32(255)  # what the network is given for each tone

Grey = npt.NDArray[np.uint8]


class ImageError(ValueError):
    """The bytes or the array are not a picture that can be read. The message says why and what to send."""


def prepare(image: bytes | bytearray | memoryview | npt.NDArray[np.generic]) -> Grey:
    """One character as the network sees it: (28, 28) uint8, ink light on dark, the strongest stroke 250 to 255.

    Takes    an encoded picture (PNG, JPEG, BMP, WebP) or an array: (height, width), or with 1, 3 (RGB) or 4 (RGBA)
             channels last; uint8, uint16, bool, or floats from 0 to 1. Any size, either polarity.
    Raises   ImageError for bytes that do not decode, an empty or oversized picture, NaN, an unknown shape or type.
    A blank picture is valid and becomes all zeros; MNIST's own digits pass unchanged.

    >>> import numpy as np
    >>> paper = np.full((90, 60), 250, np.uint8)
    >>> paper[20:70, 28:33] = 10
    >>> prepared = prepare(paper)
    >>> prepared.shape, int(prepared.max()), int(prepared[0, 0])
    ((28, 28), 255, 0)
    """
    grey = _grey(image) if isinstance(image, np.ndarray) else _grey(_decode(bytes(image)), blue_first=True)
    ink = _light_on_dark(grey)
    box = _ink_box(ink)
    if box is None:
        return np.zeros((SIDE, SIDE), np.uint8)
    scaled = _scale(ink, box)
    return _centre(scaled if scaled is ink else _stretch(scaled))


def unchanged(pictures: Grey) -> npt.NDArray[np.bool_]:
    """Which of (n, 28, 28) `prepare` certainly gives back as they are: nearly all of MNIST's, told in a twentieth of the time.

    False says nothing: such a picture is to be prepared.
    """
    columns, rows = pictures.max(axis=1), pictures.max(axis=2)  # (n, 28) each
    rim = np.concatenate((pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]), axis=1)
    on_black = np.count_nonzero(rim == 0, axis=1) > rim.shape[1] // 2  # then the median is 0
    longer = np.maximum(_extent(columns > INK)[1], _extent(rows > INK)[1])
    fits = on_black & (rows.max(axis=1, initial=0) >= FULL) & (longer >= BOX - 2) & (longer <= BOX)
    mass, right, down = (pictures.reshape(-1, SIDE * SIDE).astype(np.float32) @ MOMENTS).astype(np.float64).T
    for moment, tones in ((right, columns), (down, rows)):
        start, length = _extent(tones > 0)
        wanted = np.rint(MIDDLE - moment / np.maximum(mass, 1))
        fits &= np.minimum(np.maximum(wanted, -start), SIDE - start - length) == 0
    return np.asarray(fits, np.bool_)


def is_picture(start: bytes) -> bool:
    """Whether bytes that start so are a PNG, JPEG, BMP or WebP.

    >>> is_picture(b"BM8"), is_picture(b"GIF89a"), is_picture(b"file,label")
    (True, False, False)
    """
    return start.startswith((PNG_SIGNATURE, JPEG_SIGNATURE, b"BM")) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def stacked(prepared: Sequence[Grey]) -> Grey:
    """Prepared images (28, 28) as one batch (n, 28, 28), read only; np.stack takes four times as long for a few of them."""
    return np.frombuffer(b"".join(image.data for image in prepared), np.uint8).reshape(-1, SIDE, SIDE)


def as_input(images: Grey) -> npt.NDArray[np.float32]:
    """Prepared images as a batch for the network: (n, 28, 28) or (28, 28) uint8 -> (n, 1, 28, 28) float32 in 0..1."""
    # One pass, no second copy, and many pictures on every core; what it gives is exactly the quotient.
    flat = cv2.LUT(images.reshape(-1, SIDE * SIDE), SHARES) if images.size else np.empty(0, np.float32)
    return np.asarray(flat, np.float32).reshape(-1, 1, SIDE, SIDE)


def encode_png(image: Grey) -> bytes:
    """A grey picture as PNG bytes, for clients and reports."""
    done, encoded = cv2.imencode(".png", image)
    assert done, "OpenCV always has a PNG encoder"
    return encoded.tobytes()


def _decode(data: bytes) -> npt.NDArray[np.generic]:
    if not data:
        raise ImageError("The image is empty: 0 bytes. Send the bytes of one PNG, JPEG, BMP or WebP picture.")
    if data.startswith(PNG_SIGNATURE) and len(data) >= 24:
        # A PNG's size stands in its first 24 bytes, so a decompression bomb is refused before it is unpacked.
        width, height = struct.unpack(">II", data[16:24])
        _refuse_oversized(height, width)
    if data.startswith(JPEG_SIGNATURE) and data.count(JPEG_SCAN) > MAX_SCANS:
        raise ImageError(f"The image is a JPEG of more than {MAX_SCANS} scans. Save it again, or as PNG.")
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if _is_whole(data) else None
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in str(error):  # what the header says of a BMP, JPEG or WebP: nothing was unpacked
            raise ImageError(f"The image is too large: {MAX_PIXELS} pixels is the limit. Crop it to one character.") from error
        decoded = None  # a header that contradicts itself
    if decoded is None:
        raise ImageError(
            f"The image cannot be decoded: {len(data)} bytes that start with {data[:8]!r}. "
            "Send the bytes of one PNG, JPEG, BMP or WebP picture."
        )
    return decoded


def _is_whole(data: bytes) -> bool:
    """False for what is no PNG, JPEG, BMP or WebP, a PNG that is cut short or has a wrong checksum, and a JPEG without end.

    OpenCV would try a dozen formats more, its libraries speak of the damage on our stderr, and of a JPEG's rest make grey.
    """
    if data.startswith(JPEG_SIGNATURE):
        scan = data.find(JPEG_SCAN)
        return scan < 0 or data.find(JPEG_END, scan) > 0
    if not data.startswith(PNG_SIGNATURE):
        return is_picture(data)
    view, start = memoryview(data), len(PNG_SIGNATURE)
    while start + 12 <= len(data):
        length, kind = CHUNK.unpack_from(data, start)
        end = start + 8 + length
        if end + 4 > len(data) or CHECKSUM.unpack_from(data, end)[0] != zlib.crc32(view[start + 4 : end]):
            return False
        if kind == PNG_END:
            return True
        start = end + 4
    return False


def _refuse_oversized(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise ImageError(
            f"The image is too large: {width} x {height} pixels, and {MAX_PIXELS} is the limit. Crop it to one character."
        )


def _grey(image: npt.NDArray[np.generic], *, blue_first: bool = False) -> Grey:
    """(height, width) uint8 from any accepted array; `blue_first` says that colours come in OpenCV's order."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[2] not in (3, 4)):
        raise ImageError(
            f"The image has shape {image.shape}. Send (height, width), or (height, width, channels) with 1, 3 or 4 channels."
        )
    _refuse_oversized(image.shape[0], image.shape[1])
    pixels = _eight_bit(image)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 4:
        pixels = _on_white(pixels)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY if blue_first else cv2.COLOR_RGB2GRAY), np.uint8)


def _eight_bit(image: npt.NDArray[np.generic]) -> Grey:
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image, np.uint8)
    if image.dtype == np.uint16:
        return np.right_shift(image.astype(np.uint16), 8).astype(np.uint8)
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(image.dtype, np.floating):
        values = image.astype(np.float64)
        if np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1:
            return np.rint(values * 255).astype(np.uint8)
        raise ImageError("The image holds floats outside 0 to 1, or NaN. Scale it to 0..1, or send uint8.")
    raise ImageError(f"The image has type {image.dtype}. Send uint8, uint16, bool, or floats from 0 to 1.")


def _on_white(pixels: Grey) -> Grey:
    """Transparent pixels show the paper: a canvas that exports RGBA leaves the background at alpha 0."""
    shown = np.empty((*pixels.shape[:2], 3), np.uint8)
    step = max(1, STRIPE // pixels.shape[1])  # of a large picture the floats would take ten times its bytes
    for start in range(0, len(pixels), step):
        stripe = pixels[start : start + step]
        alpha = stripe[:, :, 3:].astype(np.float32) / 255
        shown[start : start + step] = np.rint(stripe[:, :, :3] * alpha + 255 * (1 - alpha))
    return shown


def _light_on_dark(grey: Grey) -> Grey:
    """The paper becomes 0 and the strongest stroke 255, whichever of the two was lighter."""
    paper = _median(_rim(grey))
    darkest, lightest = map(int, cv2.minMaxLoc(grey)[:2])
    if paper == 0:
        return _stretched(grey.copy(), lightest)  # never the caller's own array
    background = np.full_like(grey, paper)
    if paper - darkest > lightest - paper:
        return _stretched(np.asarray(cv2.subtract(background, grey), np.uint8), paper - darkest)
    return _stretched(np.asarray(cv2.subtract(grey, background), np.uint8), lightest - paper)


def _rim(grey: Grey) -> bytes:
    """The tones around the picture, in no order."""
    if grey.size > SMALL:
        return b"".join((grey[0].tobytes(), grey[-1].tobytes(), grey[:, 0].tobytes(), grey[:, -1].tobytes()))
    pixels, width = grey.tobytes(), grey.shape[1]  # of a small one, slices of bytes take half the time
    return b"".join((pixels[:width], pixels[-width:], pixels[::width], pixels[width - 1 :: width]))


def _median(values: bytes) -> int:
    """The middle one. Below some hundred, sorting in Python is quicker than setting NumPy to work."""
    middle = len(values) // 2
    if values.count(values[0]) > middle:  # as paper is
        return values[0]
    if len(values) <= 256:  # the rim of MNIST's pictures has 112
        return sorted(values)[middle]
    return int(np.partition(np.frombuffer(values, np.uint8), middle)[middle])


def _stretch(ink: Grey) -> Grey:
    """Make the strongest stroke 255: a pencil is as black as a pen, and a thin line scaled down does not fade away."""
    return _stretched(ink, int(ink.max()))


def _stretched(ink: Grey, peak: int) -> Grey:
    if peak == 0 or peak >= FULL:
        return ink
    return np.asarray(cv2.convertScaleAbs(ink, alpha=255 / peak), np.uint8)


def _ink_box(ink: Grey) -> tuple[int, int, int, int] | None:
    """Left, top, width and height of the ink, or None for a blank page."""
    x, y, width, height = cv2.boundingRect((ink > INK).view(np.uint8))
    return (x, y, width, height) if width else None


def _extent(marked: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where the marks of each row (n, 28) begin, and how far they reach."""
    start, after = marked.argmax(axis=1), SIDE - marked[:, ::-1].argmax(axis=1)
    return start, np.where(marked.any(axis=1), after - start, 0)


def _scale(ink: Grey, box: tuple[int, int, int, int]) -> Grey:
    """The character in 28 x 28 with its longer side 20 pixels; one that already has that size is not resampled."""
    x, y, width, height = box
    longer = max(width, height)
    if ink.shape == (SIDE, SIDE) and BOX - 2 <= longer <= BOX:
        # MNIST's own digits: faint rims put their ink box at 18 to 20 pixels, and scaling again would only blur them.
        return ink
    size = (max(1, round(width * BOX / longer)), max(1, round(height * BOX / longer)))
    crop = ink[y : y + height, x : x + width]
    interpolation = cv2.INTER_AREA if longer > BOX else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(crop, size, interpolation=interpolation), np.uint8)
    field = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    field[top : top + size[1], left : left + size[0]] = scaled
    return field


def _centre(field: Grey) -> Grey:
    """Shift by whole pixels so that the centre of mass lies in the middle, without pushing ink over the rim."""
    mass, across, along = field.ravel().astype(np.float32).dot(MOMENTS).tolist()  # `@` takes longer
    right, down = round(MIDDLE - across / mass), round(MIDDLE - along / mass)
    if right == 0 and down == 0:
        return field
    x, y, width, height = cv2.boundingRect(field)
    right, down = _inside(right, x, width), _inside(down, y, height)
    if right == 0 and down == 0:
        return field
    shifted = np.zeros_like(field)
    shifted[y + down : y + down + height, x + right : x + right + width] = field[y : y + height, x : x + width]
    return shifted


def _inside(shift: int, start: int, length: int) -> int:
    """The shift, limited to what keeps the ink inside the field."""
    return min(max(shift, -start), SIDE - start - length)
