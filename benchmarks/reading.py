"""One engine reads pictures with one network, on one thread: its answers and what they took, as a line of JSON.

python -m benchmarks.reading onnxruntime|openvino NETWORK PICTURES
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.once import peak_mb
from demlopment.images import as_input

RUNS, WARM_UP = 500, 50
Answer = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]  # (n, 1, 28, 28) -> logits (n, classes)


def onnxruntime_of(network: Path) -> tuple[Answer, str]:
    """ONNX Runtime, as a serving process has it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"image": images})[0], onnxruntime.__version__


def openvino_of(network: Path) -> tuple[Answer, str]:
    """OpenVINO on one thread, in the precision of the file."""
    import openvino  # type: ignore[import-not-found]  # in the peer's own environment

    options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(str(network), "CPU", options).create_infer_request()
    return lambda images: request.infer({"image": images})["logits"].copy(), openvino.__version__


ENGINES = {"onnxruntime": onnxruntime_of, "openvino": openvino_of}


def milliseconds(answer: Answer, size: int) -> float:
    """The median of many answers to so many pictures at once."""
    pictures = np.random.default_rng(0).random((size, 1, 28, 28), np.float32)
    spent = []
    for run in range(WARM_UP + RUNS):
        began = time.perf_counter()
        answer(pictures)
        if run >= WARM_UP:
            spent.append(1000 * (time.perf_counter() - began))
    return float(np.median(spent))


def read(engine: str, network: Path, pictures: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Answers to all pictures, the time of 1 and of 64 at once, and the memory of the whole process."""
    answer, release = ENGINES[engine](network)
    batches = np.array_split(pictures, -(-len(pictures) // 64))
    said = "".join(str(label) for batch in batches for label in answer(as_input(batch)).argmax(axis=1))
    times = {f"ms_of_{size}": milliseconds(answer, size) for size in (1, 64)}
    return {"answers": said, "release": release, "peak_mb": peak_mb(), **times}


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1], Path(sys.argv[2]), np.load(sys.argv[3])["pictures"])))
