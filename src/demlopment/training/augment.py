"""The same character written by another hand or seen on worse paper, on tensors. Knows nothing of labels or networks.

Each transform takes images (n, 1, 28, 28) with values in 0..1, ink light on dark, a generator from which all its
randomness comes, and one amount: how far it may go at most. The answer has the same shape and range; 0 changes nothing.
"""

from dataclasses import asdict, dataclass
from math import radians

import torch
import torch.nn.functional as F  # noqa: N812  # the name that PyTorch's readers expect
from torch import Generator, Tensor

from demlopment.images import SIDE

KNOTS = 5  # a side: one every seven pixels, about the length of a stroke's bend


@dataclass(frozen=True)
class Strength:
    """How far each transform may go; unless it is said otherwise, the amount of each image is drawn evenly up to its limit.

    The limits of the first four are about the spread of real writing after `images.prepare`, which has already removed
    size and position: slant and aspect vary most, the centre by about a pixel.
    """

    rotation: float = 12.0  # degrees, either way
    scale: float = 0.12  # natural logarithm of the stretch, either way, each axis by itself
    shear: float = 0.2  # horizontal shift per unit of height, either way
    shift: float = 1.5  # pixels, either way, each axis by itself
    bend: float = 0.5  # pixels, the standard deviation of a smooth field; 1.0 already made digits that nobody writes
    thickness: float = 1.0  # pixels at each edge of a stroke, more or less; at most 1
    contrast: float = 0.0  # natural logarithm of the power that each tone is raised to, either way
    blur: float = 0.0  # share of a pixel that is spread over its 3 x 3 neighbourhood
    noise: float = 0.0  # standard deviation of the paper's grain
    occlusion: float = 0.0  # pixels, the longest side of a rectangle of blank paper
    inversion: float = 0.0  # probability of dark on light

    def times(self, share: float) -> "Strength":
        """The same transforms, each going that share of as far."""
        return Strength(**{name: share * amount for name, amount in asdict(self).items()})


def augment(images: Tensor, generator: Generator, strength: Strength = Strength()) -> Tensor:
    """Each image written and seen in its own way: (n, 1, 28, 28) in 0..1 -> the same shape and range.

    First the hand (its movement and its pen), then the paper.
    """
    images = warped(images, generator, strength)
    if strength.thickness:
        images = thickened(images, generator, strength.thickness)
    if strength.contrast:
        images = contrasted(images, generator, strength.contrast)
    if strength.blur:
        images = blurred(images, generator, strength.blur)
    if strength.occlusion:
        images = occluded(images, generator, strength.occlusion)
    if strength.noise:
        images = grained(images, generator, strength.noise)
    if strength.inversion:
        images = inverted(images, generator, strength.inversion)
    return images


def warped(images: Tensor, generator: Generator, strength: Strength) -> Tensor:
    """Rotated, stretched, slanted, shifted and bent, in one interpolation."""
    n = len(images)
    grid = F.affine_grid(_maps(n, generator, strength), [n, 1, SIDE, SIDE], align_corners=False)  # (n, 28, 28, 2)
    return F.grid_sample(images, grid + _field(n, generator, strength), align_corners=False)


def thickened(images: Tensor, generator: Generator, amount: float) -> Tensor:
    """Strokes up to `amount` pixels thicker or thinner at each edge: a blend with the neighbourhood's maximum or minimum."""
    change = amount * _either_way(len(images), generator)
    sign = change.sign()  # the minimum is minus the maximum of the negative
    return images.lerp(sign * F.max_pool2d(sign * images, 3, stride=1, padding=1), change.abs())


def contrasted(images: Tensor, generator: Generator, amount: float) -> Tensor:
    """Grey tones darker or lighter, where black and white stay: each value to a power."""
    return images ** (amount * _either_way(len(images), generator)).exp()


def blurred(images: Tensor, generator: Generator, amount: float) -> Tensor:
    """A share of up to `amount` of each pixel spread evenly over its 3 x 3 neighbourhood."""
    return images.lerp(F.avg_pool2d(images, 3, stride=1, padding=1), amount * _each(len(images), generator))


def occluded(images: Tensor, generator: Generator, amount: float) -> Tensor:
    """A rectangle with sides of up to `amount` pixels, anywhere, is blank."""
    n = len(images)
    sides = amount * torch.rand(2, n, 1, generator=generator)
    centres = SIDE * torch.rand(2, n, 1, generator=generator)
    places = torch.arange(SIDE) + 0.5
    down, across = (places - centres).abs() < sides / 2  # (n, 28) each
    return images.masked_fill((down.unsqueeze(2) & across.unsqueeze(1)).unsqueeze(1), 0.0)


def grained(images: Tensor, generator: Generator, amount: float) -> Tensor:
    """Normal noise in every pixel, with a standard deviation of up to `amount`, cut off at black and white."""
    spread = amount * _each(len(images), generator)
    return (images + spread * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def inverted(images: Tensor, generator: Generator, amount: float) -> Tensor:
    """Dark on light with the probability `amount`."""
    return torch.where(_each(len(images), generator) < amount, 1 - images, images)


def _each(n: int, generator: Generator) -> Tensor:
    """(n, 1, 1, 1): a number for each image, drawn evenly from 0 to 1."""
    return torch.rand(n, 1, 1, 1, generator=generator)


def _either_way(n: int, generator: Generator) -> Tensor:
    """(n, 1, 1, 1): a number for each image, drawn evenly from -1 to 1."""
    return 2 * _each(n, generator) - 1


def _maps(n: int, generator: Generator, strength: Strength) -> Tensor:
    """(n, 2, 3): where each output pixel looks in the input, in units of half the side."""
    amounts = 2 * torch.rand(6, n, generator=generator) - 1
    angle = amounts[0] * radians(strength.rotation)
    across, down = (amounts[1:3] * strength.scale).exp()
    slant = amounts[3] * strength.shear
    shift = amounts[4:6].T.unsqueeze(2) * strength.shift * 2 / SIDE  # (n, 2, 1)
    zero = torch.zeros(n)
    turn = _matrices(angle.cos(), -angle.sin(), angle.sin(), angle.cos())
    stretch = _matrices(across, slant, zero, down)
    return torch.cat([turn @ stretch, shift], dim=2)


def _field(n: int, generator: Generator, strength: Strength) -> Tensor:
    """(n, 28, 28, 2): a displacement of each pixel, in units of half the side, smooth between independent knots."""
    knots = torch.randn(n, 2, KNOTS, KNOTS, generator=generator) * strength.bend * 2 / SIDE
    return F.interpolate(knots, size=(SIDE, SIDE), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def _matrices(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """(n, 2, 2) from four (n,): [[a, b], [c, d]]."""
    return torch.stack([a, b, c, d], dim=1).reshape(-1, 2, 2)
