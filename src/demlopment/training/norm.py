"""Batch normalisation of a batch that several processes hold in parts. Knows nothing of how they were started.

Torch's own, SyncBatchNorm, does this on accelerators alone.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class WholeBatchNorm(nn.BatchNorm2d):
    """In place of a normalisation, with its weights: by the mean and variance of the whole batch instead of the part here."""

    def __init__(self, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum)
        self.weight, self.bias = layer.weight, layer.bias
        self.running_mean, self.running_var = layer.running_mean, layer.running_var
        self.num_batches_tracked = layer.num_batches_tracked

    def forward(self, part: Tensor) -> Tensor:
        """(rows here, channels, ...) -> the same; every process calls it at the same step, with a part that has rows."""
        others = [side for side in range(part.dim()) if side != 1]
        # In float64, where a mean of squares less a squared mean loses nothing that float32 would show.
        counts = torch.full((self.num_features,), part.numel() / self.num_features, dtype=torch.float64, device=part.device)
        mine = [counts, part.sum(others, dtype=torch.float64), part.square().sum(others, dtype=torch.float64)]
        count, total, squares = _sum(torch.stack(mine))  # (channels,) each
        mean = total / count
        variance = squares / count - mean.square()
        self._follow(mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight * (variance + self.eps).rsqrt().to(part.dtype)
        shift = self.bias - mean.to(part.dtype) * scale
        shape = [1, -1, *[1] * (part.dim() - 2)]
        answer: Tensor = part * scale.view(shape) + shift.view(shape)
        return answer

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Take a batch into the running statistics, as torch does: with the unbiased variance."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked += 1


class _Sum(torch.autograd.Function):
    """The sum over all processes; what each of them makes of it flows back to all."""

    @staticmethod
    def forward(_: Any, mine: Tensor) -> Tensor:
        return _summed(mine)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return _summed(*gradients)


def _sum(mine: Tensor) -> Tensor:
    whole: Tensor = _Sum.apply(mine)  # type: ignore[no-untyped-call]  # torch has no types for it
    return whole


def _summed(mine: Tensor) -> Tensor:
    whole = mine.contiguous().clone()
    dist.all_reduce(whole)
    return whole
