"""TorchServe's door to a model archive. Travels inside it and stands alone: NumPy, OpenCV and ONNX Runtime only.

Our own endpoint reads the same archive without executing this file.
"""

import json
import os

import images  # type: ignore[import-not-found,unused-ignore]  # lies beside this file in the archive
import numpy as np
import onnxruntime


class Handler:
    """One request is one picture; the answer is its label."""

    def initialize(self, context):
        folder = context.system_properties["model_dir"]
        with open(os.path.join(folder, "card.json"), encoding="utf-8") as file:
            self.card = json.load(file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.path.join(folder, "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def handle(self, data, context):
        pictures = [row.get("data") or row.get("body") for row in data]
        prepared = np.stack([images.prepare(bytes(picture)) for picture in pictures])
        (logits,) = self.session.run(["logits"], {"image": images.as_input(prepared)})
        scaled = logits / self.card["temperature"]
        return [self.card["classes"][best] for best in scaled.argmax(axis=1)]
