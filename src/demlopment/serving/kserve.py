"""What KServe's two protocols ask of a network and how it answers. Knows JSON and tensors; knows no path and no queue.

v1: `{"instances": [...]}` gives `{"predictions": [...]}` or `{"explanations": [...]}`. v2, the Open Inference Protocol:
named tensors in, named tensors out. A label is a whole number where every class is one, because TorchServe's handlers of
digits answer so and clients compare numbers; otherwise it is a text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import demlopment
from demlopment.archive import Answering
from demlopment.errors import RequestError
from demlopment.images import SIDE
from demlopment.records import Prediction
from demlopment.row import Column
from demlopment.seen import PICTURE, ROW
from demlopment.serving import pictures, rows, tensors
from demlopment.serving.http import wire
from demlopment.serving.http.wire import Answer
from demlopment.serving.paths import Verb
from demlopment.serving.tensors import Tensor

HEADER_LENGTH = b"inference-header-content-length"
OUTPUTS: Mapping[Verb, tuple[str, ...]] = {"predict": ("label", "probabilities", "accepted"), "explain": ("label", "saliency")}


@dataclass(frozen=True)
class Output:
    """One tensor that a client wants, and whether as bytes."""

    name: str
    binary: bool


@dataclass(frozen=True, eq=False)
class Question:
    """The pictures or rows of one request as they came, and how their answers are wanted."""

    given: tuple[Any, ...]
    targets: tuple[int | str | None, ...] = ()  # the class to explain, of each picture; none: the likeliest
    id: str | None = None
    outputs: tuple[Output, ...] = ()  # none: all
    binary: bool = False  # outputs that do not say otherwise


def is_document(headers: Mapping[bytes, bytes], body: bytes) -> bool:
    """Whether a body is JSON, and no raw picture or form; no picture that can be read begins with a brace."""
    kind = headers.get(b"content-type", b"").lower()
    return HEADER_LENGTH in headers or kind.startswith(b"application/json") or body[:64].lstrip().startswith(b"{")


def instances(body: bytes, columns: Sequence[Column] = ()) -> Question:
    """The question in a body of v1, about pictures or rows of `columns`. Raises RequestError naming what is wrong with it."""
    values = wire.json_object(body).get("instances")
    if not isinstance(values, list):
        raise RequestError("The body has no list of instances.", 'Send {"instances": [...]}.')
    if columns:
        return Question(rows.instances(values, columns))
    targets = tuple(value.get("target") if isinstance(value, dict) else None for value in values)
    return Question(pictures.instances(values), targets)


def inputs(headers: Mapping[bytes, bytes], body: bytes, verb: Verb, columns: Sequence[Column] = ()) -> Question:
    """The question in a body of v2, likewise."""
    document, binary = _divided(headers, body)
    values = wire.json_object(document)
    given, chosen = values.get("id"), values.get("outputs") or []
    if given is not None and not isinstance(given, str):
        raise RequestError(f"The id is {given!r:.60}.", "Send a text.")
    if not isinstance(values.get("inputs"), list) or len(values["inputs"]) != 1:
        raise RequestError("The body has no list of one input.", f"Send the tensor {_input(columns)}, a batch of them.")
    tensor, used = tensors.read(values["inputs"][0], binary)
    if used != len(binary):
        raise RequestError(f"{len(binary) - used} bytes belong to no input.", "Send binary_data_size for each.")
    everything = _flag(values, "binary_data_output", default=False)
    if not isinstance(chosen, list):
        raise RequestError("The outputs are no list.", "Send a list of objects with a name.")
    wanted = tuple(_output(each, OUTPUTS[verb], binary=everything) for each in chosen)
    if len({output.name for output in wanted}) != len(wanted):
        raise RequestError("The outputs name one of them twice.", "Name each once.")
    found = rows.rows(tensor, columns) if columns else pictures.rows(tensor)
    return Question(found, (), given or None, wanted, everything)


def predictions(labels: Sequence[str], classes: Sequence[str]) -> Answer:
    """The answer of v1 to `predict`."""
    return wire.as_json({"predictions": _labels(labels, classes)})


def explanations(maps: Sequence[npt.NDArray[np.float32]]) -> Answer:
    """The answer of v1 to `explain`: a map of 28 x 28 numbers for each picture."""
    return wire.compact({"explanations": [rounded(each) for each in maps]})


def outputs(
    question: Question, request_id: str, key: tuple[str, str], found: Sequence[Tensor], headers: wire.Headers = ()
) -> Answer:
    """The answer of v2: the tensors that were found, or those of them that the question names."""
    known = {tensor.name: tensor for tensor in found}
    wanted = question.outputs or tuple(Output(name, question.binary) for name in known)
    written = [tensors.write(known[output.name], binary=output.binary) for output in wanted]
    document = {
        "id": question.id or request_id,
        "model_name": key[0],
        "model_version": key[1],
        "outputs": [each for each, _ in written],
    }
    answer = wire.compact(document)
    if not any(output.binary for output in wanted):
        return Answer(200, answer.body, (*answer.headers, *headers))
    head = ((b"content-type", b"application/octet-stream"), (HEADER_LENGTH, str(len(answer.body)).encode()))
    return Answer(200, answer.body + b"".join(packed for _, packed in written), (*head, *headers))


def predicted(found: Sequence[Prediction], classes: Sequence[str], answering: Answering) -> list[Tensor]:
    """The outputs of `infer`."""
    probabilities = np.stack([each.probabilities for each in found])
    return [
        _label_tensor([each.label for each in found], classes),
        Tensor("probabilities", "FP32", probabilities),
        Tensor("accepted", "BOOL", np.array([answering.accepts(each) for each in found])),
    ]


def explained(labels: Sequence[str], classes: Sequence[str], maps: Sequence[npt.NDArray[np.float32]]) -> list[Tensor]:
    """The outputs of `explain`: the classes that the maps are about, and the maps."""
    return [_label_tensor(labels, classes), Tensor("saliency", "FP32", np.stack(maps))]


def server_metadata() -> dict[str, Any]:
    """What `GET /v2` says."""
    return {"name": "demlopment", "version": demlopment.__version__, "extensions": ["binary_tensor_data"]}


def model_metadata(
    name: str, versions: Sequence[str], classes: Sequence[str] | None, columns: Sequence[Column] = ()
) -> dict[str, Any]:
    """What `GET /v2/models/{name}` says; of Python code nobody knows what goes in and out, so `classes` is None."""
    about: dict[str, Any] = {"name": name, "versions": list(versions)}
    if classes is None:
        return {**about, "platform": "torchserve_python", "inputs": [], "outputs": []}
    label = "INT64" if _are_numbers(classes) else tensors.BYTES
    shapes = (("label", label, [-1]), ("probabilities", "FP32", [-1, len(classes)]), ("accepted", "BOOL", [-1]))
    outputs = [{"name": each, "datatype": datatype, "shape": shape} for each, datatype, shape in shapes]
    shape = [-1, len(columns)] if columns else [-1, SIDE, SIDE]
    taken: dict[str, Any] = {"name": _input(columns), "datatype": "FP32", "shape": shape}
    if columns:
        taken["parameters"] = {"columns": [column._asdict() for column in columns]}
    return {**about, "platform": "onnxruntime_onnx", "inputs": [taken], "outputs": outputs}


def class_of(target: int | str | None, classes: Sequence[str]) -> int | None:
    """The index of the class that a client wants explained, by label or by index. Raises RequestError if there is none."""
    if target is None:
        return None
    if isinstance(target, str) and target in classes:
        return list(classes).index(target)
    if type(target) is int and 0 <= target < len(classes):
        return target
    raise RequestError(f"The target {target!r:.60} is no class.", f"Send one of {list(classes)}, or its index.")


def rounded(values: npt.NDArray[np.float32]) -> list[Any]:
    """Six digits: a probability is not known better, and the text is half as long."""
    rounded: list[Any] = values.astype(np.float64).round(6).tolist()
    return rounded


def _input(columns: Sequence[Column]) -> str:
    return ROW if columns else PICTURE


def _divided(headers: Mapping[bytes, bytes], body: bytes) -> tuple[bytes, bytes]:
    length = headers.get(HEADER_LENGTH)
    if length is None:
        return body, b""
    if not length.isdigit() or len(length) > 10 or int(length) > len(body):
        raise RequestError(
            f"Inference-Header-Content-Length is {length.decode('latin-1')!r:.60}, and the body has {len(body)} bytes.",
            "Send the length of the JSON.",
        )
    return body[: int(length)], body[int(length) :]


def _output(value: Any, known: Sequence[str], *, binary: bool) -> Output:
    if not isinstance(value, dict) or value.get("name") not in known:
        raise RequestError(f"An output is {value!r:.60}.", f"Send objects with a name of {list(known)}.")
    return Output(value["name"], _flag(value, "binary_data", default=binary))


def _flag(values: Mapping[str, Any], name: str, *, default: bool) -> bool:
    parameters = values.get("parameters")
    value = parameters.get(name, default) if isinstance(parameters, dict) else default
    if not isinstance(value, bool):
        raise RequestError(f"The parameter {name} is {value!r:.60}.", "Send true or false.")
    return value


def _are_numbers(classes: Sequence[str]) -> bool:
    return all(label.isascii() and label.isdigit() and len(label) < 19 and str(int(label)) == label for label in classes)


def _labels(labels: Sequence[str], classes: Sequence[str]) -> list[int] | list[str]:
    return [int(label) for label in labels] if _are_numbers(classes) else list(labels)


def _label_tensor(labels: Sequence[str], classes: Sequence[str]) -> Tensor:
    if _are_numbers(classes):
        return Tensor("label", "INT64", np.array([int(label) for label in labels], np.int64))
    return tensors.texts("label", list(labels))
