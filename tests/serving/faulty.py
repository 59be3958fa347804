"""Models with one fault each, which are registered without complaint: for canaries that have to find out."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from demlopment import archive, images
from demlopment.archive import Archive, Card
from demlopment.serving.state import Version
from tests.serving.endpoint import CLASSES, TEMPERATURE, digit, onnx_network, weights
from tests.serving.handlers.hosting import packed as packed_handler

HANDLERS = {
    "crashing": "import os\n\ndef handle(data, context):\n    data and os._exit(1)\n",
    "failing": "def handle(data, context):\n    return data and [1 / 0 for row in data]\n",
    "leaking": """
held = []

def handle(data, context):
    held.append(b"x" * 8_000_000)
    return data and ["1"] * len(data)
""",
}


def network(store: Path, fault: str, version: str) -> Version:
    """A network with the fault `slow`, `nan`, `swapped` or `sure`, or `none`: then only a little more careful than 1.0."""
    made = {"slow": _slow, "nan": _nan, "swapped": _swapped}.get(fault, lambda: onnx_network("1.0"))()
    temperature = {"sure": 0.001, "none": 1.1 * TEMPERATURE}.get(fault, TEMPERATURE)
    card = Card("digits", version, CLASSES, images.VERSION, temperature, {}, {})
    path = archive.write(store, Archive(card, made, {}, digit(1)))
    return Version(path.name, path.name, 1, 1)


def handler(store: Path, fault: str, version: str) -> Version:
    """A handler that is `crashing`, `failing` or `leaking`."""
    manifest = {"modelName": "digits", "handler": "handler.py", "modelVersion": version}
    path = packed_handler(store / f"digits-{version}.mar", {"handler.py": HANDLERS[fault]}, manifest)
    return Version(path.name, path.name, 1, 1, kind="handler")


def _slow() -> bytes:
    """The answers of 1.0 after a picture of 560 x 560 pixels has been blurred 64 times: tens of milliseconds on a fast core."""
    kernel = np.full((64, 1, 5, 5), 1e-9, np.float32)
    return _behind(
        [
            helper.make_node("Resize", ["image", "", "scales"], ["large"], mode="nearest"),
            helper.make_node("Conv", ["large", "kernel"], ["blurred"]),
            helper.make_node("ReduceMax", ["blurred"], ["most"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Unsqueeze", ["most", "one"], ["extra"]),
        ],
        {"kernel": kernel, "scales": np.array([1, 1, 20, 20], np.float32), "one": np.array([1], np.int64)},
    )


def _nan() -> bytes:
    """No number for a picture with little ink, which its sample is not: the square root of what is below zero."""
    return _behind(
        [
            helper.make_node("ReduceMean", ["image"], ["ink"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Sub", ["ink", "least"], ["rest"]),
            helper.make_node("Sqrt", ["rest"], ["root"]),
            helper.make_node("Unsqueeze", ["root", "one"], ["extra"]),
        ],
        {"least": np.array(0.1, np.float32), "one": np.array([1], np.int64)},
    )


def _behind(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> bytes:
    """What 1.0 answers, with `extra` (n, 1) added to every logit, which changes no probability."""
    matrix, bias = weights("1.0")
    nodes = [
        *nodes,
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[7, 7], strides=[7, 7]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "matrix", "bias"], ["plain"]),
        helper.make_node("Add", ["plain", "extra"], ["logits"]),
    ]
    named = {"matrix": matrix, "bias": bias, **constants}
    graph = helper.make_graph(
        nodes,
        "faulty",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", matrix.shape[0]]),
        ],
        [numpy_helper.from_array(value, name) for name, value in named.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def _swapped() -> bytes:
    """The network of 1.0 with its outputs one place on: each class has another's name."""
    made = onnx.load_from_string(onnx_network("1.0"))
    for tensor in made.graph.initializer:
        value = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(np.roll(value, 1, axis=-1), tensor.name))
    return bytes(made.SerializeToString())
