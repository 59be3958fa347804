"""How a digit gets from a hand to the endpoint: who writes it, with what, and what takes its picture. Knows no room but
evaluation's pages, and neither classes nor time.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from demlopment import images
from demlopment.errors import DataError
from demlopment.evaluation import changes, corruptions
from demlopment.images import Grey

# scanner: of another make; camera: one whose glass is scratched and foul
Device = Literal["canvas", "scanner", "photo", "other scanner", "broken camera"]
Floats = npt.NDArray[np.float64]

PHOTO_QUALITY = 60  # of a JPEG, as messengers send them
OTHER_QUALITY = 25  # of a scanner that saves its paper's space on the disk
NIGHT = 0.3  # share of the canvases that show light ink on dark


@dataclass(frozen=True)
class Scribe:
    """One writer's hand and pen. The default writes as the digit came."""

    slant: float = 0.0  # to the right, per height
    size: float = 1.0  # of the character
    pen: float = 0.0  # prepared pixels that are added around each stroke; below 0 they are taken away
    pressure: float = 1.0  # 0 to 1: how dark the ink is


@dataclass(frozen=True)
class Guild:
    """Those among whom a writer is drawn: normal with these means and spreads, within what a pen can do."""

    slant: tuple[float, float] = (0.0, 0.12)
    size: tuple[float, float] = (0.85, 0.08)
    pen: tuple[float, float] = (0.1, 0.25)
    pressure: tuple[float, float] = (0.85, 0.1)

    def drawn(self, rng: np.random.Generator, number: int) -> list[Scribe]:
        """That many of them."""
        columns = (
            np.clip(rng.normal(*self.slant, number), -0.6, 0.6),
            np.clip(rng.normal(*self.size, number), 0.5, 1.0),
            np.clip(rng.normal(*self.pen, number), -0.5, 1.5),
            np.clip(rng.normal(*self.pressure, number), 0.4, 1.0),
        )
        return [Scribe(*row) for row in np.stack(columns, axis=1).tolist()]


def sent(digit: Grey, scribe: Scribe, device: Device, rng: np.random.Generator) -> bytes:
    """(28, 28) light on dark -> the bytes of the PNG or JPEG that a client would send.

    Raises DataError for a device that does not exist.
    """
    return captured(written(digit, scribe), device, rng)


def written(digit: Grey, scribe: Scribe) -> Grey:
    """(144, 144), dark on light: the page, before anything has looked at it."""
    page = changes.page(digit)
    reach = round(changes.ENLARGED * abs(scribe.pen))
    if reach:
        tip = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        page = np.asarray((cv2.erode if scribe.pen > 0 else cv2.dilate)(page, tip), np.uint8)
    middle = (len(page) - 1) / 2
    lean = np.array([[scribe.size, -scribe.size * scribe.slant], [0.0, scribe.size]])
    matrix = np.column_stack([lean, middle - lean @ np.full(2, middle)])
    page = _warped(page, matrix)
    return np.asarray(255 - np.rint((255.0 - page) * scribe.pressure), np.uint8)


def captured(page: Grey, device: Device, rng: np.random.Generator) -> bytes:
    """A page as a device sees it and sends it, each time a little otherwise."""
    if device == "canvas":
        canvas = _moved(page, rng, pixels=6.0)
        return images.encode_png(np.asarray(255 - canvas, np.uint8) if rng.random() < NIGHT else canvas)
    if device == "scanner":
        return images.encode_png(_grained(_blurred(_moved(page, rng, pixels=3.0), 0.8), 3.0, rng))
    if device == "photo":
        return _photo(page, rng)
    if device == "other scanner":
        worn = _blurred(_moved(page, rng, pixels=3.0), 4.5)
        return _jpeg(_grained(worn, 8.0, rng), OTHER_QUALITY)
    if device == "broken camera":
        return _photo(changes.page(_foul(page, rng)), rng)
    raise DataError(f"There is no device {device!r}.", "Name canvas, scanner, photo, other scanner or broken camera.")


def _photo(page: Grey, rng: np.random.Generator) -> bytes:
    """By hand: turned, blurred a little, one side in shade, and saved as a JPEG."""
    side = len(page)
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), float(rng.normal(0, 3)), 1.0)
    blurred = _blurred(_warped(page, np.asarray(turn, np.float64)), float(rng.uniform(0.5, 2.0)))
    light = np.linspace(1.0, rng.uniform(0.75, 1.0), side)  # more shade than that is read as ink
    shaded = blurred * (light if rng.random() < 0.5 else light[:, None])
    return _jpeg(_grained(np.asarray(np.rint(shaded), np.uint8), 2.0, rng), PHOTO_QUALITY)


def _foul(page: Grey, rng: np.random.Generator) -> Grey:
    """(28, 28) light on dark, through frosted glass with mud on it."""
    small = 255 - cv2.resize(page, (images.SIDE, images.SIDE), interpolation=cv2.INTER_AREA)
    frosted = corruptions.glass_blur(np.asarray(small, np.uint8)[None], 2, rng)
    return np.asarray(corruptions.spatter(frosted, 2, rng)[0], np.uint8)


def _moved(page: Grey, rng: np.random.Generator, pixels: float) -> Grey:
    right, down = rng.normal(0, pixels, 2)
    return _warped(page, np.array([[1.0, 0.0, right], [0.0, 1.0, down]]))


def _warped(page: Grey, matrix: Floats) -> Grey:
    return np.asarray(
        cv2.warpAffine(page, matrix, page.shape[::-1], borderMode=cv2.BORDER_CONSTANT, borderValue=(255,)), np.uint8
    )


def _blurred(page: Grey, pixels: float) -> Grey:
    return np.asarray(cv2.GaussianBlur(page, (0, 0), pixels), np.uint8)


def _grained(page: Grey, tones: float, rng: np.random.Generator) -> Grey:
    return np.asarray(np.clip(np.rint(page + rng.normal(0, tones, page.shape)), 0, 255), np.uint8)


def _jpeg(page: Grey, quality: int) -> bytes:
    done, encoded = cv2.imencode(".jpg", page, (cv2.IMWRITE_JPEG_QUALITY, quality))
    assert done, "OpenCV always has a JPEG encoder"
    return bytes(encoded)
