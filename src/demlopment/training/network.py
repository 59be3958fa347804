"""The network: a list of layers that a reader holds in the head. Knows nothing of labels, fitting or files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from demlopment.images import SIDE, Grey, as_input
from demlopment.settings import Profile

BATCH = 256  # images that pass at once when nothing is learnt; larger ones are no faster
INPUT, LOGITS, EMBEDDING = "image", "logits", "embedding"
WIDTHS: Mapping[Profile, tuple[int, int, int, int, int]] = {  # channels of the convolutions, and of the embedding
    "default": (16, 32, 32, 48, 64),
    "large": (32, 64, 64, 96, 128),
}


class Network(nn.Module):
    """(n, 1, 28, 28) float32 in 0..1 -> logits (n, classes) and embedding (n, width), for any number of classes.

    The embedding is what monitoring watches and the last layer reads. A profile decides the widths, and nothing else.

    Small on purpose: the endpoint's speed is the model's speed. The pooling stands before the normalisation, which
    then works on a quarter of the pixels; the first convolution has no padding, because a prepared image has a blank
    margin of four pixels.
    """

    def __init__(self, classes: int, profile: Profile = "default") -> None:
        super().__init__()
        first, second, third, fourth, width = WIDTHS[profile]
        self.body = nn.Sequential(
            nn.Conv2d(1, first, 5, bias=False),  # (n, first, 24, 24)
            nn.MaxPool2d(2),  # (n, first, 12, 12)
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1, bias=False),  # (n, second, 12, 12)
            nn.MaxPool2d(2),  # (n, second, 6, 6)
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, padding=1, bias=False),  # (n, third, 6, 6)
            nn.BatchNorm2d(third),
            nn.ReLU(),
            nn.Conv2d(third, fourth, 3, bias=False),  # (n, fourth, 4, 4)
            nn.MaxPool2d(2),  # (n, fourth, 2, 2)
            nn.BatchNorm2d(fourth),
            nn.ReLU(),
            nn.Flatten(),  # (n, 4 fourth)
            nn.Linear(4 * fourth, width, bias=False),  # (n, width)
            nn.BatchNorm1d(width),
            nn.ReLU(),
        )
        self.head = nn.Linear(width, classes)  # (n, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.body(images)
        return self.head(embedding), embedding


def initialised(classes: int, seed: int, profile: Profile = "default") -> Network:
    """A fresh network whose weights depend on its shape and `seed` alone; the process's own random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Channels last in memory: convolutions on a CPU learn about 1.7 times as fast so.
        return convert_conv2d_weight_memory_format(Network(classes, profile), torch.channels_last)


def named(network: Network) -> Iterator[tuple[nn.Module, str, str]]:
    """Each layer with the names of the values before and after it; its weights are named after the latter in ONNX."""
    names = [INPUT, *(f"layer{i}" for i in range(1, len(network.body))), EMBEDDING, LOGITS]
    for layer, (source, target) in zip([*network.body, network.head], pairwise(names), strict=True):
        yield layer, source, target


def as_tensor(images: Grey) -> Tensor:
    """(n, 28, 28) uint8 -> (n, 1, 28, 28) float32 in 0..1."""
    return torch.from_numpy(as_input(images))


def outputs(network: Network, images: Grey) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """What the network says of prepared images, without learning: logits (n, classes) and embeddings (n, width).

    On one thread, so that the numbers do not depend on how many cores a machine has; where the network is, in float32.
    """
    device = network.head.weight.device
    with torch.inference_mode(), threads(1):
        starts = range(0, max(1, len(images)), BATCH)
        batches = [network(as_tensor(images[start : start + BATCH]).to(device)) for start in starts]
    logits, embeddings = (torch.cat(parts).cpu().numpy() for parts in zip(*batches, strict=True))
    return logits, embeddings


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch use that many threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def multiply_adds(network: Network) -> int:
    """Multiplications with their additions for one image, in the convolutions and dense layers."""
    side, count = SIDE, 0
    for layer in [*network.body, network.head]:
        if isinstance(layer, nn.Conv2d):
            side += 2 * int(layer.padding[0]) - layer.kernel_size[0] + 1
            count += layer.weight.numel() * side * side
        elif isinstance(layer, nn.MaxPool2d):
            side //= 2
        elif isinstance(layer, nn.Linear):
            count += layer.weight.numel()
    return count
