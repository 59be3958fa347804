"""A row is prepared in one place: whatever form it comes in gives the same numbers, and every fault is named."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment import row, seen
from demlopment.row import Column, ColumnError, RowError

COLUMNS = (Column("alcohol", 10, 16), Column("ash", 0.1, 5.3), Column("hue", -1, 2))
RANGES = st.tuples(*(st.floats(each.low, each.high) for each in COLUMNS))


@given(RANGES, st.randoms(use_true_random=False))
def test_a_row_is_the_same_in_whatever_form_it_comes(values: tuple[float, ...], shuffled: Any) -> None:
    named = list(zip((each.name for each in COLUMNS), values, strict=True))
    shuffled.shuffle(named)

    prepared = [
        row.prepare(form, COLUMNS)
        for form in (values, dict(named), json.dumps(dict(named)).encode(), json.dumps([*values]).encode())
    ]

    assert all(np.array_equal(each, np.array(values, np.float32)) for each in prepared)


@given(RANGES)
def test_what_was_prepared_can_be_sent_again_and_kept_as_bytes(values: tuple[float, ...]) -> None:
    once = row.prepare(values, COLUMNS)
    twice = [row.prepare(row.encode_json(each, COLUMNS), COLUMNS) for each in (once, row.mirrored(once, COLUMNS))]

    assert np.array_equal(twice[0], once)
    assert np.array_equal(twice[1], row.mirrored(once, COLUMNS))
    assert np.array_equal(seen.restored(once.tobytes()), once)


def test_every_fault_of_a_row_is_named_with_its_value_and_counted_without() -> None:
    with pytest.raises(RowError) as refused:
        row.prepare({"alcohol": 130, "ash": "much", "proline": 700}, COLUMNS)

    assert str(refused.value) == (
        "The row has alcohol 130, which is outside 10 to 16; ash 'much', which is no number; hue missing. "
        "Send 3 numbers, in their ranges."
    )
    assert refused.value.reasons == ("alcohol outside 10 to 16", "ash no number", "hue missing")


@pytest.mark.parametrize("value", [True, None, "12", [12], float("nan"), float("inf"), 10**400, 9.99, 16.01])
def test_what_is_no_number_in_the_range_is_refused(value: object) -> None:
    with pytest.raises(RowError, match="alcohol"):
        row.prepare([value, 1, 1], COLUMNS)


@pytest.mark.parametrize(
    "body", [b"", b"12,3", b"\x89PNG\r\n", b"7", b'"text"', b"null", b"[1, 2]", b"[" * 100_000, b"[" + b"9" * 5000 + b"]"]
)
def test_a_body_that_is_no_row_is_refused_in_two_sentences(body: bytes) -> None:
    with pytest.raises(RowError, match=r"^The row [^.]+\. Send [^.]+\.$"):
        row.prepare(body, COLUMNS)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("alcohol", "'alcohol'"),
        ([], "[]"),
        ([["alcohol", 0]], "['alcohol', 0]"),
        ([["alcohol", 0, 1], ["alcohol", 0, 2]], "'alcohol' twice"),
        ([["", 0, 1]], "['', 0, 1]"),
        ([[" alcohol", 0, 1]], "[' alcohol', 0, 1]"),
        ([["half \ud800", 0, 1]], "0, 1]"),
        ([[7, 0, 1]], "[7, 0, 1]"),
        ([["alcohol", 2, 1]], "['alcohol', 2, 1]"),
        ([["alcohol", 0, True]], "['alcohol', 0, True]"),
        ([["alcohol", "0", 1]], "['alcohol', '0', 1]"),
        ([["alcohol", 0, float("nan")]], "['alcohol', 0, nan]"),
        ([["alcohol", 0, 1e39]], "['alcohol', 0, 1e+39]"),
        ([["alcohol", -(10**400), 1]], "['alcohol', -1000"),
        ([["alcohol", 1, 1 + 1e-12]], "['alcohol', 1, 1.0000"),
        ([[f"column {number}", 0, 1] for number in range(129)], "129 columns"),
    ],
)
def test_columns_that_make_no_sense_are_refused_in_two_sentences(columns: Any, said: str) -> None:
    with pytest.raises(ColumnError, match=r"^The table has .*\. Name 1 to 128 columns, each once, .*\.$") as refused:
        row.columns(columns)

    assert said in str(refused.value)


def test_columns_are_the_same_as_text_and_as_they_are() -> None:
    assert row.columns(COLUMNS) == row.columns(json.loads(json.dumps(COLUMNS))) == COLUMNS


@pytest.mark.parametrize("end", [0.1, 0.2, 0.3, 1e-7, 123.456, -0.7])
def test_an_end_of_the_range_is_in_it_when_it_comes_as_float32_and_the_next_number_is_not(end: float) -> None:
    rounded = np.float32(end)
    below, above = Column("share", end - 5, end), Column("share", end, end + 5)

    assert [row.prepare([float(rounded)], [column])[0] for column in (below, above)] == [rounded, rounded]
    for column, further in ((below, np.inf), (above, -np.inf)):
        with pytest.raises(RowError, match="outside"):
            row.prepare([float(np.nextafter(rounded, np.float32(further)))], [column])


def test_nothing_below_zero_is_nothing() -> None:
    below, above = (row.prepare([12, 1, value], COLUMNS) for value in (-0.0, 0.0))

    assert below.tobytes() == above.tobytes() == row.prepare([12, 1, -1e-60], COLUMNS).tobytes()


def test_where_a_number_stands_in_its_range_is_its_statistic() -> None:
    rows = np.array([[10, 0.1, 2], [13, 5.3, 0.5]], np.float32)

    found = row.statistics(rows, COLUMNS)

    assert {name: values.tolist() for name, values in found.items()} == {"alcohol": [0, 0.5], "ash": [0, 1], "hue": [1, 0.5]}
