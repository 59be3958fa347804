"""Why a network answered as it did: which places of a picture its answer hangs on. Knows neither networks nor HTTP.

Squares of paper are laid over the picture, one after the other, and the network is asked again each time. That needs no
gradient, so it works on whatever runs (M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks",
ECCV 2014, section 4.2, https://arxiv.org/abs/1311.2901).
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from demlopment.images import SIDE, Grey

SQUARE = 5  # pixels: the strokes of prepared digits are 2 to 4 wide, so a square breaks one and spares its neighbour
REACH = SQUARE // 2
Floats = npt.NDArray[np.float32]


def saliency(image: Grey, chosen: int, run: Callable[[Grey], Floats], *, batch: int) -> Floats:
    """The probability of class `chosen` that is lost when a square hides each place: positive where the answer hangs on it.

    Shapes  image (28, 28) uint8 as images.prepare makes it; `run` takes (n, 28, 28) and returns (n, classes), in calls of
            at most `batch` pictures, because ONNX Runtime keeps the memory of the largest one; the map is (28, 28)
            float32 in -1..1, and place (row, column) is the middle of its square, which the rim cuts off.
    A place whose square hides no ink is 0 without a question: the picture is the same.
    """
    places = np.argwhere(cv2.dilate(image, np.ones((SQUARE, SQUARE), np.uint8)))
    changes = np.zeros((SIDE, SIDE), np.float32)
    if not len(places):
        return changes
    pictures = np.concatenate((image[np.newaxis], _hidden(image, places)))
    slices = (pictures[first : first + batch] for first in range(0, len(pictures), batch))
    probabilities = np.concatenate([run(each)[:, chosen] for each in slices])
    changes[tuple(places.T)] = probabilities[0] - probabilities[1:]
    return changes


def _hidden(image: Grey, places: npt.NDArray[np.intp]) -> Grey:
    """The picture once for each place (n, 2), with a square of paper on it: (n, 28, 28)."""
    pixels = np.arange(SIDE)
    rows = np.abs(pixels - places[:, :1]) <= REACH
    columns = np.abs(pixels - places[:, 1:]) <= REACH
    return np.where(rows[:, :, np.newaxis] & columns[:, np.newaxis, :], np.uint8(0), image)
