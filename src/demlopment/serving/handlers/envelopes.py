"""What an orchestrator wraps around the rows of a request, taken off before the handler and put back after. Knows no process.

TorchServe has one envelope for the whole server; `kserve` and `kservev2` read the first request of a batch only.
"""

import binascii
import json
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any

from demlopment.serving.handlers.context import Context
from demlopment.serving.handlers.encoding import PredictionError

Handle = Callable[[Any, Context], Any]
ALONE = ("kserve", "kservev2")  # envelopes that cannot hold a batch


def wrapped(envelope: str, handle: Handle, *, strict: bool = False) -> Handle:
    """`handle` inside the envelope of that name.

    Raises PredictionError for a body that is not in it: 400, or TorchServe's 503 if `strict`.
    """
    unwrap, wrap = ENVELOPES[envelope]

    def around(rows: Sequence[dict[str, Any]], context: Context) -> Any:
        if context.get_request_header(0, "describe") == "True":
            return handle(rows, context)
        try:
            inner, remembered = unwrap(rows)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as broken:
            if strict:
                raise PredictionError(503, "Prediction failed") from broken
            raise PredictionError(
                400, f"The body is not in the envelope {envelope}: {broken!r}.", "BadRequestException"
            ) from broken
        answers = handle(inner, context)
        if envelope == "json" and not answers:
            raise PredictionError(503, "Prediction failed")  # TorchServe would look for the rows of nothing
        return wrap(answers, remembered, context) if answers else answers

    return around


def _body(row: dict[str, Any]) -> Any:
    return row.get("data") or row.get("body")


def _object(row: dict[str, Any]) -> Any:
    content = _body(row)
    return json.loads(content) if isinstance(content, bytes | bytearray | str) else content


def _bodies(rows: Sequence[dict[str, Any]]) -> tuple[Any, Any]:
    return [_body(row) for row in rows], None


def _instances(rows: Sequence[dict[str, Any]]) -> tuple[Any, Any]:
    """TensorFlow Serving's `instances`, of all requests in one list; `b64` objects are bytes."""
    batches = [[_unpacked(instance) for instance in _listed(_object(row)["instances"])] for row in rows]
    return [instance for batch in batches for instance in batch], [len(batch) for batch in batches]


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"instances is {type(value).__name__} instead of a list")
    return value


def _predictions(answers: Sequence[Any], lengths: Sequence[int], context: Context) -> list[str]:
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
    return [json.dumps({"predictions": answers[end - length : end]}) for end, length in zip(ends, lengths, strict=True)]


def _unpacked(instance: Any) -> Any:
    if not isinstance(instance, dict):
        return instance
    if list(instance) == ["b64"]:
        return _bytes(instance["b64"])
    return {name: _unpacked(value) if _is_b64(value) else value for name, value in instance.items()}


def _is_b64(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"]


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text)
    except binascii.Error as broken:
        raise ValueError(f"b64 is not base64 ({broken})") from broken


def _kserve(rows: Sequence[dict[str, Any]]) -> tuple[Any, Any]:
    return _listed(_object(rows[0])["instances"]), None


def _kserve_answers(answers: Any, _: Any, context: Context) -> list[Any]:
    explained = context.get_request_header(0, "explain") == "True"
    return [{"explanations" if explained else "predictions": answers}]


def _kserve2(rows: Sequence[dict[str, Any]]) -> tuple[Any, Any]:
    """Open Inference Protocol 2: the inputs, with data in their shape, or the one text of BYTES."""
    request = _object(rows[0])
    inputs = request["inputs"]
    for each in inputs:
        each["data"] = each["data"][0] if each["datatype"] == "BYTES" else _shaped(_flat(each["data"]), each["shape"])
    return inputs, (str(request.get("id") or "").strip(), [each["name"] for each in inputs])


def _kserve2_answers(answers: Sequence[Any], asked: tuple[str, list[str]], context: Context) -> list[Any]:
    request_id, names = asked
    model = (context.manifest or {}).get("model", {})
    outputs = [_output(name, answer) for name, answer in zip(names, answers, strict=False)]
    return [
        {
            "id": request_id or context.get_request_id(0),
            "model_name": model.get("modelName"),
            "model_version": model.get("modelVersion"),
            "outputs": outputs,
        }
    ]


def _output(name: str, answer: Any) -> dict[str, Any]:
    values = _flat(answer)
    kind = _datatype(values)
    if kind == "FP64":
        values = [float(value) for value in values]
    return {"name": name, "datatype": kind, "data": values, "shape": [len(values)]}


def _flat(value: Any) -> list[Any]:
    if hasattr(value, "tolist"):  # an array or a tensor
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in _flat(each)]
    return [value]


def _shaped(values: list[Any], shape: Sequence[int]) -> Any:
    size = 1
    for length in shape:
        size *= length
    if size != len(values):
        raise ValueError(f"{len(values)} numbers do not have the shape {list(shape)}")
    for length in list(shape)[:0:-1]:
        values = [values[start : start + length] for start in range(0, len(values), length)] if length else []
    return values if shape else values[0]


def _datatype(values: list[Any]) -> str:
    kinds = {type(value) for value in values}
    if kinds and kinds <= {bool}:
        return "BOOL"
    if kinds and kinds <= {int, bool}:
        return "INT64"
    return "FP64" if kinds <= {float, int, bool} else "BYTES"


ENVELOPES: dict[str, tuple[Callable[[Any], tuple[Any, Any]], Callable[[Any, Any, Context], Any]]] = {
    "body": (_bodies, lambda answers, _, __: answers),
    "json": (_instances, _predictions),
    "kserve": (_kserve, _kserve_answers),
    "kservev2": (_kserve2, _kserve2_answers),
}
