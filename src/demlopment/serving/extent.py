"""How many pixels a picture has, told from its header before anything is unpacked. Knows formats; decodes nothing.

The layouts are those of the PNG, BMP, JPEG (ITU-T T.81, annex B) and WebP (RFC 9649) specifications.
"""

import struct

from demlopment import images
from demlopment.images import MAX_PIXELS

PNG, BMP, CORE = struct.Struct(">II"), struct.Struct("<ii"), struct.Struct("<HH")
CORE_BYTES = 12  # of OS/2's header of a BMP, whose sides have 16 bits
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers behind which a JPEG has its sides
BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
EXTENDED, LOW = struct.Struct("<HBHB"), 0x3FFF  # of a WebP: two sides less one in 24 bits each, and the 14 bits of others


def pixels(data: bytes) -> int:
    """What the header says: 0 where nothing would be unpacked, and more than is allowed where it cannot be told.

    >>> import numpy as np
    >>> pixels(images.encode_png(np.zeros((30, 20), np.uint8))), pixels(b"no picture")
    (600, 0)
    """
    try:
        width, height = _sides(data)
    except (struct.error, IndexError):
        return MAX_PIXELS + 1
    return abs(width * height)  # a BMP that begins with its first line has a negative height


def _sides(data: bytes) -> tuple[int, int]:
    """Width and height. Raises struct.error or IndexError where the header ends before them."""
    if data.startswith(images.PNG_SIGNATURE):
        width, height = PNG.unpack_from(data, 16)
        return width, height
    if data.startswith(b"BM"):
        width, height = (CORE if data[14] == CORE_BYTES else BMP).unpack_from(data, 18)
        return width, height
    if data.startswith(images.JPEG_SIGNATURE):
        return _of_a_jpeg(data)
    return _of_a_webp(data) if images.is_picture(data[:12]) else (0, 0)


def _of_a_jpeg(data: bytes) -> tuple[int, int]:
    place = 2
    while True:
        place = data.find(b"\xff", place)
        if place < 0:
            raise IndexError
        marker, start = data[place + 1], place + 2
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", data, start + 3)
            return width, height or MAX_PIXELS  # told behind the first scan, which a decoder would have to read
        if marker == 0xFF:  # fills
            place += 1
        else:
            place = start if marker in BARE or not marker else start + struct.unpack_from(">H", data, start)[0]


def _of_a_webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        width, more_width, height, more_height = EXTENDED.unpack_from(data, 24)
        return 1 + (more_width << 16 | width), 1 + (more_height << 16 | height)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & LOW), 1 + (bits >> 14 & LOW)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & LOW, height & LOW
