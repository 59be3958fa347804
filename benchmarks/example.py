"""PyTorch's own example for MNIST, written from its description: two convolutions, dropout, two dense layers, Adadelta.

Source   https://github.com/pytorch/examples, folder mnist: 14 epochs, batches of 64, a learning rate of 1.0 that falls to
         0.7 of itself after each epoch, no augmentation, pixels less 0.1307 over 0.3081.
"""

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  # the name that PyTorch's readers expect
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from demlopment.training.network import as_tensor, threads

MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's pixels
BATCH, RATE, FALL = 64, 1.0, 0.7

Rows = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def network() -> nn.Sequential:
    """(n, 1, 28, 28) -> (n, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),  # (n, 32, 26, 26)
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),  # (n, 64, 24, 24)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (n, 64, 12, 12)
        nn.Dropout(0.25),
        nn.Flatten(),  # (n, 9216)
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def measured(taught: Rows, read: Rows, epochs: int, seed: int = 1) -> dict[str, Any]:
    """Learn from some rows with the example's recipe, on one thread, and read the others."""
    with torch.random.fork_rng(devices=[]), threads(1):
        torch.manual_seed(seed)
        learner = network()
        began = time.process_time()
        _learn(learner, *_tensors(taught), epochs)
        spent = time.process_time() - began
        learner.eval()
        images, labels = _tensors(read)
        with torch.inference_mode():
            answers = torch.cat([learner(batch).argmax(dim=1) for batch in torch.split(images, 1000)])
    return {
        "learnt_from": len(taught[1]),
        "read": len(labels),
        "epochs": epochs,
        "accuracy": float((answers == labels).float().mean()),
        "cpu_seconds": spent,
        "parameters": sum(weight.numel() for weight in learner.parameters()),
        "multiply_adds": _multiply_adds(learner),
    }


def _learn(learner: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    optimizer = torch.optim.Adadelta(learner.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=FALL)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(images)), BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(learner(images[rows]), labels[rows]))
            optimizer.step()
        schedule.step()


def _tensors(rows: Rows) -> tuple[Tensor, Tensor]:
    return (as_tensor(rows[0]) - MEAN) / DEVIATION, torch.from_numpy(rows[1])


def _multiply_adds(learner: nn.Module) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        learner(torch.zeros(1, 1, 28, 28))
    return int(counter.get_total_flops() // 2)  # torch counts the two operations apart
