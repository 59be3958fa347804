"""One piece of work of the benchmark `data` in a process of its own: what it took, as a line of JSON.

The clock begins after the imports; the peak is the whole process's, interpreter and libraries included.
    python -m benchmarks.once ingest HOME PICTURES
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.commands.data import frugal
from demlopment.data import Lake, opened
from demlopment.images import Grey

MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST, as torch's own example normalises it
NAME, SALT = "all", "benchmark"
OUR_BATCH = 64  # pictures: the DataLoader's smaller one


def peak_mb() -> float:
    """The most memory that this process has had, in 10^6 bytes; nothing is subtracted."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


def ingested(home: Path, pictures: Path) -> Callable[[], dict[str, Any]]:
    """IDX to a committed snapshot."""

    def work() -> dict[str, Any]:
        lake = Lake(home / "lake")
        added = lake.add(opened(pictures))
        peak = peak_mb()
        began = time.perf_counter()
        lake.pin(NAME, SALT)
        return {"rows": added.rows, "added": added.added, "ingest_peak_mb": peak, "pin_seconds": time.perf_counter() - began}

    return work


def ours(home: Path, _: Path) -> Callable[[], dict[str, Any]]:
    """A snapshot to every batch of tensors that the training takes of it."""
    passed = _passing()

    def work() -> dict[str, Any]:
        lake = Lake(home / "lake")
        examples = lake.load(lake.named(NAME))
        return passed(examples.images, examples.labels)

    return work


def saved(home: Path, pictures: Path) -> Callable[[], dict[str, Any]]:
    """For `loaded` and `converted`: pixels, tensors and labels as NumPy's files. Not measured."""
    from demlopment.images import as_input

    def work() -> dict[str, Any]:
        lake = Lake(home / "lake")
        examples = lake.load(lake.named(NAME))
        np.save(home / "tensor.npy", as_input(examples.images))
        np.save(home / "pixels.npy", examples.images)
        np.save(home / "labels.npy", examples.labels)
        return {}

    return work


def loaded(home: Path, _: Path) -> Callable[[], dict[str, Any]]:
    """numpy.load of the tensors themselves and their labels."""
    import torch

    def work() -> dict[str, Any]:
        np.load(home / "labels.npy")
        tensor = torch.from_numpy(np.load(home / "tensor.npy"))
        return {"rows": len(tensor), "bytes": tensor.numel() * tensor.element_size()}

    return work


def converted(home: Path, _: Path) -> Callable[[], dict[str, Any]]:
    """numpy.load of the very bytes that ours loads, made tensors by our own function."""
    passed = _passing()

    def work() -> dict[str, Any]:
        return passed(np.load(home / "pixels.npy"), np.load(home / "labels.npy"))

    return work


def _passing() -> Callable[[Grey, npt.NDArray[np.int64]], dict[str, Any]]:
    """Every row once, as the batches that the training makes of it."""
    import torch

    from demlopment.training.network import as_tensor

    def passed(pictures: Grey, labels: npt.NDArray[np.int64]) -> dict[str, Any]:
        truth = torch.from_numpy(labels)
        starts = range(0, len(pictures), OUR_BATCH)
        batches = ((as_tensor(pictures[start : start + OUR_BATCH]), truth[start : start + OUR_BATCH]) for start in starts)
        return {"rows": len(pictures), "bytes": sum(tensor.numel() * tensor.element_size() for tensor, _ in batches)}

    return passed


def iterated(batch: int, workers: int) -> Callable[[Path, Path], Callable[[], dict[str, Any]]]:
    """torch's DataLoader over PIL pictures, as torchvision's MNIST, ToTensor and Normalize make them."""

    def made(_: Path, pictures: Path) -> Callable[[], dict[str, Any]]:
        import torch
        from PIL import Image  # type: ignore[import-not-found,unused-ignore]  # in the peer's own environment
        from torch.utils.data import DataLoader, Dataset

        from benchmarks.idx import digits

        class Pictures(Dataset[tuple[torch.Tensor, int]]):
            def __init__(self) -> None:
                read = digits(pictures)
                self.pictures, self.labels = (torch.from_numpy(each.copy()) for each in read)

            def __len__(self) -> int:
                return len(self.pictures)

            def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
                picture = Image.fromarray(self.pictures[place].numpy())
                tensor = torch.from_numpy(np.array(picture, np.uint8, copy=True)).view(28, 28, 1)
                tensor = tensor.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
                return tensor.sub_(MEAN).div_(DEVIATION), int(self.labels[place])

        rows_of_file = Pictures()  # read before the clock begins, as torchvision does it

        def work() -> dict[str, Any]:
            rows = sum(len(labels) for _, labels in DataLoader(rows_of_file, batch_size=batch, num_workers=workers))
            return {"rows": rows, "bytes": rows * 28 * 28 * 4}

        return work

    return made


PEERS = {f"DataLoader {batch}, {workers} workers": (batch, workers) for batch in (64, 128) for workers in (0, 2)}
WORKS: dict[str, Callable[[Path, Path], Callable[[], dict[str, Any]]]] = {
    "ingest": ingested,
    "ours": ours,
    "save": saved,
    "numpy.load": loaded,
    "numpy.load of bytes": converted,
    **{name: iterated(*peer) for name, peer in PEERS.items()},
}


if __name__ == "__main__":
    name, home, pictures = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if name == "ingest":
        frugal()  # as the commands of `data` are; those that train are not, nor are the peers
    work = WORKS[name](home, pictures)
    began, spent = time.perf_counter(), time.process_time()
    found = work()
    figures = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - spent, "peak_mb": peak_mb()}
    print(json.dumps(figures | found))
