"""TorchServe's door to an archive whose model reads rows of a table. Travels inside it and stands alone, as handler.py does.

Our own endpoint reads the same archive without executing this file.
"""

import json
import os

import numpy as np
import onnxruntime
import row  # type: ignore[import-not-found,unused-ignore]  # lies beside this file in the archive


class Handler:
    """One request is one row; the answer is its label."""

    def initialize(self, context):
        folder = context.system_properties["model_dir"]
        with open(os.path.join(folder, "card.json"), encoding="utf-8") as file:
            self.card = json.load(file)
        self.columns = [row.Column(*each) for each in self.card["columns"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.path.join(folder, "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def handle(self, data, context):
        # TorchServe has parsed a body that says it is JSON.
        given = [each.get("data") or each.get("body") for each in data]
        rows = [row.prepare(each if isinstance(each, dict | list) else bytes(each), self.columns) for each in given]
        (logits,) = self.session.run(["logits"], {"row": np.stack(rows)})
        return [self.card["classes"][best] for best in (logits / self.card["temperature"]).argmax(axis=1)]
