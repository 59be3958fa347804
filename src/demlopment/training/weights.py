"""The weights of a network that was written as ONNX, for one that learns on from them. Knows nothing of classes' names."""

from collections.abc import Mapping

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships none, and onnx needs it
from onnx import numpy_helper
from torch import Tensor

from demlopment.errors import ArchiveError
from demlopment.training.network import Network, named


def weights(written: bytes, network: Network) -> Mapping[str, Tensor]:
    """What `export` wrote, under the names that `network` gives its weights; its running counts, which are not written, stay.

    Raises ArchiveError unless every weight is there in its shape.
    """
    try:
        graph = onnx.load_model_from_string(written).graph
    except DecodeError as error:
        raise ArchiveError(f"The network to begin with is not ONNX: {error}.", "Fit without training.warm_start.") from error
    kept = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    found = dict(network.state_dict())
    prefixes = {layer: name for name, layer in network.named_modules()}
    for layer, _, target in named(network):
        for name, value in layer.state_dict().items():
            if not value.is_floating_point():
                continue
            array = kept.get(f"{target}.{name}")
            if array is None or array.shape != value.shape:
                was = "none" if array is None else str(array.shape)
                raise ArchiveError(
                    f"The network to begin with has other layers: its {target}.{name} is {was}, not {tuple(value.shape)}.",
                    "Fit without training.warm_start.",
                )
            found[f"{prefixes[layer]}.{name}"] = torch.from_numpy(array.copy())
    return found
