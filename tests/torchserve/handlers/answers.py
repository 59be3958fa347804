"""A handler as a class: the request's body says what to answer."""

import os
import threading
from typing import Any

from ts.handler_utils.utils import (  # type: ignore[import-not-found,unused-ignore]  # TorchServe's, or what stands in for it
    send_intermediate_predict_response,
)
from ts.utils.util import PredictionException  # type: ignore[import-not-found,unused-ignore]  # as above

ANSWERS: dict[str, Any] = {
    "text": "text",
    "letters": "Größe 7 µm",
    "empty": "",
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"array"),
    "integer": 3,
    "float": 0.1,
    "nan": float("nan"),
    "infinity": [float("inf"), float("-inf")],
    "true": True,
    "none": None,
    "dict": {"label": "7", "size": "ß", "scores": [0.25, 0.75], "none": None},
    "list": [1, [2, "three"]],
    "object": {"set": {1}},
}


class Answers:
    def initialize(self, context: Any) -> None:
        self.properties = context.system_properties
        self.manifest = context.manifest

    def handle(self, data: list[dict[str, Any]], context: Any) -> Any:
        asked = [bytes(row.get("data") or row.get("body") or b"text").decode() for row in data]
        if asked[0] == "not a list":
            return "text"
        if asked[0] == "too many":
            return ["text"] * (len(data) + 1)
        return [self._answer(each, number, context) for number, each in enumerate(asked)]

    def _answer(self, asked: str, number: int, context: Any) -> Any:
        if asked in ANSWERS:
            return ANSWERS[asked]
        return getattr(self, "_" + asked.replace(" ", "_"))(number, context)

    def _raise(self, number: int, context: Any) -> None:
        raise ValueError("the handler says so")

    def _refuse(self, number: int, context: Any) -> None:
        raise PredictionException("Send a smaller picture", 422)

    def _refuse_plainly(self, number: int, context: Any) -> None:
        raise PredictionException("Something was wrong")

    def _cuda(self, number: int, context: Any) -> None:
        raise RuntimeError("CUDA out of memory")

    def _memory(self, number: int, context: Any) -> None:
        raise MemoryError

    def _die(self, number: int, context: Any) -> None:
        os._exit(3)

    def _hang(self, number: int, context: Any) -> None:
        threading.Event().wait(30)

    def _rest(self, number: int, context: Any) -> str:
        threading.Event().wait(0.5)
        return "rested"

    def _long(self, number: int, context: Any) -> str:
        return "x" * 200_000

    def _status(self, number: int, context: Any) -> str:
        context.set_response_status(404, "Not here", number)
        return "no such thing"

    def _created(self, number: int, context: Any) -> str:
        context.set_response_status(201, "Made", number)
        return "made"

    def _headers(self, number: int, context: Any) -> str:
        context.set_response_header(number, "x-mood", "calm")
        context.set_response_content_type(number, "application/json")
        return '{"said": true}'

    def _stream(self, number: int, context: Any) -> str:
        for word in ("one ", "two "):
            send_intermediate_predict_response([word], context.request_ids, "Intermediate Prediction success", 200, context)
        return "three"

    def _identity(self, number: int, context: Any) -> dict[str, Any]:
        known = {name: value for name, value in self.properties.items() if name != "model_dir"}
        return {"properties": known, "model": self.manifest["model"], "yaml": context.model_yaml_config}

    def _id(self, number: int, context: Any) -> str:
        return str(context.get_request_id(number))

    def _measure(self, number: int, context: Any) -> str:
        context.metrics.add_counter("InferenceTimeInMS", 3)
        return "measured"
