"""How well the default recipe reads after the packaged 5,000 digits alone, on digits of MNIST that it never saw.

Wants MNIST's training pictures (--mnist, with their labels beside them): its rows that are not packaged, which are all but
the first 500 of each class, are read and teach nothing. Without them the packaged digits are halved, and the figure is of
2,500. With --peer-epochs the network and the recipe of PyTorch's own MNIST example learn from ten times as many rows.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from benchmarks import example, idx
from benchmarks.result import RESULTS, machine, write
from demlopment import images, training
from demlopment.records import Examples
from demlopment.settings import Training
from demlopment.training.network import multiply_adds

SEEDS = 5
PER_CLASS = 500  # packaged
JUDGED = 10_000  # of the unseen rows, on which both are read when the example learns from all others
LIMITS = {"accuracy": 0.992, "cpu_seconds": 240, "multiply_adds": 1_500_000, "onnx_bytes": 200_000}


def run(mnist: Path | None, seeds: int = SEEDS, peer_epochs: int = 0) -> Path:
    """Measure and write the result as JSON and as a table."""
    known, unseen = parts(mnist)
    runs = [_fitted(known, unseen, seed) for seed in range(1, seeds + 1)]
    figures: dict[str, Any] = {
        "pictures": "MNIST's training pictures" if mnist else "half of the packaged digits",
        "learnt_from": len(known),
        "read": len(unseen),
        "recipe": Training().model_dump(mode="json", include={"epochs", "batch_size", "learning_rate", "label_smoothing"}),
        "limits": LIMITS,
        "runs": runs,
        "accuracy": interval([run["accuracy"] for run in runs]),
        "accuracy_of_the_last": interval([run["accuracy_of_the_last"] for run in runs]),
    }
    if peer_epochs:
        figures["example"] = _example(known, unseen, peer_epochs)
    path = write("accuracy", figures)
    (RESULTS / "accuracy.md").write_text(table(figures))
    return path


def interval(samples: list[float]) -> dict[str, float]:
    """Mean of several runs with the 95 % interval of Student's t."""
    mean, n = float(np.mean(samples)), len(samples)
    half = float(t.ppf(0.975, n - 1) * np.std(samples, ddof=1) / n**0.5) if n > 1 else float("nan")
    return {"mean": mean, "low": mean - half, "high": mean + half}


def table(figures: dict[str, Any]) -> str:
    """What the targets name, one line a run."""
    read = f"read on {figures['read']:,} others of {figures['pictures']}"
    lines = [
        f"Learnt from {figures['learnt_from']:,} digits, {read}; {machine()['processor']}, one thread.",
        "",
        "| network | seed | read right | CPU-seconds | parameters | multiply-adds | ONNX bytes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in figures["runs"]:
        sizes = f"{each['parameters']:,} | {each['multiply_adds']:,} | {each['onnx_bytes']:,}"
        lines.append(f"| ours | {each['seed']} | {each['accuracy']:.3%} | {each['cpu_seconds']:.0f} | {sizes} |")
    mean = figures["accuracy"]
    lines += ["", f"Mean {mean['mean']:.3%}, 95 % interval {mean['low']:.3%} to {mean['high']:.3%} (Student's t)."]
    if peer := figures.get("example"):
        last = figures["accuracy_of_the_last"]["mean"]
        read = f"reads {peer['accuracy']:.2%} of the {peer['read']:,} that are left, in {peer['cpu_seconds']:.0f} CPU-seconds"
        size = f"with {peer['parameters']:,} parameters and {peer['multiply_adds']:,} multiply-adds"
        lines += [
            f"PyTorch's example, after {peer['epochs']} epochs of {peer['learnt_from']:,} rows, {read}, {size}.",
            f"Ours, from {figures['learnt_from']:,}, reads {last:.2%} of the same.",
        ]
    return "\n".join(lines) + "\n"


def parts(mnist: Path | None) -> tuple[Examples, Examples]:
    packaged = _examples(*idx.digits(None))
    if mnist is None:
        odd = np.arange(len(packaged)) % 2 == 1  # they are sorted by class
        return packaged.where(odd), packaged.where(~odd)
    pictures, labels = idx.digits(mnist)
    place = np.empty(len(labels), np.int64)  # of each row among those of its class
    for label in range(10):
        rows = np.flatnonzero(labels == label)
        place[rows] = np.arange(len(rows))
    others = place >= PER_CLASS
    unseen = _examples(pictures[others], labels[others])
    assert not {each.tobytes() for each in packaged.images} & {each.tobytes() for each in unseen.images}
    return packaged, unseen


def _examples(pictures: idx.Bytes, labels: idx.Bytes) -> Examples:
    nothing = np.full(len(labels), "")
    prepared = np.stack([images.prepare(picture) for picture in pictures])
    return Examples(np.arange(len(labels)).astype(np.str_), prepared, labels.astype(np.int64), nothing, nothing)


def _fitted(known: Examples, unseen: Examples, seed: int) -> dict[str, Any]:
    """One fit. All known rows teach; the part for the temperature is among them, because it has no say in what is read."""
    began = time.process_time()
    fitted = training.fit(known, known.where(np.arange(0, len(known), 10)), 10, Training(seed=seed))
    spent = time.process_time() - began
    correct: npt.NDArray[np.bool_] = training.evaluate("digits", fitted, unseen).correct
    found = {
        "seed": seed,
        "accuracy": float(correct.mean()),
        "accuracy_of_the_last": float(correct[-JUDGED:].mean()),
        "cpu_seconds": spent,
        "seconds": fitted.seconds,
        "parameters": sum(weight.numel() for weight in fitted.network.parameters()),
        "multiply_adds": multiply_adds(fitted.network),
        "onnx_bytes": len(training.export(fitted)),
    }
    print(found, file=sys.stderr, flush=True)
    return found


def _example(known: Examples, unseen: Examples, epochs: int) -> dict[str, Any]:
    first, last = unseen.where(np.arange(len(unseen) - JUDGED)), unseen.where(np.arange(len(unseen))[-JUDGED:])
    taught = (np.concatenate([known.images, first.images]), np.concatenate([known.labels, first.labels]))
    found = example.measured(taught, (last.images, last.labels), epochs)
    print(found, file=sys.stderr, flush=True)
    return found
