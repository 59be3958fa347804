"""The same character written a little differently, on tensors. Knows nothing of labels or networks."""

from dataclasses import dataclass
from math import radians

import torch
import torch.nn.functional as F  # noqa: N812  # the name that PyTorch's readers expect
from torch import Generator, Tensor

from demlopment.images import SIDE

KNOTS = 5  # a side: one every seven pixels, about the length of a stroke's bend


@dataclass(frozen=True)
class Strength:
    """How far a character may be moved; each amount but the last is drawn evenly from minus to plus its limit.

    The limits are about the spread of real writing after `images.prepare`, which has already removed size and
    position: slant and aspect vary most, the centre by about a pixel.
    """

    rotation: float = 12.0  # degrees
    scale: float = 0.12  # natural logarithm of the stretch, each axis by itself
    shear: float = 0.2  # horizontal shift per unit of height
    shift: float = 1.5  # pixels, each axis by itself
    bend: float = 0.5  # pixels, the standard deviation of a smooth field; 1.0 already made digits that nobody writes


def augment(images: Tensor, generator: Generator, strength: Strength = Strength()) -> Tensor:
    """Rotate, stretch, slant, shift and bend each image by its own random amounts: (n, 1, 28, 28) -> the same shape.

    All randomness comes from `generator`; pixels are interpolated, so values stay within the range they had.
    """
    n = len(images)
    grid = F.affine_grid(_maps(n, generator, strength), [n, 1, SIDE, SIDE], align_corners=False)  # (n, 28, 28, 2)
    return F.grid_sample(images, grid + _field(n, generator, strength), align_corners=False)


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
