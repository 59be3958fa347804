"""Tensors of the Open Inference Protocol, as JSON or as bytes behind it. Knows datatypes; knows no model and no picture.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol, and Triton's binary tensor data extension.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.errors import RequestError

BYTES = "BYTES"
DTYPES = {
    "BOOL": np.dtype("?"),
    **{f"{kind}{bits}": np.dtype(f"<{kind[0].lower()}{bits // 8}") for kind in ("UINT", "INT") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
MAX_DIMENSIONS = 8  # a batch of pictures has 4


@dataclass(frozen=True, eq=False)
class Tensor:
    """One named input or output; the elements of a BYTES tensor are bytes in an object array."""

    name: str
    datatype: str
    values: npt.NDArray[Any]


def read(document: Any, binary: bytes) -> tuple[Tensor, int]:
    """A tensor from its JSON object, and how many bytes of `binary`, which follow the JSON, belong to it.

    Raises RequestError naming what is wrong with it.
    """
    if not isinstance(document, dict):
        raise RequestError(f"A tensor is {_cut(document)}.", "Send an object with name, shape, datatype and data.")
    name, datatype = document.get("name"), document.get("datatype")
    if not isinstance(name, str):
        raise RequestError(f"A tensor has the name {_cut(name)}.", "Send a text.")
    if not isinstance(datatype, str) or datatype not in (*DTYPES, BYTES):
        raise RequestError(f"The tensor {_cut(name)} has the datatype {_cut(datatype)}.", f"Send one of {[*DTYPES, BYTES]}.")
    shape = _shape(name, document.get("shape"))
    size = _binary_size(name, document)
    if size is None:
        flat = _from_json(name, datatype, document.get("data"))
    elif size > len(binary):
        raise RequestError(f"The tensor {_cut(name)} has {size} bytes, and {len(binary)} follow.", "Send all of them.")
    else:
        flat = _from_bytes(name, datatype, binary[:size])
    if flat.size != math.prod(shape):
        raise RequestError(f"The tensor {_cut(name)} has the shape {list(shape)} and {flat.size} elements.", "Send as many.")
    try:
        return Tensor(name, datatype, flat.reshape(shape)), size or 0
    except (ValueError, OverflowError) as impossible:  # nothing, in dimensions that no array can have
        raise RequestError(f"The tensor {_cut(name)} has the shape {_cut(list(shape))}.", "Send the shape of its data.") from (
            impossible
        )


def write(tensor: Tensor, *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """The tensor's JSON object, and what follows the JSON if it is `binary`."""
    document: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype}
    shape = list(tensor.values.shape)
    if not binary:
        flat = tensor.values.ravel().tolist()
        data = [each.decode(errors="replace") for each in flat] if tensor.datatype == BYTES else flat
        return {**document, "data": data, "shape": shape}, b""
    packed = _to_bytes(tensor)
    return {**document, "parameters": {"binary_data_size": len(packed)}, "shape": shape}, packed


def texts(name: str, values: list[str]) -> Tensor:
    """A BYTES tensor of one dimension that holds texts."""
    array = np.empty(len(values), object)
    array[:] = [value.encode() for value in values]
    return Tensor(name, BYTES, array)


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or any(type(side) is not int or side < 0 for side in shape):
        raise RequestError(f"The tensor {_cut(name)} has the shape {_cut(shape)}.", "Send a list of whole numbers.")
    return tuple(shape)


def _binary_size(name: str, document: Mapping[str, Any]) -> int | None:
    parameters = document.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or size < 0 or "data" in document):
        raise RequestError(
            f"The tensor {_cut(name)} has the binary_data_size {_cut(size)}.", "Send its number of bytes and no data."
        )
    return size


