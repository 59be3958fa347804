"""What a model's input and answers look like while nothing has changed: the profile that travels in its archive.

Made from rows the network did not learn from. Knows nothing of windows, thresholds or the journal.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.errors import DataError
from demlopment.legibility import ANYTHING, Limits, legible
from demlopment.monitoring.kernel import powers
from demlopment.monitoring.pictures import DECIMALS, picture_statistics
from demlopment.monitoring.strangers import strangeness
from demlopment.row import Column, statistics
from demlopment.seen import Seen

FORMAT = 1  # raised when a statistic changes; a window is never compared with a profile of another format
# The test's resolution is that of window and reference together: beyond 500 rows, a window of 100 gains less than 10 %,
# and 500 keep the profile below 100 kB.
LIMIT = 500
DIRECTIONS = 4  # random projections of the embedding; each more costs every test a share of the false-alarm rate

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Taught:
    """What a profile knows of the classes that were taught."""

    centres: npt.NDArray[np.float32]  # (classes, width) of the embeddings
    strangeness: Values  # (rows,) sorted
    legible: Limits  # that a picture keeps if it shows a character


def profile(
    images: Seen,
    probabilities: npt.NDArray[np.floating[Any]],
    embeddings: npt.NDArray[np.floating[Any]],
    *,
    centres: npt.NDArray[np.float32] | None = None,
    limits: Limits = ANYTHING,
    columns: Sequence[Column] = (),
) -> dict[str, Any]:
    """The reference as JSON, below 100 kB: sorted statistics of each picture and answer, and how often each class came.

    Shapes   (n, 28, 28), (n, classes), (n, width). Of more than 500 rows evenly spaced ones are taken.
    Centres  (classes, width) of other rows, those that were taught: made of these rows, which lie nearer to them than
             others, they would cost the tests their exactness. Without them nobody tells what belongs to no class.
    Columns  of the table, where the model reads rows of one, (n, columns) in place of pictures.
    Raises   DataError if there are no rows, the shapes disagree, or a value is not finite.
    """
    _check(images, probabilities, embeddings)
    chosen = np.unique(np.linspace(0, len(images) - 1, min(LIMIT, len(images))).round().astype(np.int64))
    images, probabilities, embeddings = images[chosen], probabilities[chosen], embeddings[chosen]
    directions = _directions(embeddings)
    answers = answer_statistics(probabilities, embeddings, directions)
    known: dict[str, Any] = {} if centres is None else {"taught": _taught(images, embeddings, centres, limits)}
    known |= {"columns": [list(column) for column in columns]} if columns else {}
    return known | {
        "format": FORMAT,
        "examples": len(chosen),
        "pictures": {name: np.sort(values).tolist() for name, values in input_statistics(images, columns).items()},
        "answers": {name: np.sort(values).tolist() for name, values in answers.items()},
        "labels": label_counts(probabilities).tolist(),
        "powers": _packed(powers(probabilities), "<f2"),
        "directions": directions.tolist(),
    }


def columns_of(reference: Mapping[str, Any]) -> tuple[Column, ...]:
    """Of the table that the profile's model reads; none where it reads pictures."""
    return tuple(Column(*each) for each in reference.get("columns", ()))


def input_statistics(images: Seen, columns: Sequence[Column]) -> dict[str, Values]:
    """What can be said without a model of pictures (n, 28, 28), or of rows (n, columns): (n,) each."""
    return statistics(images, columns) if columns else picture_statistics(images)


def taught(reference: Mapping[str, Any]) -> Taught | None:
    """What the profile knows of its classes; None where an earlier release wrote it."""
    kept = reference.get("taught")
    if kept is None:
        return None
    middles = _unpacked(kept["centres"], "<f4", np.asarray(reference["directions"]).shape[1])
    return Taught(middles.astype(np.float32), np.asarray(kept["strangeness"], np.float64), Limits(**kept["limits"]))


def known_powers(reference: Mapping[str, Any]) -> npt.NDArray[np.float16] | None:
    """The logarithms of the reference's probabilities, (rows, classes); None where an earlier release wrote it."""
    kept = reference.get("powers")
    return None if kept is None else _unpacked(kept, "<f2", len(reference["labels"])).astype(np.float16)


def answer_statistics(
    probabilities: npt.NDArray[np.floating[Any]], embeddings: npt.NDArray[np.floating[Any]], directions: Values
) -> dict[str, Values]:
    """What a model's answers say, (n,) each: confidence as decades below certainty, and the embedding's projections."""
    # A good model's confidences crowd below 1; in decades they stay apart. 1e-6 is what float32 still tells from 1.
    confidence = -np.log10(1 - probabilities.max(axis=1).astype(np.float64) + 1e-6)
    projected = embeddings.astype(np.float64) @ directions.T
    named = {f"embedding {number}": values for number, values in enumerate(projected.T, start=1)}
    return {name: values.round(DECIMALS) for name, values in ({"confidence": confidence} | named).items()}


def label_counts(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    """How often each class was the answer, (n, classes) -> (classes,)."""
    return np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1]).astype(np.int64)


def check_format(reference: Mapping[str, Any]) -> None:
    """Raise DataError unless this release can compare with `reference`."""
    found = reference.get("format")
    if found != FORMAT:
        raise DataError(
            f"The reference profile has format {found}, and this release compares with format {FORMAT}.",
            "Train the model again, or monitor it with the release that wrote it.",
        )


def _taught(
    images: Seen,
    embeddings: npt.NDArray[np.floating[Any]],
    middles: npt.NDArray[np.float32],
    limits: Limits,
) -> dict[str, Any]:
    return {
        "centres": _packed(middles, "<f4"),
        "strangeness": np.sort(strangeness(embeddings, middles, legible(images, limits))).tolist(),
        "limits": asdict(limits),
    }


def _packed(values: npt.NDArray[Any], kind: str) -> str:
    """As text, a quarter as long as in digits."""
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _unpacked(text: str, kind: str, width: int) -> npt.NDArray[Any]:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), kind).reshape(-1, width)
    except ValueError as broken:
        raise DataError(
            "The reference profile holds a text that is no array.", "Use the archive as training wrote it."
        ) from broken


def _check(images: npt.NDArray[Any], probabilities: npt.NDArray[Any], embeddings: npt.NDArray[Any]) -> None:
    if not len(images):
        raise DataError("A reference profile needs rows, and there are none.", "Give the validation part.")
    if not len(images) == len(probabilities) == len(embeddings):
        raise DataError(
            f"{len(images)} pictures, {len(probabilities)} answers and {len(embeddings)} embeddings do not belong together.",
            "Give one of each for every row.",
        )
    if not (np.isfinite(probabilities).all() and np.isfinite(embeddings).all()):
        raise DataError("The network's answers hold NaN or infinity.", "Fit it again: such a network must not be archived.")


def _directions(embeddings: npt.NDArray[np.floating[Any]]) -> Values:
    """Random directions (4, width), scaled to unit spread. Chosen without looking at the rows, which keeps the test exact.

    They travel in the profile, so another NumPy's generator changes nothing.
    """
    drawn = np.random.default_rng(1).standard_normal((DIRECTIONS, embeddings.shape[1]))
    spread = (embeddings.astype(np.float64) @ drawn.T).std(axis=0)
    return np.asarray((drawn / np.where(spread > 0, spread, 1)[:, None]).round(DECIMALS), np.float64)
