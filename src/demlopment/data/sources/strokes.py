"""Pen strokes as JSON, one record a line or one list of records, packed or plain, drawn as they are read. Judges no row.

A record has a `label`, perhaps a `writer`, and `strokes`, each a list of {"x", "y"} or of [x, y], which may have a time as
well; or, as in Google's Quick, Draw!, a `word` and a `drawing` whose strokes are a list of every x and one of every y.
"""

import codecs
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from demlopment import images
from demlopment.data import pen
from demlopment.data.contract import FILE, UNREAD
from demlopment.data.sources.lines import PIECE, lines
from demlopment.data.sources.port import LEFT_OVER, UNSTATED, batched, digest, own_name, raw_frame, storable
from demlopment.data.sources.unpacked import AGAIN, Unpacked, unpacked
from demlopment.errors import DataError

LONGEST = 1 << 22  # bytes of a record: 10,000 points with a name for each number take a quarter of it
MOST_POINTS = 10_000  # a pen that reports 200 a second takes 50 seconds for them
FARTHEST = 1e9  # of a coordinate; no tablet is that large
FORMAT = 'Give lines like {"label": "7", "strokes": [[[0, 0], [9, 0], [3, 20]]]}, or a list of such records.'
NO_JSON, TOO_DEEP, TOO_LONG = (
    "the line is no JSON",
    "the line is nested too deeply",
    f"the record is longer than {LONGEST} bytes",
)
TWICE = "a name stands twice in an object"
COORDINATES = (2, 3)  # x and y, perhaps a time
MOST_DIGITS = 300  # of a whole number; Python refuses to read 4,301, and a float holds 308


class StrokeError(ValueError):
    """Why a record cannot be drawn, without its values."""


class Twofold(dict[str, Any]):
    """An object in which a name stood twice."""


@dataclass(frozen=True)
class Strokes:
    """A file of records. Make one with `strokes`."""

    path: Path
    name: str
    sha256: str
    licence: str
    listed: bool  # one list of records; otherwise one record a line
    rows: None = None  # only reading all of them would tell

    def batches(self) -> Iterator[pl.DataFrame]:
        """As Source. Pictures come as PNG, of `pen.SIDE` pixels a side."""
        first = 0
        with unpacked(self.path) as file:
            records = _listed(file) if self.listed else _lined(file)
            for batch in batched(map(_row, records), lambda row: len(row[0])):
                pictures, labels, writers, faults = zip(*batch, strict=True)
                yield raw_frame(
                    pictures,
                    labels,
                    source=self.name,
                    licence=self.licence,
                    origins=self.sha256,
                    kind=[UNREAD if fault else FILE for fault in faults],
                    writers=writers,
                    faults=faults,
                    first=first,
                )
                first += len(batch)
        if not first:
            raise DataError(f"{self.path} holds no records.", FORMAT)


Record = tuple[bytes, Any]  # as it stands in the file, and what it says; or an StrokeError
Row = tuple[bytes, str | None, str | None, str | None]  # picture, label, writer, fault


def strokes(path: Path, *, name: str | None = None, licence: str = UNSTATED) -> Strokes:
    """The records of a file of pen strokes. Raises DataError naming the file if it cannot be read."""
    sha256 = digest(path)
    with unpacked(path) as file:
        listed = file.upto(PIECE).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")
    return Strokes(path, name or own_name(path.name.split(".")[0], sha256), sha256, licence, listed)


