"""Rows that came back from production with the truth about them. Judges none, and knows no journal."""

from collections.abc import Sequence

from demlopment.data.contract import GREY, ROW
from demlopment.data.sources.port import RawRows
from demlopment.errors import DataError
from demlopment.seen import Seen

FEEDBACK = "feedback"  # the source of rows that came back from production


def returned(images: Sequence[Seen] | Seen, labels: Sequence[str | None], request_ids: Sequence[str]) -> RawRows:
    """Pictures, or rows, that were answered in production, with the truth about each request, None where it has not come."""
    if not len(images) == len(labels) == len(request_ids):
        raise DataError(
            f"{len(images)} pictures, {len(labels)} labels and {len(request_ids)} request ids do not belong together.",
            "Give one label and one request id for each picture.",
        )
    pictures = [picture.tobytes() for picture in images]
    kinds = [ROW if picture.ndim == 1 else GREY for picture in images]
    return RawRows.of(pictures, labels, source=FEEDBACK, licence="given by the users", origins=request_ids, kind=kinds)
