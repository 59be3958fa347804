"""How answers lie in a file of the journal: one entry for all that were acknowledged together. Knows no file and no lake.

A file is a line that says what it is, then entries: the length of the body, its CRC-32, and the CRC-32 of these two
(little-endian, 32 bits each), then the body. A body is the length of its rows (32 bits), the rows as JSON, and the arrays
that they speak of, end to end.
"""

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from demlopment.records import Feedback, Gap, Prediction
from demlopment.seen import restored

KIND = b"demlopment journal "
FIRST_LINE = KIND + b"1\n"
START, CHECKSUM, ROWS = struct.Struct("<II"), struct.Struct("<I"), struct.Struct("<I")
HEAD_BYTES = START.size + CHECKSUM.size
# The encoder itself: json.dumps would make one for each entry. Its escapes take half a surrogate pair, which UTF-8 does not.
_as_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, eq=False)
class Entry:
    """What was written in one go."""

    predictions: Sequence[Prediction] = ()
    feedback: Sequence[Feedback] = ()
    gaps: Sequence[Gap] = ()


def packed(entry: Entry, keeps: Callable[[str], bool] = lambda _: True) -> bytes:
    """An entry as bytes, with the pictures of those requests that `keeps` says."""
    arrays: list[bytes] = []
    rows = []
    for each in entry.predictions:
        image = each.image if each.image is not None and keeps(each.request_id) else None
        pixels = b"" if image is None else image.tobytes()
        probabilities, embedding = each.probabilities.tobytes(), each.embedding.tobytes()
        arrays += (pixels, probabilities, embedding)
        sizes = (len(pixels), len(probabilities), len(embedding))
        rows.append((*each[:IMAGE], each.label, each.latency_ms, each.digest, sizes))
    feedback = [(each.request_id, each.at, each.label) for each in entry.feedback]
    gaps = [(each.start, each.end, each.count) for each in entry.gaps]
    said = _as_json((rows, feedback, gaps)).encode()
    body = b"".join((ROWS.pack(len(said)), said, *arrays))
    start = START.pack(len(body), zlib.crc32(body))
    return b"".join((start, CHECKSUM.pack(zlib.crc32(start)), body))


IMAGE = Prediction._fields.index("image")  # the fields before it are texts and numbers


class UnknownFormError(ValueError):
    """The file was written by another release."""


def entries(content: bytes) -> Iterator[Entry]:
    """What is in a file, up to an entry whose writer died in it: that one was never acknowledged.

    Raises UnknownFormError for what another release wrote, and ValueError for a file that is damaged.
    """
    if not content.startswith(FIRST_LINE):
        if FIRST_LINE.startswith(content):
            return  # its writer died before its first entry
        if content.startswith(KIND):
            raise UnknownFormError("its form is another")
        raise ValueError("it does not begin as a journal")
    view, start = memoryview(content), len(FIRST_LINE)
    while len(view) - start >= HEAD_BYTES:
        length, checksum = START.unpack_from(view, start)
        body_start = start + HEAD_BYTES
        end = body_start + length
        # Only a length that is certainly what was written can say that the writer died before it wrote the rest.
        if CHECKSUM.pack(zlib.crc32(view[start : start + START.size])) != view[start + START.size : body_start]:
            if len(bytes(view[start:]).rstrip(b"\0")) < HEAD_BYTES:
                return  # after a power cut a file may be longer than what was written of it, by zeros
            raise ValueError(f"the entry at byte {start} does not have its checksum")
        body = view[body_start:end]
        if len(body) < length or zlib.crc32(body) != checksum:
            if end >= len(view) or not any(view[end:]):
                return
            raise ValueError(f"the entry at byte {start} does not have its checksum")
        yield _entry(body)
        start = end


def _entry(body: memoryview) -> Entry:
    (size,) = ROWS.unpack_from(body)
    start = ROWS.size + size
    rows, feedback, gaps = json.loads(bytes(body[ROWS.size : start]))
    predictions = []
    for row in rows:
        *fields, sizes = row
        ends = [start + sum(sizes[: number + 1]) for number in range(len(sizes))]
        parts = [bytes(body[end - length : end]) for end, length in zip(ends, sizes, strict=True)]
        predictions.append(_prediction(fields, parts))
        start = ends[-1]
    return Entry(predictions, [Feedback(*each) for each in feedback], [Gap(*each) for each in gaps])


def _prediction(fields: Sequence[Any], arrays: Sequence[bytes]) -> Prediction:
    request_id, at, model, version, arm, unit, label, latency_ms, digest = fields
    pixels, probabilities, embedding = arrays
    return Prediction(
        request_id=request_id,
        at=at,
        model=model,
        version=version,
        arm=arm,
        unit=unit,
        image=restored(pixels) if pixels else None,
        label=label,
        probabilities=np.frombuffer(probabilities, np.float32),
        embedding=np.frombuffer(embedding, np.float32),
        latency_ms=latency_ms,
        digest=digest,
    )
