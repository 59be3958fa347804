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
Answers = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # the same and embeddings, (n, width)


def reader(archive: Archive) -> Reader:
    """What an archive answers, by the network that would be served and with the card's temperature; on one thread.

    Without a picture the answer has no rows.
    """
    answer = answerer(archive)
    return lambda pictures: answer(pictures)[0]


def answerer(archive: Archive) -> Callable[[Seen], Answers]:
    """As `reader`, with the embeddings; without a picture they have no width either."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the numbers must not depend on how many cores a machine has
    session = onnxruntime.InferenceSession(archive.network, options, providers=["CPUExecutionProvider"])
    classes, temperature = len(archive.card.classes), archive.card.temperature

    def answer(pictures: Seen) -> Answers:
        probabilities, embeddings = [np.zeros((0, classes), np.float32)], []
        for start in range(0, len(pictures), BATCH):
            logits, embedding = session.run(["logits", "embedding"], seen.feed(pictures[start : start + BATCH]))
            probabilities.append(softmax(logits.astype(np.float64) / temperature, axis=1).astype(np.float32))
            embeddings.append(embedding)
        # Copies, because what ONNX Runtime gives keeps all memory of its session: 30 MB for every day that somebody remembers.
        return np.concatenate(probabilities), np.concatenate(embeddings or [np.zeros((0, 0), np.float32)])

    return answer
