"""The fifteen corruptions of MNIST-C, written anew: what bad light, bad paper and bad scanners do. Knows no model.

Source   N. Mu, J. Gilmer, "MNIST-C: A robustness benchmark for computer vision", 2019, https://arxiv.org/abs/1906.02337;
         the strengths follow the authors' code where it has several, and end at their picture where it has one.
Shapes   (n, 28, 28) uint8, one or more, ink light on dark -> the same; each picture by its own chance, all of it from `rng`.
Strength 0 changes nothing, 1 to 5 are MNIST-C's. With equal generators two strengths are less and more of the same corruption.
"""

from collections.abc import Callable
from math import ceil, radians

import cv2
import numpy as np
import numpy.typing as npt

from demlopment.images import SIDE, Grey

Corruption = Callable[[Grey, float, np.random.Generator], Grey]
Floats = npt.NDArray[np.float64]

STRENGTHS = (1, 2, 3, 4, 5)
MUD = 63  # of 255, the tone of a splash
LINES = 5  # at the greatest strength


def shot_noise(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Too little light: each pixel counts photons, of which white has 60 at strength 1 and 2.4 at 5."""
    if strength == 0:
        return pictures
    white = 60 / strength**2
    return _toned(rng.poisson(pictures / 255 * white) / white * 255)


def impulse_noise(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """A twentieth of the pixels for each strength is dead: black or white."""
    dead, tone = rng.random(pictures.shape) < 0.05 * strength, rng.integers(0, 2, pictures.shape) * 255
    return _toned(np.where(dead, tone, pictures))


def glass_blur(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Frosted glass: each pixel shows one that is up to 0.8 pixels away for each strength, and all are blurred."""
    rows, columns = np.rint(np.indices((SIDE, SIDE))[:, None] + 0.8 * strength * rng.uniform(-1, 1, (2, *pictures.shape)))
    numbers = np.arange(len(pictures))[:, None, None]
    shown = pictures[numbers, _inside(rows), _inside(columns)]
    if strength == 0:
        return shown
    return np.stack([np.asarray(cv2.GaussianBlur(each, (0, 0), 0.3 * strength), np.uint8) for each in shown])


def motion_blur(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """The hand that held the camera moved by twice the strength in pixels, up to 45 degrees from level."""
    angles = rng.uniform(radians(-45), radians(45), len(pictures))
    return _each(pictures, [_path(strength, angle) for angle in angles], lambda one, path: cv2.filter2D(one, -1, path))


def shear(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """To either side, by a fifth of the height for each strength."""
    return _mapped(pictures, [np.array([[1, 0.2 * strength * side], [0, 1]]) for side in _sides(rng, len(pictures))])


def scale(pictures: Grey, strength: float, _: np.random.Generator) -> Grey:
    """Smaller by a tenth for each strength."""
    return _mapped(pictures, [np.eye(2) * (1 - 0.1 * strength)] * len(pictures))


def rotate(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Either way round, by a fifth of a radian (11 degrees) for each strength."""
    return _mapped(pictures, [_turn(0.2 * strength * side) for side in _sides(rng, len(pictures))])


def brightness(pictures: Grey, strength: float, _: np.random.Generator) -> Grey:
    """Everything lighter by a tenth of white for each strength."""
    return _toned(pictures + 25.5 * strength)


def translate(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Towards one of four corners, by a pixel each way for each strength; what leaves the picture is lost."""
    shifts = np.stack([_sides(rng, len(pictures)), _sides(rng, len(pictures))], axis=1) * float(strength)
    return _mapped(pictures, [np.eye(2)] * len(pictures), np.asarray(shifts, np.float64))


def stripe(pictures: Grey, strength: float, _: np.random.Generator) -> Grey:
    """The columns at both sides are inverted: seven of 28 on each at the greatest strength."""
    width = round(SIDE / 4 * strength / 5)
    striped = pictures.copy()
    striped[:, :, :width] = 255 - striped[:, :, :width]
    striped[:, :, SIDE - width :] = 255 - striped[:, :, SIDE - width :]
    return striped


def fog(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Clouds lie over the picture, at the greatest strength with three times its weight."""
    clouds, weight = np.stack([_cloud(rng) for _ in pictures]), 0.6 * strength
    return _toned((pictures + weight * 255 * clouds) / (1 + weight))


def spatter(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """Mud has splashed on a sixteenth of the picture for each strength."""
    splashes = [cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE)), (0, 0), 1.5) for _ in pictures]
    rank = np.reshape(splashes, (-1, SIDE * SIDE)).argsort(axis=1).argsort(axis=1).reshape(pictures.shape)
    return _toned(np.where(rank >= SIDE * SIDE * (1 - strength / 16), MUD, pictures))


def dotted_line(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """As many lines as the strength from side to side, two pixels drawn and two not."""
    heights = rng.integers(0, SIDE, (len(pictures), LINES, 2))
    drawn = _ink(pictures, [[np.array([[0, left], [SIDE - 1, right]]) for left, right in each] for each in heights], strength)
    return np.asarray(np.where(np.arange(SIDE) % 4 < 2, np.maximum(pictures, drawn), pictures), np.uint8)


def zigzag(pictures: Grey, strength: float, rng: np.random.Generator) -> Grey:
    """As many zigzags as the strength from side to side, two pixels up and two down."""
    across = np.arange(2, SIDE - 1, 2)
    teeth = 2 * (np.arange(len(across)) % 2 * 2 - 1)
    heights = rng.integers(0, SIDE, (len(pictures), LINES, 1))
    slopes = np.clip(heights + rng.integers(-5, 6, heights.shape), 0, SIDE - 1)
    lines = np.rint(np.linspace(0, 1, len(across)) * (slopes - heights) + heights + teeth).astype(np.int64)
    drawn = _ink(pictures, [[np.stack([across, line], axis=1) for line in each] for each in lines], strength)
    return np.maximum(pictures, drawn)


def canny_edges(pictures: Grey, strength: float, _: np.random.Generator) -> Grey:
    """The strokes fade and their outlines, as Canny's detector finds them, take their place."""
    outlines = np.reshape([cv2.Canny(each, 100, 200) for each in pictures], pictures.shape)
    return _toned(pictures + strength / 5 * (outlines.astype(np.float64) - pictures))


def _toned(values: npt.NDArray[np.generic]) -> Grey:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _sides(rng: np.random.Generator, number: int) -> npt.NDArray[np.int64]:
    """(number,): -1 or 1."""
    return rng.integers(0, 2, number) * 2 - 1


def _inside(places: Floats) -> npt.NDArray[np.int64]:
    return np.clip(places, 0, SIDE - 1).astype(np.int64)


def _each(pictures: Grey, amounts: list[Floats], change: Callable[[Grey, Floats], object]) -> Grey:
    changed = [np.asarray(change(each, amount), np.uint8) for each, amount in zip(pictures, amounts, strict=True)]
    return np.stack(changed)


def _mapped(pictures: Grey, matrices: list[Floats], shifts: Floats | None = None) -> Grey:
    """Each picture under its own (2, 2) matrix about the middle, then moved right and down by its shift."""
    middle = np.full(2, (SIDE - 1) / 2)
    moved = np.zeros((len(pictures), 2)) if shifts is None else shifts
    maps = [np.column_stack([matrix, middle - matrix @ middle + shift]) for matrix, shift in zip(matrices, moved, strict=True)]
    return _each(pictures, maps, lambda one, affine: cv2.warpAffine(one, affine, (SIDE, SIDE), flags=cv2.INTER_LINEAR))


def _turn(angle: float) -> Floats:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _path(reach: float, angle: float) -> Floats:
    """A kernel whose weight lies evenly on a line through its middle, `reach` pixels to either side."""
    half = ceil(reach) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    for along in np.linspace(-reach, reach, 4 * half + 1):
        x, y = half + along * np.cos(angle), half + along * np.sin(angle)
        left, top = int(x), int(y)
        right, down = x - left, y - top
        kernel[top : top + 2, left : left + 2] += np.outer([1 - down, down], [1 - right, right])
    return np.asarray(kernel / kernel.sum())


def _cloud(rng: np.random.Generator) -> Floats:
    """(28, 28), 0 to 1: coarse clouds with finer ones on them, each octave half as strong as the one before."""
    total = np.zeros((SIDE, SIDE))
    for octave in range(4):
        grid = rng.random((2 ** (octave + 1) + 1,) * 2)
        total += 0.5**octave * np.asarray(cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    return np.asarray((total - total.min()) / (total.max() - total.min()))


def _ink(pictures: Grey, lines: list[list[npt.NDArray[np.int64]]], strength: float) -> Grey:
    """As many of each picture's lines as the strength, a pixel wide on nothing."""
    drawn = np.zeros_like(pictures)
    for field, each in zip(drawn, lines, strict=True):
        cv2.polylines(field, [line.astype(np.int32) for line in each[: round(strength)]], False, 255, 1, cv2.LINE_AA)  # noqa: FBT003
    return drawn
