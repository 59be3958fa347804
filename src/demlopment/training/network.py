"""The network: a list of layers that a reader holds in the head. Knows nothing of labels, fitting or files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  # the name that PyTorch's readers expect
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from demlopment.images import SIDE, Grey, as_input
from demlopment.settings import Profile
from demlopment.training.dropout import Dropout

BATCH = 256  # images that are read at once when nothing is learnt; larger ones are no faster
INPUT, LOGITS, EMBEDDING = "image", "logits", "embedding"
VIEWS, SEEN = "views", "seen"  # the image from several places, and what the body says of each
MOVES: Mapping[Profile, tuple[tuple[int, int], ...]] = {  # by how many pixels an image is moved down and right, in each view
    "default": ((0, 0),),
    "large": ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)),
}


def default_body() -> nn.Sequential:
    """(n, 1, 28, 28) -> (n, 64). Small on purpose: the endpoint's speed is the model's speed.

    The pooling stands before the normalisation, which then works on a quarter of the pixels; the first convolution has no
    padding, because a prepared image has a blank margin of four pixels.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, bias=False),  # (n, 16, 24, 24)
        nn.MaxPool2d(2),  # (n, 16, 12, 12)
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),  # (n, 32, 12, 12)
        nn.MaxPool2d(2),  # (n, 32, 6, 6)
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, bias=False),  # (n, 32, 6, 6)
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 48, 3, bias=False),  # (n, 48, 4, 4)
        nn.MaxPool2d(2),  # (n, 48, 2, 2)
        nn.BatchNorm2d(48),
        nn.ReLU(),
        nn.Flatten(),  # (n, 192)
        nn.Linear(192, 64, bias=False),  # (n, 64)
        nn.BatchNorm1d(64),
        nn.ReLU(),
    )


def large_body() -> nn.Sequential:
    """(n, 1, 28, 28) -> (n, 128). Wider, one convolution deeper, and with dropout: for tens of thousands of rows."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, bias=False),  # (n, 32, 24, 24)
        nn.MaxPool2d(2),  # (n, 32, 12, 12)
        nn.BatchNorm2d(32),
        nn.ReLU(),
        Dropout(0.1, 32, 1, 1),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),  # (n, 64, 12, 12)
        nn.BatchNorm2d(64),
        nn.ReLU(),
        Dropout(0.1, 64, 1, 1),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),  # (n, 64, 12, 12)
        nn.MaxPool2d(2),  # (n, 64, 6, 6)
        nn.BatchNorm2d(64),
        nn.ReLU(),
        Dropout(0.1, 64, 1, 1),
        nn.Conv2d(64, 96, 3, padding=1, bias=False),  # (n, 96, 6, 6)
        nn.BatchNorm2d(96),
        nn.ReLU(),
        Dropout(0.1, 96, 1, 1),
        nn.Conv2d(96, 96, 3, bias=False),  # (n, 96, 4, 4)
        nn.MaxPool2d(2),  # (n, 96, 2, 2)
        nn.BatchNorm2d(96),
        nn.ReLU(),
        Dropout(0.3, 96, 2, 2),
        nn.Flatten(),  # (n, 384)
        nn.Linear(384, 128, bias=False),  # (n, 128)
        nn.BatchNorm1d(128),
        nn.ReLU(),
        Dropout(0.3, 128),
    )


BODIES: Mapping[Profile, tuple[Callable[[], nn.Sequential], int]] = {"default": (default_body, 64), "large": (large_body, 128)}


class Network(nn.Module):
    """(n, 1, 28, 28) float32 in 0..1 -> logits (n, classes) and embedding (n, width), for any number of classes.

    The embedding is what monitoring watches and the last layer reads. A profile decides the body, and from how many views it
    reads an image when it does not learn: the embedding is their mean.
    """

    def __init__(self, classes: int, profile: Profile = "default") -> None:
        super().__init__()
        body, width = BODIES[profile]
        self.moves = MOVES[profile]
        self.body = body()
        self.head = nn.Linear(width, classes)  # (n, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.training or len(self.moves) == 1:
            embedding = self.body(images)
        else:
            seen = self.body(moved(images, self.moves))  # (views n, width)
            embedding = seen.reshape(len(self.moves), len(images), seen.shape[1]).mean(dim=0)
        return self.head(embedding), embedding

    def extra_repr(self) -> str:
        return f"moves={self.moves}"


def moved(images: Tensor, moves: Sequence[tuple[int, int]]) -> Tensor:
    """(n, 1, 28, 28) -> (moves n, 1, 28, 28): all images moved as the first says, then as the second; blank comes in."""
    padded = F.pad(images, (1, 1, 1, 1))  # (n, 1, 30, 30)
    return torch.cat([padded[:, :, 1 - down :, 1 - right :][:, :, :SIDE, :SIDE] for down, right in moves])


def initialised(classes: int, seed: int, profile: Profile = "default") -> Network:
    """A fresh network whose weights depend on its shape and `seed` alone; the process's own random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Channels last in memory: convolutions on a CPU learn about 1.7 times as fast so.
        return convert_conv2d_weight_memory_format(Network(classes, profile), torch.channels_last)


def named(network: Network) -> Iterator[tuple[nn.Module, str, str]]:
    """Each layer that answers, with the names of the values before and after it, the latter also of its weights in ONNX."""
    body = [layer for layer in network.body if not isinstance(layer, Dropout)]  # which is there in training only
    first, last = (INPUT, EMBEDDING) if len(network.moves) == 1 else (VIEWS, SEEN)
    names = [first, *(f"layer{i}" for i in range(1, len(body))), last]
    for layer, (source, target) in zip(body, pairwise(names), strict=True):
        yield layer, source, target
    yield network.head, EMBEDDING, LOGITS


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
    """Multiplications with their additions for one image, in the convolutions and dense layers, from all views."""
    side, count = SIDE, 0
    for layer in network.body:
        if isinstance(layer, nn.Conv2d):
            side += 2 * int(layer.padding[0]) - layer.kernel_size[0] + 1
            count += layer.weight.numel() * side * side
        elif isinstance(layer, nn.MaxPool2d):
            side //= 2
        elif isinstance(layer, nn.Linear):
            count += layer.weight.numel()
    return count * len(network.moves) + network.head.weight.numel()
