"""What an answer costs: time, size, arithmetic. Knows a model as its archive, and nothing of labels."""

import time
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, shape_inference

from demlopment.archive import Archive
from demlopment.errors import ArchiveError
from demlopment.records import Check, Interval

SIZES = (1, 64)  # pictures at once: one client, and a full batch
RUNS = 200  # of each size: the middle of so many is known to within a few places
WARM_UP = 20


def cost_checks(
    archive: Archive, milliseconds: float | None, kilobytes: float | None, millions: float | None
) -> tuple[Check, ...]:
    """Time for one picture alone and for a batch, size of the network, multiplications with their additions.

    milliseconds  bound of the median time of one picture; for a batch of 64 it is 64 times that
    kilobytes     bound of the network as ONNX
    millions      bound of the multiply-adds for one picture
    Each is None where it is told and not judged.
    """
    made = []
    for size in SIZES:
        spent = _times(archive.network, size)
        bound = None if milliseconds is None else milliseconds * size
        middle = float(np.median(spent))
        made.append(_cost(f"time of {size} at once", middle, _median_interval(spent), bound, len(spent), "ms"))
    made.append(_cost("network", len(archive.network) / 1000, None, kilobytes, 1, "kB"))
    made.append(_cost("multiply-adds", multiply_adds(archive.network) / 1e6, None, millions, 1, "million"))
    return tuple(made)


def multiply_adds(network: bytes) -> int:
    """Multiplications with their additions for one picture, in convolutions and dense layers of an ONNX network.

    Raises ArchiveError for a network whose shapes cannot be told.
    """
    model = onnx.load_from_string(network)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(model, data_prop=True).graph  # through shapes that are computed, too
    weights = {each.name: numpy_helper.to_array(each).size for each in graph.initializer}
    shapes = {
        each.name: [side.dim_value for side in each.type.tensor_type.shape.dim] for each in (*graph.value_info, *graph.output)
    }
    count = 0
    for node in graph.node:
        if node.op_type in {"Conv", "Gemm", "MatMul"}:
            shape = shapes.get(node.output[0], [])
            if not shape or 0 in shape or node.input[1] not in weights:
                raise ArchiveError(f"What {node.name or node.op_type} computes cannot be told.", "Export the network anew.")
            # All of (views, channels, height, width) but the channels, of (..., width) but the width: these are in the weights.
            times = (shape[0], *shape[2:]) if node.op_type == "Conv" else shape[:-1]
            count += weights[node.input[1]] * int(np.prod(times))
    return count


def _times(network: bytes, size: int) -> list[float]:
    """Milliseconds of each of `RUNS` answers, on one thread as a serving process has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()  # pictures, or rows of a table
    given = {taken.name: np.random.default_rng(0).random((size, *taken.shape[1:]), np.float32)}
    spent = []
    for run in range(WARM_UP + RUNS):
        began = time.perf_counter()
        session.run(["logits"], given)
        if run >= WARM_UP:
            spent.append(1000 * (time.perf_counter() - began))
    return spent


def _median_interval(values: Sequence[float]) -> Interval:
    """95 % for the median by order statistics, for any distribution: n / 2 +- 1.96 times half the root of n."""
    ordered, n = sorted(values), len(values)
    reach = 0.98 * n**0.5
    return Interval(ordered[max(0, int(n / 2 - reach))], ordered[min(n - 1, int(np.ceil(n / 2 + reach)))])


def _cost(name: str, value: float, interval: Interval | None, bound: float | None, rows: int, unit: str) -> Check:
    return Check("cost", name, value, interval, bound, least=False, rows=rows, unit=unit)
