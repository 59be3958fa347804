"""What a raw row must be before the lake takes it, and in words what is wrong with one that is not. Stores nothing."""

from collections.abc import Sequence
from functools import cache

import dataframely as dy
import polars as pl

from demlopment import row
from demlopment.errors import DataError
from demlopment.images import SIDE
from demlopment.row import Column, ColumnError

PIXELS = SIDE * SIDE  # bytes of a picture that comes as pixels
SEPARATOR = "; "  # between the reasons of one row: Delta has no list type that is safe for us
GREY, FILE = "grey", "file"  # pixels row by row, one byte each; or a PNG, JPEG, BMP or WebP of any size
ROW = "row"  # numbers as row.prepare makes them, four bytes each: of a lake that keeps a table
NUMBER_BYTES = 4
UNREAD = "unread"  # what stood in the source where it found no picture; only with a fault
RAW = pl.Schema(
    {
        "image": pl.Binary(),
        "format": pl.String(),  # GREY, FILE or UNREAD
        "label": pl.String(),  # name of the class
        "writer": pl.String(),  # whose hand it is, None where nobody knows
        "source": pl.String(),  # "mnist-5k", "feedback", ...
        "licence": pl.String(),
        "origin": pl.String(),  # SHA-256 of the file, or the request id of a row that came back
        "row": pl.Int64(),  # position in the source
        "place": pl.String(),  # what the row is called in a source that may grow before it, None: its position says it
        "fault": pl.String(),  # why the source could not read the row, without its values, to be counted; None: it could
    }
)
KEPT = [name for name in RAW.names() if name not in ("place", "fault")]  # of a bad row, whose reasons have the fault among them
JUDGED = (*KEPT, "place")  # of a bad row that has no name yet
NULLABLE = ("writer|nullability", "place|nullability", "fault|nullability")
BLANKS = [bytes([tone]) * PIXELS for tone in range(256)]  # a picture of a single tone shows nothing
BLANK = "image is blank"


def screen(frame: pl.DataFrame, classes: Sequence[str], width: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that keep the contract, and those that break it with `reasons` in place of `fault`; both in their old order.

    `width` is how many columns the table has; 0 where the lake keeps pictures.
    A bad row carries every reason, joined by "; ". Raises DataError if the columns are not those of `RAW`.
    """
    check_columns(frame)
    # dataframely copies what it judges several times, and a picture may be large: the rules see its start and its size.
    start, size = pl.col("image").bin.head(PIXELS + 1), pl.col("image").bin.size().cast(pl.Int64)
    good, failure = _example(tuple(classes), width).filter(frame.with_columns(image=start, size=size).with_row_index("at"))
    if len(failure) == 0:
        return frame, frame.clear().select(*JUDGED, reasons=pl.lit(None, pl.String))
    told = failure.details().select("at", reasons=_reasons(classes, width))
    return frame[good["at"]], frame[told["at"]].select(JUDGED).with_columns(told["reasons"])


def table(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns of a table. Raises DataError for what `row.columns` refuses."""
    try:
        return row.columns(columns)
    except ColumnError as error:  # two sentences already
        raise DataError(str(error), "") from error


def check_columns(frame: pl.DataFrame) -> None:
    """Raise DataError unless the columns are those of `RAW`, in any order, with their types."""
    unfit = set(RAW.items()) ^ set(frame.schema.items())
    if unfit:
        named = ", ".join(sorted(f"{name} ({kind})" for name, kind in unfit))
        raise DataError(f"The columns of the raw rows do not fit: {named}.", f"Give exactly {', '.join(RAW.names())}.")


@cache
def _example(classes: tuple[str, ...], width: int) -> type[dy.Schema]:
    """The contract for labels among `classes`, and pictures or rows of so many columns."""
    kinds = [ROW] if width else [GREY, FILE]

    class Example(dy.Schema):
        image = dy.Binary(nullable=False)
        format = dy.String(nullable=False)
        label = dy.String(nullable=False)
        writer = dy.String(nullable=True)
        source = dy.String(nullable=False)
        licence = dy.String(nullable=False)
        origin = dy.String(nullable=False)
        row = dy.Int64(nullable=False)
        place = dy.String(nullable=True)
        fault = dy.String(nullable=True)
        at = dy.UInt32(nullable=False)  # place in the frame
        size = dy.Int64(nullable=True)  # bytes of the picture

        @dy.rule()
        def could_be_read(cls) -> pl.Expr:  # noqa: N805  dataframely hands over the class
            return pl.col("fault").is_null()

        @dy.rule()
        def image_size(cls) -> pl.Expr:  # noqa: N805  dataframely hands over the class
            right = pl.when(pl.col("format") == ROW).then(NUMBER_BYTES * width).otherwise(PIXELS)
            return ~pl.col("format").is_in([GREY, ROW]) | (pl.col("size") == right)

        @dy.rule()
        def image_shows_something(cls) -> pl.Expr:  # noqa: N805  dataframely hands over the class
            return (pl.col("format") == ROW) | ~pl.col("image").is_in(BLANKS)

        @dy.rule()
        def format_is_known(cls) -> pl.Expr:  # noqa: N805  dataframely hands over the class
            return pl.col("format").is_in(kinds) | ((pl.col("format") == UNREAD) & pl.col("fault").is_not_null())

        @dy.rule()
        def label_in_classes(cls) -> pl.Expr:  # noqa: N805  dataframely hands over the class
            return pl.col("label").is_in(classes)

    return Example


def _reasons(classes: Sequence[str], width: int) -> pl.Expr:
    """Every broken rule of a row in words; the columns named after rules say "invalid" where a rule is broken."""
    size, kinds = (NUMBER_BYTES * width, f"format is not {ROW}") if width else (PIXELS, f"format is neither {GREY} nor {FILE}")
    words = {f"{column}|nullability": pl.lit(f"{column} missing") for column in RAW.names()} | {
        "could_be_read": pl.col("fault"),
        "image_size": pl.format("image is {} bytes, not {}", "size", pl.lit(size)),
        "image_shows_something": pl.lit(BLANK),
        "format_is_known": pl.lit(kinds),
        "label_in_classes": pl.lit(f"label outside {classes[0]} to {classes[-1]}"),
    }
    broken = [pl.when(pl.col(rule) == "invalid").then(reason) for rule, reason in words.items() if rule not in NULLABLE]
    return pl.concat_str(broken, separator=SEPARATOR, ignore_nulls=True)
