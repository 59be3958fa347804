"""What stands in two parts is found, whoever made the split, and named."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment.data.leaks import leaks, refuse_leaks
from demlopment.data.splits import SHARES, split
from demlopment.errors import DataError
from demlopment.records import Examples, Split
from tests.data.test_splits import drawn


def placed(rows: Examples, parts: list[str]) -> Split:
    return Split(**{name: rows.where(np.array(parts) == name) for name in SHARES})


def test_a_copy_a_writer_and_a_contradiction_are_found_and_named() -> None:
    rows = drawn([0, 1, 2, 0, 3, 4])
    rows.images[4] = rows.images[2]
    written = replace(rows, writers=np.array(["", "ann", "", "", "", "ann"]), labels=np.array([0, 0, 1, 0, 2, 0]))

    found = leaks(placed(written, ["train", "train", "validation", "test", "validation", "stream"]))

    assert [(leak.kind, leak.subject, leak.keys, leak.parts) for leak in found] == [
        ("near-duplicates", "0", ("0", "3"), ("train", "test")),
        ("same writer", "ann", ("1", "5"), ("train", "stream")),
        ("labels in conflict", "2", ("2", "4"), ("validation",)),
    ]


def test_equal_pixels_in_two_parts_are_found_whatever_their_keys_say() -> None:
    rows = drawn([0, 1])
    rows.images[1] = rows.images[0]

    found = leaks(placed(rows, ["train", "test"]))

    assert [(leak.kind, leak.keys) for leak in found] == [("same pixels", ("0", "1"))]


ROW = st.tuples(st.integers(0, 6), st.sampled_from(["", "ann", "bob", "cy"]), st.sampled_from(["mnist", "feedback"]))


@given(st.lists(ROW, max_size=20), st.sampled_from("abcdefgh"))
@settings(max_examples=60)
def test_the_split_of_the_lake_leaks_nothing(rows: list[tuple[int, str, str]], salt: str) -> None:
    pictures, writers, sources = [[row[column] for row in rows] for column in range(3)]
    examples = replace(
        drawn([int(picture) for picture in pictures]),
        writers=np.array(writers, dtype=np.str_),
        sources=np.array(sources, dtype=np.str_),
    )

    assert leaks(split(examples, salt)) == ()


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(list(SHARES))), min_size=1, max_size=20))
@settings(max_examples=40)
def test_any_other_split_leaks_just_what_stands_in_two_parts(rows: list[tuple[int, str]]) -> None:
    pictures, parts = [picture for picture, _ in rows], [part for _, part in rows]

    found = leaks(placed(drawn(pictures), parts))

    torn = {p for p in pictures if len({part for picture, part in rows if picture == p}) > 1}
    assert {pictures[int(leak.subject)] for leak in found} == torn
    assert all(leak.kind == "near-duplicates" for leak in found)


def test_a_split_that_leaks_is_refused_with_its_rows_and_a_sound_one_is_not() -> None:
    leaky = placed(drawn([0] * 8 + [1]), ["train", "test"] * 4 + ["stream"])

    with pytest.raises(DataError, match=r"'mine' leaks \(near-duplicates: 0 and 2 and 6 more in train and test\)"):
        refuse_leaks(leaky, "mine")
    refuse_leaks(placed(drawn([0, 1]), ["train", "test"]), "mine")
