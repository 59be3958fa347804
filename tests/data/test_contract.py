"""Good rows pass, and a bad row carries every reason in words."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.data.contract import JUDGED, RAW, screen
from demlopment.data.sources import RawRows

GOOD: dict[str, Any] = {
    "image": bytes(783) + b"\xff",
    "format": "grey",
    "label": "7",
    "writer": None,
    "source": "s",
    "licence": "l",
    "origin": "o",
    "row": 0,
    "place": None,
    "fault": None,
}
DIGITS = tuple("0123456789")


def frame(*changes: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([GOOD | change for change in changes], schema=RAW, orient="row")


def test_every_packaged_digit_keeps_the_contract_and_its_place(digits: RawRows) -> None:
    good, bad = screen(digits.frame, DIGITS)

    assert good.equals(digits.frame)
    assert bad.is_empty()
    assert bad.columns == [*JUDGED, "reasons"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image": bytes(783)}, "image is 783 bytes, not 784"),
        ({"image": b""}, "image is 0 bytes, not 784"),
        ({"image": None}, "image missing"),
        ({"image": bytes(784)}, "image is blank"),
        ({"image": b"\xff" * 784}, "image is blank"),
        ({"label": None}, "label missing"),
        ({"label": "-1"}, "label outside 0 to 9"),
        ({"label": "10"}, "label outside 0 to 9"),
        ({"licence": None}, "licence missing"),
        ({"format": "tiff"}, "format is neither grey nor file"),
        ({"format": "unread", "image": b"1,x", "fault": "a pixel is no number"}, "a pixel is no number"),
        ({"format": "unread", "label": None, "fault": "too long"}, "label missing; too long"),
        ({"fault": "the writer is no text"}, "the writer is no text"),
        ({"format": "unread"}, "format is neither grey nor file"),
        ({"image": b"x", "label": "12"}, "image is 1 bytes, not 784; label outside 0 to 9"),
    ],
)
def test_a_bad_row_goes_aside_with_every_reason(change: dict[str, Any], reason: str) -> None:
    good, bad = screen(frame({}, change, {"row": 2}), DIGITS)

    assert good["row"].to_list() == [0, 2]
    assert bad["reasons"].to_list() == [reason]
    assert bad.drop("reasons").equals(frame(change).select(JUDGED))


def test_the_classes_are_an_argument() -> None:
    rows = frame({"label": "3"}, {"label": "a"})

    assert len(screen(rows, DIGITS)[0]) == 1
    assert len(screen(rows, (*DIGITS, "a", "b"))[0]) == 2


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "image": st.none() | st.binary(max_size=3) | st.sampled_from([bytes(784), GOOD["image"]]),
                "label": st.none() | st.integers(-3, 12).map(str),
            }
        ),
        max_size=12,
    )
)
def test_no_row_is_lost_and_none_is_on_both_sides(changes: list[dict[str, Any]]) -> None:
    rows = frame(*(change | {"row": place} for place, change in enumerate(changes)))

    good, bad = screen(rows, DIGITS)

    fine = [c["image"] == GOOD["image"] and c["label"] in DIGITS for c in changes]
    assert good["row"].to_list() == [place for place, ok in enumerate(fine) if ok]
    assert bad["row"].to_list() == [place for place, ok in enumerate(fine) if not ok]
    assert all(bad["reasons"])
