"""The same network behind BentoML. NETWORK and WORKERS are in the environment; `images.py` is on the path."""

import os
from pathlib import Path
from typing import Annotated

import bentoml
import images
import onnxruntime


# Without its access log, and on the event loop instead of in a thread: both are faster.
@bentoml.service(workers=int(os.environ["WORKERS"]), traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Digits:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["NETWORK"], options, providers=["CPUExecutionProvider"])

    @bentoml.api(route="/predict")
    async def predict(self, image: Annotated[Path, bentoml.validators.ContentType("image/png")], /) -> str:
        (logits,) = self.session.run(["logits"], {"image": images.as_input(images.prepare(image.read_bytes()))})
        return str(logits.argmax())
