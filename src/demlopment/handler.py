"""TorchServe's door to a model archive. Travels inside it and stands alone: NumPy, OpenCV and ONNX Runtime only.

Our own endpoint reads the same archive without executing this file, and answers the same. TorchServe wants one class here.
"""

import json
import os
from types import SimpleNamespace

import numpy as np
import onnxruntime


class Handler:
    """One request is a picture or a row; the answer is its label, or all about it for a client that accepts JSON."""

    def initialize(self, context):
        folder = context.system_properties["model_dir"]
        with open(os.path.join(folder, "card.json"), encoding="utf-8") as file:
            self.card = json.load(file)
        self.quoting = self.card.get("answer", {})
        self.temperature = self.card["temperature"] if self.quoting.get("calibrated", True) else 1.0
        self.reads = _rows(self.card["columns"]) if "columns" in self.card else _pictures(self.quoting.get("legible", {}))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.path.join(folder, "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def handle(self, data, context):
        prepared = np.stack([self.reads.prepared(each.get("data") or each.get("body")) for each in data])
        (logits,) = self.session.run(["logits"], self.reads.feed(prepared))
        probabilities = _softmax(logits / np.float32(self.temperature))
        if not np.isfinite(probabilities).all():
            raise FloatingPointError("the network answers with no number")
        return [self._said(*each, context) for each in zip(range(len(prepared)), probabilities, prepared, strict=True)]

    def _said(self, number, shares, seen, context):
        label = self.card["classes"][shares.argmax()]
        if not _accepts_json(context.get_all_request_header(number)):
            return label
        context.set_response_content_type(number, "application/json")
        probabilities = [float(each) for each in shares]
        told = {
            "label": label,
            "probabilities": self._shown(dict(zip(self.card["classes"], probabilities, strict=True))),
            "confidence": max(probabilities),
            "accepted": self.reads.legible(seen) and max(probabilities) >= self.quoting.get("threshold", 0.0),
            "model": context.model_name,
            "version": self.card["version"],
            "request_id": context.get_request_id(number),
        }
        return json.dumps(told, indent=2, ensure_ascii=False) + "\n"

    def _shown(self, probabilities):
        top_k = self.quoting.get("top_k")
        if top_k is None:
            return probabilities
        return dict(sorted(probabilities.items(), key=lambda item: -item[1])[:top_k])


def _pictures(limits):
    """How a network is asked that reads pictures: images.py lies beside this file."""
    import images  # type: ignore[import-not-found,unused-ignore]

    def legible(picture):
        """As archive.Answering and legibility, which cannot be imported here; a test compares them."""
        ink = picture.mean() / 255
        halftones = ((picture > images.INK) & (picture < 255 - images.INK)).mean()
        enough = limits.get("least_ink", 0.0) <= ink <= limits.get("most_ink", 1.0)
        return bool(enough and halftones <= limits.get("most_halftones", 1.0))

    return SimpleNamespace(
        prepared=lambda given: images.prepare(bytes(given)),
        feed=lambda pictures: {"image": images.as_input(pictures)},
        legible=legible,
    )


def _rows(columns):
    """Likewise one that reads rows of a table: row.py does."""
    import row  # type: ignore[import-not-found,unused-ignore]

    wanted = [row.Column(*each) for each in columns]
    return SimpleNamespace(
        # TorchServe has parsed a body that says it is JSON.
        prepared=lambda given: row.prepare(given if isinstance(given, dict | list) else bytes(given), wanted),
        feed=lambda rows: {"row": rows},
        legible=lambda _: True,
    )


def _accepts_json(headers):
    return any(name.lower() == "accept" and "application/json" in value for name, value in headers.items())


def _softmax(logits):
    """Rows of logits (n, classes) as probabilities; a row sums to 1."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
