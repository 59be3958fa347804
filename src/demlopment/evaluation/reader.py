"""A model as it is served: prepared pictures in, calibrated probabilities out. Knows nothing of labels or of tests."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnxruntime
from scipy.special import softmax

from demlopment import seen
from demlopment.archive import Archive
from demlopment.seen import Seen

BATCH = 200  # pictures at once: with a network of the large profile they take 170 MB

# (n, 28, 28) as images.prepare makes them, or (n, columns) as row.prepare does -> (n, classes), each row sums to 1
Reader = Callable[[Seen], npt.NDArray[np.float32]]


def reader(archive: Archive) -> Reader:
    """What an archive answers, by the network that would be served and with the card's temperature; on one thread.

    Without a picture the answer has no rows.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the numbers must not depend on how many cores a machine has
    session = onnxruntime.InferenceSession(archive.network, options, providers=["CPUExecutionProvider"])
    classes, temperature = len(archive.card.classes), archive.card.temperature

    def read(pictures: Seen) -> npt.NDArray[np.float32]:
        parts = [np.zeros((0, classes), np.float32)]
        for start in range(0, len(pictures), BATCH):
            (logits,) = session.run(["logits"], seen.feed(pictures[start : start + BATCH]))
            parts.append(softmax(logits.astype(np.float64) / temperature, axis=1).astype(np.float32))
        return np.concatenate(parts)

    return read
