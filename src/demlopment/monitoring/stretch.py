"""A stretch of production as columns of numbers: what the tests of windows need of each answer, and no picture any more.

A million answers are 200 MB so. Knows a profile; knows no record, no table and no file.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.errors import DataError
from demlopment.legibility import legible
from demlopment.monitoring.kernel import powers
from demlopment.monitoring.pictures import picture_statistics
from demlopment.monitoring.reference import FORMAT, answer_statistics, taught
from demlopment.monitoring.strangers import ILLEGIBLE, strangeness

Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Raw:
    """Answers as they are read, (n, ...) each; a row means nothing where its flag is not set."""

    at: Values  # seconds since 1970
    images: npt.NDArray[np.uint8]  # (n, 28, 28)
    shown: Flags  # whether the picture was kept
    probabilities: npt.NDArray[np.float32]  # (n, classes)
    embeddings: npt.NDArray[np.float32]  # (n, width)
    ours: Flags  # whether the version answered whose profile it is


@dataclass(frozen=True, eq=False)
class Stretch:
    """Measured answers, (n, ...) each."""

    at: Values
    shown: Flags
    ours: Flags  # answered by the version that is monitored, in numbers
    damaged: Flags  # by that version, with NaN or infinity
    pictures: npt.NDArray[np.float32]  # (n, 5) in the profile's order
    answers: npt.NDArray[np.float32]  # (n, statistics) likewise
    confidence: npt.NDArray[np.float32]
    told: npt.NDArray[np.int16]  # the class
    strange: npt.NDArray[np.float32]  # distance from the nearest class
    powers: npt.NDArray[np.float16]  # (n, classes)

    def __len__(self) -> int:
        return len(self.at)

    def where(self, chosen: npt.NDArray[Any] | slice) -> "Stretch":
        """The rows that a mask, an index array or a slice names, in its order."""
        return Stretch(*(getattr(self, each.name)[chosen] for each in fields(self)))


def measured(reference: Mapping[str, Any], raw: Raw) -> Stretch:
    """Of a profile of another format nothing is known of pictures and embeddings; labels and confidences are still."""
    if reference.get("format") != FORMAT:
        reference = {"pictures": {}, "answers": {}, "directions": np.zeros((1, raw.embeddings.shape[1]))}
    n, known = len(raw.at), taught(reference)
    whole = np.isfinite(raw.probabilities).all(axis=1) & np.isfinite(raw.embeddings).all(axis=1)
    ours, damaged = raw.ours & whole, raw.ours & ~whole
    probabilities, embeddings = raw.probabilities[ours], raw.embeddings[ours]
    seen = picture_statistics(raw.images[raw.shown])
    said = answer_statistics(probabilities, embeddings, np.asarray(reference["directions"]))
    strange = np.zeros(len(probabilities))
    if known is not None:
        readable = np.ones(n, np.bool_)
        readable[raw.shown] = legible(raw.images[raw.shown], known.legible)
        strange = strangeness(embeddings, known.centres, readable[ours])
    return Stretch(
        raw.at,
        raw.shown,
        ours,
        damaged,
        _spread(raw.shown, _columns(seen, reference["pictures"])),
        _spread(ours, _columns(said, reference["answers"])),
        _spread(ours, probabilities.max(axis=1, initial=0.0)),
        _spread(ours, probabilities.argmax(axis=1).astype(np.int16)),
        _spread(ours, np.minimum(strange, ILLEGIBLE).astype(np.float32)),
        _spread(ours, powers(probabilities)),
    )


def together(parts: Sequence[Stretch]) -> Stretch:
    """One after the other; `where` sorts them."""
    return Stretch(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Stretch)))


def _columns(found: Mapping[str, Values], wanted: Collection[str]) -> Values:
    """(n, statistics) in the order that is wanted."""
    if set(wanted) - set(found):
        strange = sorted(set(wanted) - set(found))
        raise DataError(f"The reference profile has {strange}, which nobody measures here.", "Use the profile of this model.")
    rows = len(next(iter(found.values())))
    return np.stack([found[name] for name in wanted], axis=1) if wanted else np.zeros((rows, 0))


def _spread(chosen: Flags, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """At the chosen rows the values, elsewhere 0; wide floats as float32, which holds four decimals of them."""
    kind = np.float32 if values.dtype == np.float64 else values.dtype
    columns = np.zeros((len(chosen), *values.shape[1:]), kind)
    columns[chosen] = values
    return columns
