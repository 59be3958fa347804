"""How unlike what its model was made for each request is: its picture and answer beside the profile in the archive."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.monitoring.pictures import picture_statistics
from demlopment.monitoring.reference import answer_statistics, check_format
from demlopment.records import Prediction

FAR = 3.0  # of the reference's middle halves away from that half: twice what is called an outlier (Tukey's 1.5)
CONFIDENCE = "confidence"  # an answer that is not sure is another thing than a strange one


def strangeness(reference: Mapping[str, Any], asked: Sequence[Prediction]) -> npt.NDArray[np.float64]:
    """0 for what no statistic of the profile finds unusual, 1 for what one finds far outside, or for no number: (n,).

    Of requests whose picture was kept. Raises DataError if the profile is of another release.
    """
    check_format(reference)
    pictures = np.stack([each.image for each in asked if each.image is not None])
    found = [_outside(reference["pictures"][name], values) for name, values in picture_statistics(pictures).items()]
    directions = np.asarray(reference["directions"])
    embeddings = [each.embedding for each in asked]
    if all(len(each) == directions.shape[1] for each in embeddings):
        answers = answer_statistics(np.stack([each.probabilities for each in asked]), np.stack(embeddings), directions)
        found += [_outside(reference["answers"][name], values) for name, values in answers.items() if name != CONFIDENCE]
    return np.asarray(np.minimum(np.nan_to_num(np.max(found, axis=0), nan=FAR) / FAR, 1.0), np.float64)


def _outside(usual: Sequence[float], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How many widths of the middle half of the usual values each lies outside of it; where that has none, nothing does."""
    low, high = np.quantile(usual, [0.25, 0.75])
    beyond = np.maximum(np.maximum(low - values, values - high), 0.0)
    return np.asarray(beyond / (high - low) if high > low else np.zeros(len(values)), np.float64)
