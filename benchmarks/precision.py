"""The served network in float32, in INT8 and in OpenVINO: what each reads right, and how long it takes. Changes no default.

All come from one fit of the default recipe to the packaged digits and read MNIST's others (--mnist), or half of the packaged
ones. Each measurement is a process of its own on one thread (benchmarks/reading.py), in turns; a missing peer is said so.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks import accuracy
from benchmarks.contestants import MissingError, installed
from benchmarks.result import RESULTS, machine, summary, write
from demlopment import images, training
from demlopment.intervals import wilson
from demlopment.records import Examples
from demlopment.settings import Training

ROUNDS = 5
CALIBRATED = 1_000  # pictures that INT8 takes its ranges from
READ = 20_000  # of the unseen rows, so that one process takes seconds
FLOAT, INT8, OPENVINO, OPENVINO_INT8 = "float32", "INT8", "OpenVINO", "OpenVINO, INT8"


class Ranges(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime's quantisation has no types
    """The pictures by which the ranges of INT8 are chosen, a batch at a time."""

    def __init__(self, pictures: images.Grey) -> None:
        self._batches = iter(np.array_split(pictures, max(1, len(pictures) // 100)))

    def get_next(self) -> dict[str, Any] | None:
        """As onnxruntime asks for them."""
        batch = next(self._batches, None)
        return None if batch is None else {"image": images.as_input(batch)}


def run(mnist: Path | None, rounds: int = ROUNDS, epochs: int | None = None) -> Path:
    """Measure and write the result as JSON and as a table."""
    known, unseen = accuracy.parts(mnist)
    unseen = unseen.where(np.linspace(0, len(unseen) - 1, min(READ, len(unseen))).astype(np.int64))
    recipe = Training() if epochs is None else Training(epochs=epochs)
    fitted = training.fit(known, known.where(np.arange(0, len(known), 10)), 10, recipe)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        networks = _networks(place, training.export(fitted), known)
        np.savez(place / "read.npz", pictures=unseen.images, labels=unseen.labels)
        runs, missing = _in_turns(networks, place / "read.npz", rounds)
        truth = "".join(map(str, unseen.labels))
        found = {name: _summed(each, runs[FLOAT][0]["answers"], truth, networks[name]) for name, each in runs.items()}
    figures = {"learnt_from": len(known), "read": len(unseen), "epochs": recipe.epochs, "engines": found, "missing": missing}
    path = write("precision", figures | {"onnxruntime": onnxruntime.__version__})
    (RESULTS / "precision.md").write_text(table(figures))
    return path


def table(figures: dict[str, Any]) -> str:
    """An engine a line."""
    learnt = f"Learnt from {figures['learnt_from']:,} digits in {figures['epochs']} epochs"
    lines = [
        f"{learnt}, read on {figures['read']:,} others; {machine()['processor']}, one thread.",
        "",
        "| engine | read right | 95 % interval | other answers | 1 at once, ms | 64 at once, ms | bytes | peak, MB |",
        "|" + " --- |" * 8,
    ]
    for name, each in figures["engines"].items():
        one, many = (each[f"ms_of_{size}"]["median"] for size in (1, 64))
        low, high = each["interval"]
        lines.append(
            f"| {name} | {each['accuracy']:.3%} | {low:.3%} to {high:.3%} | {each['others']:,} | {one:.4f} | {many:.3f} "
            f"| {each['bytes']:,} | {each['peak_mb']['median']:.0f} |"
        )
    lines += ["", *(f"- {name} is missing: {why}" for name, why in figures["missing"].items())]
    return "\n".join(lines).rstrip() + "\n"


def _networks(place: Path, network: bytes, known: Examples) -> dict[str, Path]:
    """The files that the engines read."""
    plain, prepared, quantised = place / "plain.onnx", place / "prepared.onnx", place / "int8.onnx"
    plain.write_bytes(network)
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(quantised),
        Ranges(known.images[:: max(1, len(known) // CALIBRATED)]),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    return {FLOAT: plain, INT8: quantised, OPENVINO: plain, OPENVINO_INT8: quantised}


def _in_turns(networks: dict[str, Path], read: Path, rounds: int) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    runs, missing = defaultdict(list), {}
    for _ in range(rounds):
        for name, network in networks.items():
            if name in missing:
                continue
            try:
                runs[name].append(_once(name, network, read))
            except MissingError as error:
                missing[name] = str(error)
    return dict(runs), missing


def _once(name: str, network: Path, read: Path) -> dict[str, Any]:
    engine, environment = "onnxruntime", dict(os.environ)
    if name.startswith(OPENVINO):
        engine = "openvino"
        environment["PYTHONPATH"] = str(next(installed("openvino").parent.glob("lib/python*/site-packages")))
    command = [sys.executable, "-m", "benchmarks.reading", engine, str(network), str(read)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: { ({key: value for key, value in found.items() if key != 'answers'}) }", file=sys.stderr, flush=True)
    return found


def _summed(runs: list[dict[str, Any]], plain: str, truth: str, network: Path) -> dict[str, Any]:
    answers = runs[0]["answers"]
    right = sum(answer == label for answer, label in zip(answers, truth, strict=True))
    interval = wilson(right, len(truth))
    return {
        "release": runs[0]["release"],
        "accuracy": right / len(truth),
        "interval": (interval.low, interval.high),
        "others": sum(answer != other for answer, other in zip(answers, plain, strict=True)),
        "bytes": network.stat().st_size,
        **{key: summary([run[key] for run in runs]) for key in ("ms_of_1", "ms_of_64", "peak_mb")},
    }
