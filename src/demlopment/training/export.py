"""A fitted network as ONNX, the form that is archived and served. Knows nothing of archives, files or endpoints.

The graph is written by hand, one node a layer that answers, and some around them where a picture is read from several
places: with its check it takes a hundredth of a second, and equal weights give equal bytes. Torch's exporter takes 6 to
12 s the first time and 1 s after that; its older one is quick but deprecated. What makes this safe is that every export
is run with ONNX Runtime beside torch before it is returned.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import demlopment
from demlopment.errors import ArchiveError
from demlopment.images import SIDE, as_input
from demlopment.training.fit import Fitted
from demlopment.training.network import EMBEDDING, INPUT, LOGITS, SEEN, VIEWS, Network, named, outputs

OPSET, IR = 17, 8  # of 2022: every ONNX Runtime since 1.12 reads them, and no layer here needs a newer one
TOLERANCE = 1e-4  # in logits; float32 sums in another order differ by about 1e-6
BATCHES = (1, 5, 64)


def export(fitted: Fitted) -> bytes:
    """The network as ONNX: "image" (n, 1, 28, 28) float32 in 0..1 -> "logits" (n, classes), "embedding" (n, width).

    Equal weights give equal bytes. Raises ArchiveError for a layer that has no ONNX form here, or if ONNX Runtime and
    torch differ by more than 1e-4 anywhere, naming the largest difference.
    """
    network = _written(fitted.network)
    _refuse_unfaithful(network, fitted.network)
    return network


def _written(network: Network) -> bytes:
    nodes, weights = _views(network)
    for layer, source, target in named(network):
        if source == EMBEDDING and len(network.moves) > 1:
            nodes += _mean()
        kind, attributes, arrays = _node(layer)
        inputs = [f"{target}.{name}" for name in arrays]
        weights += [numpy_helper.from_array(array, name) for array, name in zip(arrays.values(), inputs, strict=True)]
        nodes.append(helper.make_node(kind, [source, *inputs], [target], name=f"{target}.{kind}", **attributes))
    graph = helper.make_graph(
        nodes,
        "network",
        [_value(INPUT, [1, SIDE, SIDE])],
        [_value(LOGITS, [network.head.out_features]), _value(EMBEDDING, [network.head.in_features])],
        weights,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="demlopment",
        producer_version=demlopment.__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _views(network: Network) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    """The image moved as `network.moved` does it, with the numbers that this needs; nothing for a single view."""
    if len(network.moves) == 1:
        return [], []
    nodes = [helper.make_node("Pad", [INPUT, "margin"], ["padded"], name="padded.Pad")]
    numbers = {"margin": [0, 0, 1, 1, 0, 0, 1, 1], "sides": [2, 3], "apart": [len(network.moves), -1, network.head.in_features]}
    for place, (down, right) in enumerate(network.moves):
        numbers[f"view{place}.from"] = [1 - down, 1 - right]
        numbers[f"view{place}.to"] = [1 - down + SIDE, 1 - right + SIDE]
        window = ["padded", f"view{place}.from", f"view{place}.to", "sides"]
        nodes.append(helper.make_node("Slice", window, [f"view{place}"], name=f"view{place}.Slice"))
    views = [node.output[0] for node in nodes[1:]]
    nodes.append(helper.make_node("Concat", views, [VIEWS], name=f"{VIEWS}.Concat", axis=0))
    return nodes, [numpy_helper.from_array(np.array(each, np.int64), name) for name, each in numbers.items()]


def _mean() -> list[onnx.NodeProto]:
    """Of what the body says of each view, (views n, width), the mean."""
    apart = helper.make_node("Reshape", [SEEN, "apart"], [f"{SEEN}.apart"], name=f"{SEEN}.Reshape")
    mean = helper.make_node("ReduceMean", [f"{SEEN}.apart"], [EMBEDDING], name=f"{EMBEDDING}.ReduceMean", axes=[0], keepdims=0)
    return [apart, mean]


def _node(layer: nn.Module) -> tuple[str, dict[str, Any], dict[str, npt.NDArray[np.float32]]]:
    """One layer as ONNX says it: operator, attributes, and the weights in the order of its inputs."""
    match layer:
        case nn.Conv2d():
            kernel, stride, pads = list(layer.kernel_size), list(layer.stride), [int(side) for side in layer.padding] * 2
            return "Conv", {"kernel_shape": kernel, "strides": stride, "pads": pads}, _weights(layer, ["weight", "bias"])
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            statistics = _weights(layer, ["weight", "bias", "running_mean", "running_var"])
            return "BatchNormalization", {"epsilon": layer.eps}, statistics
        case nn.MaxPool2d():
            return "MaxPool", {"kernel_shape": [layer.kernel_size] * 2, "strides": [layer.stride] * 2}, {}
        case nn.Linear():
            return "Gemm", {"transB": 1}, _weights(layer, ["weight", "bias"])
        case nn.ReLU():
            return "Relu", {}, {}
        case nn.Flatten():
            return "Flatten", {}, {}
    raise ArchiveError(
        f"The layer {type(layer).__name__} cannot be written as ONNX.", "Use another layer, or teach export.py this one."
    )


def _weights(layer: nn.Module, names: Iterable[str]) -> dict[str, npt.NDArray[np.float32]]:
    state = layer.state_dict()
    return {name: np.ascontiguousarray(state[name].numpy()) for name in names if name in state}


def _value(name: str, shape: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])


def _refuse_unfaithful(network: bytes, original: Network) -> None:
    """Run both on noise, which reaches every weight, at several batch sizes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for batch in BATCHES:
        images = rng.integers(0, 256, (batch, SIDE, SIDE), np.uint8)
        theirs = session.run([LOGITS, EMBEDDING], {INPUT: as_input(images)})
        differences = [float(np.abs(a - b).max()) for a, b in zip(theirs, outputs(original, images), strict=True)]
        if not max(differences) <= TOLERANCE:  # a NaN is not within any tolerance
            raise ArchiveError(
                f"The exported network differs from the fitted one by {max(differences):.2g} in a batch of {batch}, "
                f"and {TOLERANCE:g} is the limit.",
                "Do not serve it: fit again, and report the versions of torch and onnxruntime.",
            )
