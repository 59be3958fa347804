"""A stretch of production as columns of numbers: what the tests of windows need of each answer, and no picture any more.

A million answers are 200 MB so. Knows a profile; knows no record, no table and no file.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment.errors import DataError
from demlopment.legibility import Limits, legible
from demlopment.monitoring.kernel import powers
from demlopment.monitoring.pictures import CHUNK
from demlopment.monitoring.reference import FORMAT, answer_statistics, columns_of, input_statistics, taught
from demlopment.monitoring.strangers import ILLEGIBLE, strangeness
from demlopment.seen import Seen

Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Raw:
    """Answers as they are read, (n, ...) each; a row means nothing where its flag is not set."""

    at: Values  # seconds since 1970
    images: Seen  # (n, 28, 28), or rows of a table (n, columns)
    shown: Flags  # whether the picture was kept
    probabilities: npt.NDArray[np.float32]  # (n, classes)
    embeddings: npt.NDArray[np.float32]  # (n, width)
    ours: Flags  # whether the version answered whose profile it is
    compared: (
        Flags  # which rows are: of a million a sample tells the same, and pictures and embeddings of the others stay unread
    )


@dataclass(frozen=True, eq=False)
class Stretch:
    """Measured answers, (n, ...) each."""

    at: Values
    shown: Flags
    ours: Flags  # answered by the version that is monitored, in numbers
    damaged: Flags  # by that version, with NaN or infinity
    compared: Flags  # of the others only the class and its confidence are known
    pictures: npt.NDArray[np.float32]  # (n, statistics) of the input, in the profile's order
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
    columns = columns_of(reference)
    if reference.get("format") != FORMAT:
        reference = {"pictures": {}, "answers": {}, "directions": np.zeros((1, raw.embeddings.shape[1]))}
    known = taught(reference)
    whole = np.isfinite(raw.probabilities).all(axis=1) & np.isfinite(raw.embeddings).all(axis=1)
    ours, damaged = raw.ours & whole, raw.ours & ~whole
    seen, said = raw.shown & raw.compared, ours & raw.compared
    pictures = input_statistics(raw.images[seen], columns)
    answers = answer_statistics(raw.probabilities[said], raw.embeddings[said], np.asarray(reference["directions"]))
    strange = np.zeros(int(said.sum()))
    if known is not None:
        readable = np.ones(len(raw.at), np.bool_)
        readable[seen] = _legible(raw.images[seen], known.legible)
        strange = strangeness(raw.embeddings[said], known.centres, readable[said])
    return Stretch(
        raw.at,
        raw.shown,
        ours,
        damaged,
        raw.compared,
        _spread(seen, _columns(pictures, reference["pictures"])),
        _spread(said, _columns(answers, reference["answers"])),
        _spread(ours, raw.probabilities[ours].max(axis=1, initial=0.0)),
        _spread(ours, raw.probabilities[ours].argmax(axis=1).astype(np.int16)),
        _spread(said, np.minimum(strange, ILLEGIBLE).astype(np.float32)),
        _spread(said, powers(raw.probabilities[said])),
    )


def together(parts: Sequence[Stretch]) -> Stretch:
    """One after the other; `where` sorts them."""
    return Stretch(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Stretch)))


def _legible(pictures: npt.NDArray[np.uint8], within: Limits) -> Flags:
    """A few at a time, which is quicker."""
    parts = [legible(pictures[begin : begin + CHUNK], within) for begin in range(0, len(pictures), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros(0, np.bool_)


def _columns(found: Mapping[str, Values], wanted: Collection[str]) -> Values:
    """(n, statistics) in the order that is wanted."""
    if wanted and set(wanted) != set(found):
        unfit = sorted(set(wanted) ^ set(found))
        raise DataError(f"The reference profile and the window disagree about {unfit}.", "Use the profile of this model.")
    rows = len(next(iter(found.values())))
    return np.stack([found[name] for name in wanted], axis=1) if wanted else np.zeros((rows, 0))


def _spread(chosen: Flags, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """At the chosen rows the values, elsewhere 0; wide floats as float32, which holds four decimals of them."""
    kind = np.float32 if values.dtype == np.float64 else values.dtype
    columns = np.zeros((len(chosen), *values.shape[1:]), kind)
    columns[chosen] = values
    return columns
