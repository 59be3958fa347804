"""The network: fitted with torch, written as ONNX. Knows the columns, and nothing of archives or endpoints."""

import numpy as np
import onnx
import torch
from onnx import numpy_helper, parser
from torch import nn

from demlopment.records import Examples
from examples.wine.table import CLASSES, COLUMNS

HIDDEN, STEPS = 16, 400
GRAPH = """<ir_version: 9, opset_import: ["": 17]>
wine (float[n, 5] row) => (float[n, 3] logits, float[n, 16] embedding) {
    hidden = Gemm <transB = 1> (row, matrix, bias)
    embedding = Relu (hidden)
    logits = Gemm <transB = 1> (embedding, head, offset)
}"""


def fit(train: Examples, validation: Examples) -> tuple[bytes, float]:
    """A network of one hidden layer as ONNX, and its loss on the validation part in nats.

    A row goes in as it is: scaling is part of the first layer's weights.
    """
    torch.manual_seed(1)
    torch.set_num_threads(1)  # more would wait for each other longer than they compute
    middle, spread = train.images.mean(axis=0), train.images.std(axis=0)
    hidden, head = nn.Linear(len(COLUMNS), HIDDEN), nn.Linear(HIDDEN, len(CLASSES))
    network = nn.Sequential(hidden, nn.ReLU(), head)

    def loss(rows: Examples) -> torch.Tensor:
        scaled = torch.from_numpy((rows.images - middle) / spread)
        return nn.functional.cross_entropy(network(scaled), torch.from_numpy(rows.labels))

    optimiser = torch.optim.AdamW(network.parameters(), lr=0.02, weight_decay=0.01)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss(train).backward()  # type: ignore[no-untyped-call]  # torch's own
        optimiser.step()
    matrix, bias, weights, offset = (each.detach().numpy() for each in (hidden.weight, hidden.bias, head.weight, head.bias))
    with torch.no_grad():
        return _written(matrix / spread, bias - matrix @ (middle / spread), weights, offset), loss(validation).item()


def _written(*weights: np.ndarray) -> bytes:
    model = parser.parse_model(GRAPH)
    for name, values in zip(("matrix", "bias", "head", "offset"), weights, strict=True):
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
