"""What a network does without for a moment while it learns, so that no part of it relies on one other. Knows no network."""

import torch
from torch import Generator, Tensor, nn


class Dropout(nn.Module):
    """(n, ...) -> the same shape: some values are 0 in training, and the others grow so that the mean stays.

    `shape` is that of one image's choice: (channels, 1, 1) drops whole channels, (width,) single values.
    Torch's own draws from the state of the process. This one is told what to keep: `drawn` for a whole batch from the fit's
    generator, so that a fit repeats itself, and several processes drop together what one would. Untold, it keeps all.
    Source   N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014),
             1929-1958; whole channels: J. Tompson et al., "Efficient object localization using convolutional networks",
             CVPR 2015.
    """

    def __init__(self, probability: float, *shape: int) -> None:
        super().__init__()
        self.probability, self.shape = probability, shape
        self.kept: Tensor | None = None

    def drawn(self, n: int, generator: Generator) -> Tensor:
        """(n, *shape): for each image what it keeps, as factors."""
        return (torch.rand(n, *self.shape, generator=generator) >= self.probability) / (1 - self.probability)

    def forward(self, values: Tensor) -> Tensor:
        return values if self.kept is None or not self.training else values * self.kept.to(values.dtype)

    def extra_repr(self) -> str:
        return f"{self.probability}, {self.shape}"
