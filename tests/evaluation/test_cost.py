"""What is counted is what the network computes, and a bound that is passed is seen. No bound here is a time."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from demlopment import images
from demlopment.archive import Archive, Card
from demlopment.errors import ArchiveError
from demlopment.evaluation.cost import cost_checks, multiply_adds
from demlopment.training import Fitted, export
from demlopment.training import network as networks


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> Archive:
    return Archive(
        Card("digits", "1.0", tuple("0123456789"), images.VERSION, fitted.temperature, {}, {}), export(fitted), {}, b""
    )


def test_the_multiply_adds_of_the_served_network_are_those_of_the_fitted_one(model: Archive, fitted: Fitted) -> None:
    assert multiply_adds(model.network) == networks.multiply_adds(fitted.network)


def table(nodes: list[onnx.NodeProto], width: int, **arrays: npt.NDArray[Any]) -> bytes:
    """A network that somebody brought: rows of 12 columns -> "embedding" (n, width) -> "logits" (n, 3)."""
    dense = helper.make_node("Gemm", ["embedding", "last"], ["logits"])
    arrays["last"] = np.zeros((width, 3), np.float32)
    sizes = {"row": 12, "logits": 3, "embedding": width}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in sizes.items()}
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([*nodes, dense], "table", [values["row"]], [values["logits"], values["embedding"]], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def test_a_dense_layer_counts_once_for_each_place_that_it_is_applied_at() -> None:
    nodes = [
        helper.make_node("Reshape", ["row", "apart"], ["four"]),
        helper.make_node("MatMul", ["four", "each"], ["seen"]),
        helper.make_node("Flatten", ["seen"], ["embedding"]),
    ]
    network = table(nodes, 20, apart=np.array([-1, 4, 3]), each=np.zeros((3, 5), np.float32))

    assert multiply_adds(network) == 4 * 3 * 5 + 20 * 3


def test_shapes_that_a_network_computes_are_followed() -> None:
    nodes = [
        helper.make_node("Shape", ["row"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["n"], axis=0),
        helper.make_node("Concat", ["n", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["row", "target"], ["flat"]),
        helper.make_node("Gemm", ["flat", "hidden"], ["embedding"]),
    ]
    numbers = {"first": np.array([0]), "rest": np.array([12]), "hidden": np.zeros((12, 5), np.float32)}

    assert multiply_adds(table(nodes, 5, **numbers)) == 12 * 5 + 5 * 3


def test_a_shape_that_cannot_be_told_is_refused_and_not_counted_as_nothing() -> None:
    nodes = [
        helper.make_node("NonZero", ["row"], ["where"]),
        helper.make_node("Cast", ["where"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["pair", "floats"], ["odd"]),
        helper.make_node("Transpose", ["floats"], ["turned"]),
        helper.make_node("Gemm", ["turned", "hidden"], ["embedding"]),
    ]
    numbers = {"pair": np.zeros((1, 2), np.float32), "hidden": np.zeros((2, 5), np.float32)}

    with pytest.raises(ArchiveError, match="cannot be told"):
        multiply_adds(table(nodes, 5, **numbers))


def test_size_and_arithmetic_are_held_to_their_bounds_and_times_have_intervals(model: Archive) -> None:
    million = multiply_adds(model.network) / 1e6

    met = cost_checks(model, None, len(model.network) / 1000, million)
    missed = cost_checks(model, 0.0, len(model.network) / 1001, million * 0.99)

    assert all(check.met for check in met)
    assert not any(check.met for check in missed)
    assert [check.name for check in met] == ["time of 1 at once", "time of 64 at once", "network", "multiply-adds"]
    assert all(check.interval is not None and check.interval.low <= check.value <= check.interval.high for check in met[:2])