def _from_json(name: str, datatype: str, data: Any) -> npt.NDArray[Any]:
    if not isinstance(data, list):
        raise RequestError(f"The tensor {_cut(name)} has the data {_cut(data)}.", "Send a list.")
    if datatype == BYTES:
        return _from_texts(name, data)
    try:
        values = numbers(data)
        if values.dtype.kind in "fO" and datatype == "UINT64":
            # NumPy makes floats of whole numbers that fit neither INT64 alone nor UINT64 alone.
            values = _whole(np.asarray(data, object), values)
    except ValueError as ragged:
        raise RequestError(
            f"The data of the tensor {_cut(name)} is no array ({ragged}).", "Send rows of equal length."
        ) from ragged
    except TypeError as text:
        raise RequestError(f"The data of the tensor {_cut(name)} is not {datatype}: {text}.", "Send numbers.") from text
    dtype = DTYPES[datatype]
    allowed = {"b": "b", "f": "iuf"}.get(dtype.kind, "iu")
    if values.size and values.dtype.kind not in allowed:
        raise RequestError(f"The data of the tensor {_cut(name)} is not {datatype}.", "Send what the datatype says.")
    if values.size and dtype.kind in "iu" and not np.iinfo(dtype).min <= values.min() <= values.max() <= np.iinfo(dtype).max:
        raise RequestError(f"The data of the tensor {_cut(name)} does not fit into {datatype}.", "Send a wider datatype.")
    with np.errstate(over="ignore"):  # becomes infinite, which whoever needs a number refuses
        return values.astype(dtype).ravel()


def _whole(exact: npt.NDArray[Any], otherwise: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As UINT64 if every element is a whole number of that range."""
    fits = all(type(each) is int and 0 <= each < 2**64 for each in exact.ravel())
    return exact.astype(np.uint64) if fits else otherwise


def numbers(data: list[Any]) -> npt.NDArray[Any]:
    """Nested lists as an array of the type that fits them; raises ValueError for ragged ones, TypeError for a text among them.

    NumPy would make every element as long as the longest text, which is how a small body could fill the memory.
    """
    level: list[Any] = data
    while level and all(isinstance(each, list) for each in level):
        level = [element for each in level for element in each]
    if any(isinstance(each, str) for each in level):
        raise TypeError("it holds a text")
    return np.asarray(data)


def _from_texts(name: str, data: list[Any]) -> npt.NDArray[Any]:
    flat = data
    while flat and all(isinstance(each, list) for each in flat):
        flat = [element for each in flat for element in each]
    if not all(isinstance(each, str) for each in flat):
        raise RequestError(f"The data of the tensor {_cut(name)} is not {BYTES}.", "Send texts.")
    values = np.empty(len(flat), object)
    values[:] = [each.encode(errors="surrogatepass") for each in flat]
    return values


def _from_bytes(name: str, datatype: str, packed: bytes) -> npt.NDArray[Any]:
    if datatype == BYTES:
        return _lengths_and_bytes(name, packed)
    dtype = DTYPES[datatype]
    if len(packed) % dtype.itemsize:
        raise RequestError(f"The tensor {_cut(name)} has {len(packed)} bytes of {datatype}.", "Send whole elements.")
    return np.frombuffer(packed, dtype)


def _lengths_and_bytes(name: str, packed: bytes) -> npt.NDArray[Any]:
    elements, at = [], 0
    while at < len(packed):
        end = at + 4
        if end <= len(packed):
            end += struct.unpack_from("<I", packed, at)[0]
        if end > len(packed) or end < at + 4:
            raise RequestError(f"The tensor {_cut(name)} ends within an element.", "Send 4 bytes of length before each.")
        elements.append(packed[at + 4 : end])
        at = end
    values = np.empty(len(elements), object)
    values[:] = elements
    return values


def _to_bytes(tensor: Tensor) -> bytes:
    if tensor.datatype == BYTES:
        return b"".join(struct.pack("<I", len(each)) + each for each in tensor.values.ravel())
    return np.ascontiguousarray(tensor.values, DTYPES[tensor.datatype]).tobytes()


def _cut(value: Any) -> str:
    """A client's value in an error: readable, however long it is."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
