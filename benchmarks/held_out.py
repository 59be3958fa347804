"""How well digits are read that were written by hands the network never saw: MNIST's 60,000, a fifth of the writers at a time.

Wants MNIST's training pictures and QMNIST's extended labels, which name the writer of each, as their papers give them:
    python -m benchmarks.held_out train-images-idx3-ubyte.gz qmnist-train-labels-idx2-int.gz
A fold that was measured is kept, and the next call with the same recipe goes on with the others.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import writers
from benchmarks.result import RESULTS, write
from demlopment import training
from demlopment.intervals import wilson
from demlopment.records import Examples
from demlopment.settings import Training
from demlopment.training.network import initialised, multiply_adds

# Without dropout eight epochs read as well as 20; the whole augmentation a little worse.
RECIPE = Training(profile="large", epochs=24, batch_size=64, augmentation=0.6)
DECIDING = {"profile", "epochs", "batch_size", "learning_rate", "label_smoothing", "augmentation"}
FOLDS = 5  # each holds 12,000 rows of 108 writers
TARGET = 0.996


def measured(pictures: Path, labels: Path, folds: Sequence[int]) -> Path:
    """Fit without each of those fifths of the writers, read their rows, and write what was read right."""
    rows = writers.read(pictures, labels)
    fifths = np.array_split(np.random.default_rng(0).permutation(np.unique(rows.writers)), FOLDS)
    recipe = RECIPE.model_dump(mode="json", include=DECIDING)
    for fold in folds:
        if fold not in {run["fold"] for run in kept(recipe)}:
            run = _fitted(rows, np.isin(rows.writers, fifths[fold]), fold)
            write("held_out", figures(recipe, sorted([*kept(recipe), run], key=lambda each: int(each["fold"]))))
    return RESULTS / "held_out.json"


def kept(recipe: dict[str, Any]) -> list[dict[str, Any]]:
    """The folds that were measured with that recipe and a network of that size."""
    path = RESULTS / "held_out.json"
    found = json.loads(path.read_text())["figures"] if path.exists() else {}
    size = multiply_adds(initialised(10, 1, RECIPE.profile))
    return [run for run in found.get("runs", []) if found["recipe"] == recipe and run["multiply_adds"] == size]


def figures(recipe: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All rows that were read by a network that knew nothing of their writers, together, with Wilson's interval."""
    right, rows = sum(run["right"] for run in runs), sum(run["rows"] for run in runs)
    interval = wilson(right, rows)
    return {
        "pictures": "MNIST's training pictures, a fifth of their 539 writers at a time",
        "recipe": recipe,
        "target": TARGET,
        "accuracy": right / rows,
        "low": interval.low,
        "high": interval.high,
        "rows": rows,
        "runs": runs,
    }


def _fitted(rows: Examples, held: np.ndarray, fold: int) -> dict[str, Any]:
    """One fit. The part for the temperature is of the rows that teach: it has no say in what is read."""
    known, unseen = rows.where(~held), rows.where(held)
    began = time.process_time()
    fitted = training.fit(known, known.where(np.arange(0, len(known), 50)), 10, RECIPE.model_copy(update={"seed": fold + 1}))
    found = {
        "fold": fold,
        "seed": fold + 1,
        "taught": len(known),
        "rows": len(unseen),
        "right": int(training.evaluate("digits", fitted, unseen).correct.sum()),
        "cpu_seconds": time.process_time() - began,
        "multiply_adds": multiply_adds(fitted.network),
        "onnx_bytes": len(training.export(fitted)),
    }
    print(found, file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.held_out")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument(
        "--folds", type=int, nargs="+", default=range(FOLDS), help="0 to 4; each takes twenty minutes on one core"
    )
    options = parser.parse_args()
    print(measured(options.pictures, options.labels, options.folds))
