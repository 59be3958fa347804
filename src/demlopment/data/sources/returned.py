"""Rows that came back from production with the truth about them. Judges none, and knows no journal."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from demlopment.data.sources.port import RawRows
from demlopment.errors import DataError

FEEDBACK = "feedback"  # the source of rows that came back from production


def returned(images: npt.NDArray[np.uint8], labels: Sequence[str | None], request_ids: Sequence[str]) -> RawRows:
    """Pictures (n, 28, 28) that were answered in production, with the truth about each request, None where it has not come."""
    if not len(images) == len(labels) == len(request_ids):
        raise DataError(
            f"{len(images)} pictures, {len(labels)} labels and {len(request_ids)} request ids do not belong together.",
            "Give one label and one request id for each picture.",
        )
    pictures = [picture.tobytes() for picture in images]
    return RawRows.of(pictures, labels, source=FEEDBACK, licence="given by the users", origins=request_ids)
