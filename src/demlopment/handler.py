"""TorchServe's door to a model archive. Travels inside it and stands alone: NumPy, OpenCV and ONNX Runtime only.

Our own endpoint reads the same archive without executing this file, and answers the same.
"""

import json
import os

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
        self.reads = _Rows(self.card["columns"]) if "columns" in self.card else _Pictures(self.quoting.get("legible", {}))
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


class _Pictures:
    """images.py lies beside this file, in archives whose network reads pictures."""

    def __init__(self, limits):
        import images  # type: ignore[import-not-found,unused-ignore]

        self.images, self.limits = images, limits

    def prepared(self, given):
        return self.images.prepare(bytes(given))

    def feed(self, pictures):
        return {"image": self.images.as_input(pictures)}

    def legible(self, picture):
        """As archive.Answering and legibility, which cannot be imported here; a test compares them."""
        ink, kept = picture.mean() / 255, self.limits
        halftones = ((picture > self.images.INK) & (picture < 255 - self.images.INK)).mean()
        enough = kept.get("least_ink", 0.0) <= ink <= kept.get("most_ink", 1.0)
        return bool(enough and halftones <= kept.get("most_halftones", 1.0))


class _Rows:
    """row.py does, in archives whose network reads rows of a table."""

    def __init__(self, columns):
        import row  # type: ignore[import-not-found,unused-ignore]

        self.row, self.columns = row, [row.Column(*each) for each in columns]

    def prepared(self, given):
        # TorchServe has parsed a body that says it is JSON.
        return self.row.prepare(given if isinstance(given, dict | list) else bytes(given), self.columns)

    def feed(self, rows):
        return {"row": rows}

    def legible(self, row):
        return True


def _accepts_json(headers):
    return any(name.lower() == "accept" and "application/json" in value for name, value in headers.items())


def _softmax(logits):
    """Rows of logits (n, classes) as probabilities; a row sums to 1."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
