"""What a model is shown: a prepared picture, or a row of the columns that its card names. Knows no model and no file.

Wherever both may stand, one is told from the other here: by the columns, which a picture has not, and by its bytes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from demlopment import images, row
from demlopment.images import SIDE, ImageError
from demlopment.row import Column, RowError

UNREADABLE = (ImageError, RowError)
PICTURE, ROW = "image", "row"  # what the network's input is called
PIXELS = SIDE * SIDE

Seen = npt.NDArray[Any]  # (28, 28) uint8 as images.prepare makes it, or (columns,) float32 as row.prepare does


def preparation(columns: Sequence[Column] = ()) -> Callable[[bytes], Seen]:
    """What makes of a client's bytes what the network sees, for many of them. It raises one of `UNREADABLE`."""
    return partial(row.prepare, columns=columns) if columns else images.prepare


def prepared_with(*, rows: bool) -> int:
    """The version of the code that prepares rows of a table, or pictures."""
    return row.VERSION if rows else images.VERSION


def encode(seen: Seen, columns: Sequence[Column] = ()) -> bytes:
    """The same as a client would send it: a PNG, or JSON."""
    return images.encode_png(seen) if seen.ndim == 2 else row.encode_json(seen, columns)


def stacked(prepared: Sequence[Seen]) -> Seen:
    """Several as one batch, (n, ...)."""
    return images.stacked(prepared) if prepared[0].ndim == 2 else np.stack(prepared)


def feed(batch: Seen) -> dict[str, npt.NDArray[np.float32]]:
    """A batch as the network takes it: pictures as (n, 1, 28, 28) in 0..1, rows as they are, (n, columns)."""
    return {PICTURE: images.as_input(batch)} if batch.ndim == 3 else {ROW: batch}


def restored(data: bytes) -> Seen:
    """What was kept as bytes.

    >>> restored(np.array([12.5, 1], np.float32).tobytes()).tolist()
    [12.5, 1.0]
    """
    if len(data) == PIXELS:
        return np.frombuffer(data, np.uint8).reshape(SIDE, SIDE)
    return np.frombuffer(data, np.float32)
