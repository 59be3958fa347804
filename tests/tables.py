"""A small table for the tests: two blots of points that nearly everything tells apart, a network for it, and its archive."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from demlopment import archive, evaluation, recall, row
from demlopment.archive import Archive, Card
from demlopment.monitoring import profile
from demlopment.row import Column

COLUMNS = (Column("alcohol", 10, 16), Column("ash", 0, 5), Column("hue", 0, 2))
CLASSES = ("barolo", "barbera")
MATRIX = np.array([[1.5, -1.5], [0.5, 0.25], [-2.0, 2.0]], np.float32)
BIAS = np.array([-18.0, 16.0], np.float32)
TEMPERATURE = 2.0
ONE = {"alcohol": 14.25, "ash": 2.5, "hue": 0.75}


def rows(count: int, seed: int = 0, shift: float = 0.0) -> tuple[row.Row, npt.NDArray[np.int64]]:
    """(n, 3) within the ranges, and their classes; `shift` moves the hue."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    centres = np.array([[13.7, 2.5, 0.7], [12.3, 2.2, 1.2]])
    values = centres[labels] + rng.normal(0, [0.5, 0.3, 0.15], (count, 3)) + [0, 0, shift]
    low, high = np.array([each.low for each in COLUMNS]), np.array([each.high for each in COLUMNS])
    return values.clip(low, high).astype(np.float32), labels


def network() -> bytes:
    """The row is its own embedding; times a matrix plus a bias it is the logits."""
    nodes = [
        helper.make_node("Identity", ["row"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "matrix", "bias"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["n", len(COLUMNS)])]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES)]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", len(COLUMNS)]),
    ]
    weights = [numpy_helper.from_array(MATRIX, "matrix"), numpy_helper.from_array(BIAS, "bias")]
    graph = helper.make_graph(nodes, "table", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def probabilities(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The oracle: what the network says of rows (n, 3), in NumPy."""
    scaled = (values.astype(np.float64) @ MATRIX + BIAS) / TEMPERATURE
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float64)


def model(version: str = "1.0", columns: Sequence[Column] = COLUMNS) -> Archive:
    """The archive, with a reference of 500 rows and what it answered to its sample."""
    values, _ = rows(500, seed=1)
    card = Card("wine", version, CLASSES, row.VERSION, TEMPERATURE, {}, {}, columns=tuple(columns))
    reference = profile(values, probabilities(values), values, columns=COLUMNS)
    whole = Archive(card, network(), reference, row.encode_json(values[0], COLUMNS))
    said = evaluation.reader(whole)(recall.pictures(whole.sample, COLUMNS))
    return Archive(card, whole.network, reference, whole.sample, recall.answers(said, CLASSES))


def packed(store: Path, version: str = "1.0") -> Path:
    """The archive in a model store."""
    return archive.write(store, model(version))
