"""Has the input changed? One window of traffic against the reference, with a stated false-alarm rate.

Reads predictions and a profile; knows nothing of endpoints, labels or what will be done about an alarm. Its tests: sweep.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.errors import DataError
from demlopment.images import SIDE
from demlopment.monitoring.reference import check_format, columns_of
from demlopment.monitoring.stretch import Raw, measured
from demlopment.monitoring.sweep import drifts
from demlopment.records import DriftReport, Prediction
from demlopment.seen import Seen


def drift(
    reference: Mapping[str, Any],
    window: Sequence[Prediction],
    *,
    start: int,
    false_alarm_rate: float,
    version: str | None = None,
) -> DriftReport:
    """Compare `window`, whose first prediction has the index `start`, with a model's reference profile.

    Tests      two-sample Kolmogorov-Smirnov on every statistic of the profile, exact for its 500 rows and the window's;
               on ties it errs towards silence. Chi-square, also exact, on how often each class was answered. Where the profile
               knows the classes: how many of the strangest answers are the window's, exact too. Where it holds
               the logarithms of probabilities: a kernel test of all of them together, by permutations. P-values above 0.02,
               which decide nothing, may be approximate.
    Threshold  the false-alarm rate shared equally among the tests (Bonferroni), so it holds however they depend.
    Version    whose profile it is. Answers of other versions count for the statistics of pictures only; without
               `version` all answers must be of one.
    Damaged    answers, which hold NaN or infinity, are counted and compared no further.
    Images     not kept are passed over and counted: which ones is chance, so the tests of pictures only get weaker. Where
               nothing at all can be compared there is no test, and no alarm.
    Long       windows are compared by 512 evenly spaced answers, which tell as much as all.
    Raises     DataError for an empty window, mixed versions, what the model does not read, or a profile that does not belong
               to these answers.
    """
    check_format(reference)
    if not window:
        raise DataError("The window holds no predictions.", "Wait for traffic, or choose a smaller window.")
    stretch = measured(reference, _columns(reference, window, _ours(window, version)))
    (report,) = drifts(reference, stretch, [slice(0, len(window))], false_alarm_rate=false_alarm_rate, start=start)
    return report


def windows(predictions: Sequence[Prediction], size: int) -> Iterator[tuple[int, Sequence[Prediction]]]:
    """Consecutive whole windows with the index of their first prediction; what is left over waits for more traffic."""
    for start in range(0, len(predictions) - size + 1, size):
        yield start, predictions[start : start + size]


def _ours(window: Sequence[Prediction], version: str | None) -> list[bool]:
    """Whose answers are compared. A Python handler leaves neither probabilities nor an embedding."""
    versions = sorted({prediction.version for prediction in window})
    if version is None and len(versions) > 1:
        raise DataError(
            f"The window holds answers of the versions {', '.join(versions)}.",
            "Say whose reference profile it is compared with.",
        )
    return [version in (None, each.version) and bool(len(each.embedding)) for each in window]


def _columns(reference: Mapping[str, Any], window: Sequence[Prediction], ours: Sequence[bool]) -> Raw:
    classes, width = len(reference["labels"]), len(reference["directions"][0])
    for each in (answer for answer, compared in zip(window, ours, strict=True) if compared):
        if (len(each.probabilities), len(each.embedding)) != (classes, width):
            raise DataError(
                f"The answers have {len(each.probabilities)} classes and embeddings of width {len(each.embedding)}, "
                f"the reference profile {classes} and {width}.",
                "Compare a model's answers with the profile in its own archive.",
            )
    unsaid, nowhere = np.zeros(classes, np.float32), np.zeros(width, np.float32)
    columns = columns_of(reference)
    blank = np.zeros(len(columns), np.float32) if columns else np.zeros((SIDE, SIDE), np.uint8)
    strange = next((each.image for each in window if each.image is not None and each.image.shape != blank.shape), None)
    if strange is not None:
        raise DataError(
            f"The window holds {_called(strange)}, and the model of the reference profile reads {_called(blank)}.",
            "Compare only answers of versions that read the same.",
        )
    return Raw(
        np.array([each.at for each in window]),
        np.stack([blank if each.image is None else each.image for each in window]),
        _flags(each.image is not None for each in window),
        np.stack([each.probabilities if compared else unsaid for each, compared in zip(window, ours, strict=True)]),
        np.stack([each.embedding if compared else nowhere for each, compared in zip(window, ours, strict=True)]),
        _flags(ours),
        np.ones(len(window), np.bool_),
    )


def _called(shown: Seen) -> str:
    return "pictures" if shown.ndim == 2 else f"rows of {len(shown)} numbers"


def _flags(said: Iterator[bool] | Sequence[bool]) -> npt.NDArray[np.bool_]:
    return np.fromiter(said, np.bool_)