def is_json(start: bytes) -> bool:
    """Whether a file that starts so (unpacked) holds JSON's lists or objects."""
    return start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{")


def points(record: Mapping[str, Any]) -> list[pen.Points]:
    """The strokes of a record, (n, 2) each, whichever way it spells them. Raises StrokeError.

    Lists that may be points as well as columns are points under `strokes` and columns under `drawing`, unless another
    stroke of the record tells.

    >>> [stroke.tolist() for stroke in points({"strokes": [[[1, 2], [3, 4], [5, 6], [7, 8]], [[0, 0]]]})]
    [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]], [[0.0, 0.0]]]
    >>> [stroke.tolist() for stroke in points({"drawing": [[[1, 3], [2, 4]]]})]
    [[[1.0, 2.0], [3.0, 4.0]]]
    """
    key = "strokes" if "strokes" in record else "drawing"
    given = record.get(key)
    if given is None:
        raise StrokeError("strokes missing")
    if not isinstance(given, list) or not all(isinstance(stroke, list) for stroke in given):
        raise StrokeError("the strokes are no list of lists of points")
    given = [stroke for stroke in given if stroke]
    by_column = all(_are_columns(stroke) for stroke in given) and (
        key == "drawing" or not all(_are_points(stroke) for stroke in given)
    )
    told = [_transposed(stroke) if by_column else [_pair(point) for point in stroke] for stroke in given]
    if sum(map(len, told)) > MOST_POINTS:
        raise StrokeError(f"there are more than {MOST_POINTS} points")
    for stroke in told:
        for pair in stroke:
            _check(pair)
    if not any(told):
        raise StrokeError("the strokes have no points")
    return [np.array(stroke, np.float64) for stroke in told if stroke]


def _row(record: Record) -> Row:
    """What a record is in the lake's terms; of one that cannot be drawn, the start of its text."""
    text, said = record
    if isinstance(said, StrokeError):
        return text[:LEFT_OVER], None, None, str(said)
    if not isinstance(said, dict):
        return text[:LEFT_OVER], None, None, "the record is no object"
    faults = [TWICE] if isinstance(said, Twofold) else []
    label, writer = said.get("label", said.get("word")), said.get("writer")
    for what, value in (("label", label), ("writer", writer)):
        if not isinstance(value, str | int | None) or isinstance(value, bool):
            faults.append(f"{what} is neither text nor a whole number")
    try:
        picture = images.encode_png(pen.drawn(points(said)))
    except StrokeError as unfit:
        faults.append(str(unfit))
    named = [storable(str(value)).strip() or None if isinstance(value, str | int) else None for value in (label, writer)]
    if faults:
        return text[:LEFT_OVER], named[0], named[1], "; ".join(faults)
    return picture, named[0], named[1], None


def _are_columns(stroke: Sequence[Any]) -> bool:
    """Whether it may be a list of every x, one of every y, and perhaps one of times."""
    lists = all(isinstance(each, list) for each in stroke)
    return lists and len(stroke) in COORDINATES and len({len(each) for each in stroke}) == 1


def _are_points(stroke: Sequence[Any]) -> bool:
    return all(isinstance(each, dict) or (isinstance(each, list) and len(each) in COORDINATES) for each in stroke)


def _transposed(stroke: Sequence[Sequence[Any]]) -> list[tuple[Any, Any]]:
    return list(zip(stroke[0], stroke[1], strict=True))


def _pair(point: Any) -> tuple[Any, Any]:
    if isinstance(point, Twofold):
        raise StrokeError(TWICE)
    if isinstance(point, dict) and "x" in point and "y" in point:
        return point["x"], point["y"]
    if isinstance(point, list) and len(point) in COORDINATES:
        return point[0], point[1]
    raise StrokeError("a point has no x and y")


def _check(pair: tuple[Any, Any]) -> None:
    """Raise StrokeError unless both are numbers that a tablet may report."""
    for value in pair:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise StrokeError("a coordinate is no number")
        if isinstance(value, float) and not math.isfinite(value):
            raise StrokeError("a coordinate is not finite")
        if abs(value) > FARTHEST:
            raise StrokeError(f"a coordinate is beyond {FARTHEST:.0e}")


def _lined(file: Unpacked) -> Iterator[Record]:
    """The records of lines. A last line that is no JSON was cut short, and breaks the file."""
    numbered = ((number, line) for number, line in enumerate(lines(file, LONGEST), start=1) if line.strip())
    broken = None  # the number of the last line and its text, if that is no JSON
    for number, line in numbered:
        if broken:
            yield broken[1], StrokeError(TOO_LONG if len(broken[1]) > LONGEST else NO_JSON)
        broken = None
        try:
            said = json.loads(line, parse_int=_whole, object_pairs_hook=_object)
        except RecursionError:
            yield line, StrokeError(TOO_DEEP)
        except ValueError:
            broken = number, line
        else:
            yield line, said
    if broken:
        raise DataError(f"{file.path} ends in the middle of line {broken[0]}.", AGAIN)


def _listed(file: Unpacked) -> Iterator[Record]:
    """The records of one list, which is never in memory as a whole."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    scan = json.JSONDecoder(parse_int=_whole, object_pairs_hook=_object).raw_decode
    text = decode(file.upto(PIECE)).lstrip("\ufeff \t\r\n").removeprefix("[")
    number, ended = 1, False
    while True:
        text = text.lstrip(" \t\r\n") if number == 1 else text.lstrip(" \t\r\n,")
        if text.startswith("]"):
            break
        try:
            said, end = scan(text)
        except RecursionError:
            raise DataError(f"{file.path}, record {number}: it is nested too deeply.", FORMAT) from None
        except ValueError:
            if ended or len(text) > LONGEST:
                raise _broken(file, number, ended=ended) from None
            more = file.upto(max(PIECE, len(text)))  # twice as much each time, so that a long record is not scanned for ever
            text, ended = text + decode(more, not more), not more
            continue
        yield text[:end].encode(), said
        text, number = text[end:], number + 1
    if text[1:].strip() or file.upto(1).strip():
        raise DataError(f"{file.path} goes on after the end of its list, record {number - 1}.", FORMAT)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, which marks that a name stands in it twice: which of the two is meant nobody knows."""
    said = dict(pairs)
    return said if len(said) == len(pairs) else Twofold(said)


def _whole(digits: str) -> int | float:
    """A whole number; of one that is too long to be of use only that it is too large."""
    return int(digits) if len(digits) <= MOST_DIGITS else sys.float_info.max


def _broken(file: Unpacked, number: int, *, ended: bool) -> DataError:
    if ended:
        return DataError(f"{file.path} ends in the middle of record {number}.", AGAIN)
    return DataError(f"{file.path}, record {number}: it is no JSON, or longer than {LONGEST} bytes.", FORMAT)
