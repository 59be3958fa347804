"""What these cores could do without a server: decode and infer in a loop, with as many processes as serve.

One process: python -m benchmarks.limit NETWORK PICTURE BATCH SECONDS
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.digits import Material
from demlopment import images

BATCHES = (1, 8, 16, 64)  # the best of them is the limit


def requests_per_second(material: Material, batch: int, processes: int, seconds: float) -> float:
    """Of all processes together, running at the same time."""
    arguments = [str(material.network), str(material.picture), str(batch), str(seconds)]
    command = [sys.executable, "-m", "benchmarks.limit", *arguments]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    outputs = [process.communicate()[0] for process in running]
    return sum(float(output) for output in outputs)


def loop(network: Path, picture: Path, batch: int, seconds: float) -> float:
    """Pictures a second, of one process on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    encoded = picture.read_bytes()
    began = warmed = time.perf_counter()
    done = 0
    while time.perf_counter() < warmed + seconds:
        prepared = np.stack([images.prepare(encoded) for _ in range(batch)])
        session.run(["logits", "embedding"], {"image": images.as_input(prepared)})
        done += batch
        if warmed == began and time.perf_counter() > began + 0.3:  # the other processes have started by then
            warmed, done = time.perf_counter(), 0
    return done / (time.perf_counter() - warmed)


if __name__ == "__main__":
    print(loop(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
