"""What a split that tears writers apart claims too much: one network on unseen rows of writers it learnt from, and of others.

Wants MNIST's training pictures and QMNIST's extended labels, as the addresses in their papers give them:
    python -m benchmarks.writers train-images-idx3-ubyte.gz qmnist-train-labels-idx2-int.gz
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.result import write
from demlopment import training
from demlopment.records import Examples
from demlopment.settings import Training

ROWS = 6_000  # that teach
VALIDATION = 1_000
EPOCHS = 8
SEEDS = 3


def measured(images: Path, labels: Path) -> Path:
    """Fit to half of the writers and then to the other half, for several seeds, and write what each network reads."""
    rows = read(images, labels)
    writers = np.unique(rows.writers)
    runs = []
    for seed in range(1, SEEDS + 1):
        rng = np.random.default_rng(seed)
        first = np.isin(rows.writers, rng.permutation(writers)[: len(writers) // 2])
        for known in (first, ~first):
            mine = rng.permutation(np.flatnonzero(known))
            train, validation, kept = np.split(mine, [ROWS, ROWS + VALIDATION])
            recipe = Training(epochs=EPOCHS, seed=seed)
            fitted = training.fit(rows.where(train), rows.where(validation), 10, recipe)
            same, other = (
                training.evaluate("digits", fitted, rows.where(part)).accuracy for part in (kept, np.flatnonzero(~known))
            )
            runs.append({"seed": seed, "same_writers": same, "other_writers": other, "inflation": same - other})
            print(runs[-1], flush=True)
    gaps = np.array([run["inflation"] for run in runs])
    summary = {"mean_inflation": float(gaps.mean()), "standard_error": float(gaps.std(ddof=1) / len(gaps) ** 0.5)}
    return write("writers", summary | {"rows": ROWS, "epochs": EPOCHS, "runs": runs})


def read(images: Path, labels: Path) -> Examples:
    """Pictures with their labels and writers, in the order of the files."""
    pictures = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)
    extended: npt.NDArray[np.int64] = (
        np.frombuffer(gzip.decompress(labels.read_bytes()), ">i4", offset=12).reshape(-1, 8).astype(np.int64)
    )
    places = np.arange(len(pictures)).astype(np.str_)
    return Examples(
        places, pictures.copy(), extended[:, 0].copy(), np.full(len(pictures), "mnist"), extended[:, 2].astype(np.str_)
    )


if __name__ == "__main__":
    print(measured(*map(Path, sys.argv[1:3])))
