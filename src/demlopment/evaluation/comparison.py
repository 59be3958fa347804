"""Is a candidate anywhere worse than the champion? Paired on the same rows, slice by slice. Knows no model."""

from collections.abc import Mapping

import numpy as np

from demlopment.errors import DataError
from demlopment.evaluation.slices import ENOUGH, TOO_FEW, Mask, together
from demlopment.intervals import paired_difference
from demlopment.records import Check, Scores


def non_inferiority(candidate: Scores, champion: Scores, found: Mapping[str, Mask], margin: float) -> tuple[Check, ...]:
    """In each slice the accuracy of the candidate minus the champion's, which may be at most `margin` below nothing.

    The whole interval has to be above, so that it is proved and not only not refuted, with the confidence of
    `slices.together`. A slice of fewer than `ENOUGH` rows proves nothing and is only told.
    Raises DataError unless both were scored on the same rows.
    """
    if not np.array_equal(candidate.keys, champion.keys):
        raise DataError(
            f"{candidate.model} and {champion.model} were scored on other rows.", "Score both on the same test part."
        )
    confidence = together(found)
    made = []
    for name, mask in found.items():
        ours, theirs, rows = candidate.correct[mask], champion.correct[mask], int(mask.sum())
        better, worse = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
        enough = rows >= ENOUGH
        made.append(
            Check(
                "slices",
                f"{name} against {champion.model}",
                (better - worse) / rows,
                paired_difference(better, worse, rows, confidence),
                -margin if enough else None,
                least=True,
                rows=rows,
                note=f"{better} better, {worse} worse" + ("" if enough else f"; {TOO_FEW}"),
            )
        )
    return tuple(made)
