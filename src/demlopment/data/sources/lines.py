"""The lines of a file, however many there are, one after the other. Knows nothing of what stands in them."""

from collections.abc import Iterator

from demlopment.data.sources.unpacked import Unpacked

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # which some programs put before a text; it belongs to no line
PIECE = 1 << 16  # bytes that are read at once: what lies in memory beside the lines


def lines(file: Unpacked, longest: int) -> Iterator[bytes]:
    """Every line without its ending; of one that is longer than `longest` bytes the first `longest` + 1."""
    rest, piece = b"", file.upto(PIECE).removeprefix(BYTE_ORDER_MARK)
    while piece:
        *whole, last = piece.split(b"\n")
        for line in whole:
            yield (rest + line)[: longest + 1].removesuffix(b"\r")
            rest = b""
        # Each byte of a long line is copied once for each piece of it: at most `longest` / PIECE times.
        rest = (rest + last)[: longest + 1]
        piece = file.upto(PIECE)
    if rest:
        yield rest
