"""The same network behind LitServe. Usage: server.py NETWORK PORT WORKERS BATCH; `images.py` is on the path."""

import base64
import sys

import images
import litserve
import numpy as np
import onnxruntime


class Digits(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request):
        return images.prepare(base64.b64decode(request["image"]))  # a body of JSON is what it takes

    def predict(self, prepared):
        (logits,) = self.session.run(["logits"], {"image": images.as_input(np.atleast_3d(prepared).reshape(-1, 28, 28))})
        best = logits.argmax(axis=1).tolist()
        return best if self.max_batch_size > 1 else best[0]

    def encode_response(self, best):
        return {"label": str(best)}


if __name__ == "__main__":
    port, workers, batch = (int(value) for value in sys.argv[2:5])
    api = Digits(max_batch_size=batch, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=port, num_api_servers=workers, log_level="warning", generate_client_file=False)
