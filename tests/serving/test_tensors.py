import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from demlopment.errors import RequestError
from demlopment.serving import tensors
from demlopment.serving.tensors import DTYPES, Tensor

# Arrays are slow to draw, and a busy machine makes them slower.
BUSY = settings(suppress_health_check=[HealthCheck.too_slow])
numbers = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: arrays.arrays(
        DTYPES[name],
        arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False} if name.startswith("FP") else None,
    ).map(lambda values: Tensor("x", name, values))
)


def words(elements: st.SearchStrategy[bytes]) -> st.SearchStrategy[Tensor]:
    def tensor(values: list[bytes]) -> Tensor:
        array = np.empty(len(values), object)
        array[:] = values
        return Tensor("x", "BYTES", array)

    return st.lists(elements, max_size=5).map(tensor)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
# Nearly right, so that each check is reached.
documents = json_values | st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x") | json_values,
        "datatype": st.sampled_from([*DTYPES, "BYTES", "STRING"]) | json_values,
        "shape": st.lists(st.integers(-1, 4), max_size=4) | json_values,
        "data": st.lists(st.integers(-300, 300) | st.floats() | st.text(max_size=3), max_size=6) | json_values,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20) | json_values}) | json_values,
    },
)


def equal(one: Tensor, other: Tensor) -> bool:
    same = (one.name, one.datatype, one.values.shape) == (other.name, other.datatype, other.values.shape)
    return same and one.values.ravel().tolist() == other.values.ravel().tolist()


@settings(BUSY)
@given(tensor=numbers | words(st.binary(max_size=8)), more=st.binary(max_size=4))
def test_what_is_written_as_bytes_is_read_again_and_what_follows_is_left(tensor: Tensor, more: bytes) -> None:
    document, packed = tensors.write(tensor, binary=True)

    again, used = tensors.read(json.loads(json.dumps(document)), packed + more)

    assert equal(again, tensor)
    assert used == len(packed)


@settings(BUSY)
@given(tensor=numbers | words(st.text(max_size=6).map(str.encode)))
@example(Tensor("x", "UINT64", np.array([0, 2**63], np.uint64)))
def test_what_is_written_as_json_is_read_again_flat_or_nested(tensor: Tensor) -> None:
    document, packed = tensors.write(tensor, binary=False)
    nested = {**document, "data": tensor.values.tolist()} if tensor.datatype != "BYTES" else document

    assert packed == b""
    for each in (document, nested):
        assert equal(tensors.read(json.loads(json.dumps(each)), b"")[0], tensor)


@settings(BUSY, max_examples=300)
@given(document=documents, binary=st.binary(max_size=24))
def test_any_json_is_a_tensor_or_the_clients_fault(document: Any, binary: bytes) -> None:
    try:
        tensor, used = tensors.read(document, binary)
    except RequestError as error:
        refused, words = error.status, str(error)
    else:
        refused, words = 400, ""
        assert tensor.values.size == math.prod(tensor.values.shape)
        assert used <= len(binary)

    assert refused == 400
    assert len(words) < 400


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shape": [3]}, r"shape \[3\] and 2 elements"),
        ({"datatype": "FP128"}, "datatype 'FP128'"),
        ({"data": [1, "2"]}, "is not FP32"),
        ({"data": [[1], [2, 3]]}, "is no array"),
        ({"datatype": "UINT8", "data": [1, 256]}, "does not fit into UINT8"),
        ({"datatype": "UINT8", "data": [1, 2.5]}, "is not UINT8"),
        ({"datatype": "BOOL", "data": [1, 0]}, "is not BOOL"),
        ({"data": [1, 2**70]}, "is not FP32"),
        ({"parameters": {"binary_data_size": 8}}, "binary_data_size 8"),
        ({"shape": [True, 2]}, r"shape \[True, 2\]"),
        ({"data": {"a": "x" * 1000}}, r"data \{'a': 'xxx.*\.\.\."),
    ],
)
def test_what_is_wrong_with_a_tensor_is_named(changes: dict[str, Any], said: str) -> None:
    right = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}

    with pytest.raises(RequestError, match=said):
        tensors.read({**right, **changes}, b"")


def test_bytes_that_end_within_an_element_are_refused() -> None:
    document = {"name": "x", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}}

    with pytest.raises(RequestError, match="ends within an element"):
        tensors.read(document, b"\x09\x00\x00\x00ab")
