"""The same character as other clients would send it: what must not change the answer. Knows no model.

Each change takes one prepared picture, (28, 28), ink light on dark, and gives what `images.prepare` is given: an array,
or the bytes of a file. What a camera or a scanner does is done to a page: four times as large, dark on light, with a margin.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from demlopment.images import Grey

Sent = bytes | npt.NDArray[np.generic]
Change = Callable[[Grey, np.random.Generator], Sent]

ENLARGED = 4
MARGIN = 16  # pixels of paper around the enlarged picture
Colour = tuple[int, int, int]  # red, green, blue
LOSSLESS = 101  # WebP's quality from which OpenCV loses nothing


def page(picture: Grey) -> Grey:
    """(144, 144), as a scan: dark on light."""
    large = cv2.resize(picture, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_LINEAR)
    return np.asarray(255 - np.pad(large, MARGIN), np.uint8)


def scanned(picture: Grey, _: np.random.Generator) -> Sent:
    return page(picture)


def inverted(picture: Grey, _: np.random.Generator) -> Sent:
    return np.asarray(255 - picture, np.uint8)


def thinner(picture: Grey, _: np.random.Generator) -> Sent:
    return np.asarray(cv2.dilate(page(picture), _brush()), np.uint8)


def thicker(picture: Grey, _: np.random.Generator) -> Sent:
    return np.asarray(cv2.erode(page(picture), _brush()), np.uint8)


def cornered(picture: Grey, _: np.random.Generator) -> Sent:
    """In the corner of a sheet twice as wide and high."""
    small = page(picture)
    return np.pad(small, ((len(small), 0), (0, len(small))), constant_values=255)


def shaded(picture: Grey, _: np.random.Generator) -> Sent:
    """One side of the page lies in shade: a sixth darker than the other."""
    light = np.linspace(1, 5 / 6, len(page(picture)))
    return np.rint(page(picture) * light).astype(np.uint8)


def transparent(picture: Grey, _: np.random.Generator) -> Sent:
    """Black ink on nothing, as a canvas exports it."""
    alpha = 255 - page(picture)
    return _file(np.dstack([np.zeros((*alpha.shape, 3), np.uint8), alpha]), ".png")


def sixteen_bits(picture: Grey, _: np.random.Generator) -> Sent:
    return _file(page(picture).astype(np.uint16) * 257, ".png")


def floats(picture: Grey, _: np.random.Generator) -> Sent:
    return picture.astype(np.float32) / 255


def two_tones(picture: Grey, _: np.random.Generator) -> Sent:
    """As a fax: every pixel is ink or paper."""
    return page(picture) < 128


def moved(pixels: int) -> Change:
    def change(picture: Grey, rng: np.random.Generator) -> Sent:
        right, down = pixels * rng.choice([-1, 1], 2)
        return _warped(picture, np.array([[1, 0, right], [0, 1, down]], np.float64), paper=0)

    return change


def turned(degrees: float) -> Change:
    """Either way round."""

    def change(picture: Grey, rng: np.random.Generator) -> Sent:
        scan = page(picture)
        middle = (len(scan) - 1) / 2
        turn = cv2.getRotationMatrix2D((middle, middle), degrees * rng.choice([-1, 1]), 1.0)
        return _warped(scan, np.asarray(turn, np.float64), paper=255)

    return change


def slanted(share: float) -> Change:
    """By a share of the height, either way."""

    def change(picture: Grey, rng: np.random.Generator) -> Sent:
        scan = page(picture)
        slant = share * rng.choice([-1, 1])
        return _warped(scan, np.array([[1, slant, -slant * len(scan) / 2], [0, 1, 0]]), paper=255)

    return change


def sized(side: int) -> Change:
    """The page with `side` pixels a side."""

    def change(picture: Grey, _: np.random.Generator) -> Sent:
        scan = page(picture)
        smaller = side < len(scan)
        return np.asarray(cv2.resize(scan, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))

    return change


def stretched(factor: float) -> Change:
    """Wider or higher by that factor."""

    def change(picture: Grey, rng: np.random.Generator) -> Sent:
        across, down = rng.permutation([factor, 1.0])
        return np.asarray(cv2.resize(page(picture), None, fx=across, fy=down, interpolation=cv2.INTER_LINEAR))

    return change


def blurred(pixels: float) -> Change:
    """Out of focus: by so many pixels of the page."""

    def change(picture: Grey, _: np.random.Generator) -> Sent:
        return np.asarray(cv2.GaussianBlur(page(picture), (0, 0), pixels), np.uint8)

    return change


def grained(tones: float) -> Change:
    """A sensor's noise, so many tones strong."""

    def change(picture: Grey, rng: np.random.Generator) -> Sent:
        scan = page(picture)
        return np.clip(np.rint(scan + rng.normal(0, tones, scan.shape)), 0, 255).astype(np.uint8)

    return change


def coloured(ink: Colour, paper: Colour) -> Change:
    def change(picture: Grey, _: np.random.Generator) -> Sent:
        of_paper = page(picture)[:, :, None] / 255
        return np.rint(np.array(ink) * (1 - of_paper) + np.array(paper) * of_paper).astype(np.uint8)

    return change


def filed(kind: str, quality: int | None = None) -> Change:
    """A file of that kind (".png"), as good as its format makes it or of `quality`, 1 to 100."""
    option = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}.get(kind)

    def change(picture: Grey, _: np.random.Generator) -> Sent:
        return _file(page(picture), kind, () if option is None or quality is None else (option, quality))

    return change


def _file(picture: npt.NDArray[np.integer], kind: str, options: tuple[int, ...] = ()) -> bytes:
    done, encoded = cv2.imencode(kind, picture, options)
    assert done, f"OpenCV writes {kind}"
    return bytes(encoded)


def _brush() -> Grey:
    """What half a pixel of the prepared picture is on the page, to every side."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (ENLARGED + 1, ENLARGED + 1)), np.uint8)


def _warped(picture: Grey, matrix: npt.NDArray[np.float64], paper: int) -> Grey:
    side = len(picture)
    return np.asarray(
        cv2.warpAffine(
            picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=paper
        ),
        np.uint8,
    )
