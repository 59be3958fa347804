"""A model is read as it is served, and a check is met only where nothing is left open."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment import images
from demlopment.archive import Archive, Card
from demlopment.evaluation import reader
from demlopment.records import Check, Examples, Interval
from demlopment.training import Fitted, evaluate, export


def test_a_reader_answers_what_the_fitted_network_does_in_any_number_of_pictures(fitted: Fitted, unseen: Examples) -> None:
    read = reader(
        Archive(Card("digits", "1.0", tuple("0123456789"), images.VERSION, fitted.temperature, {}, {}), export(fitted), {}, b"")
    )

    whole = read(np.concatenate([unseen.images, unseen.images]))

    np.testing.assert_allclose(whole[: len(unseen)], evaluate("digits 1.0", fitted, unseen).probabilities, atol=1e-5)
    np.testing.assert_array_equal(whole[: len(unseen)], whole[len(unseen) :])
    np.testing.assert_allclose(read(unseen.images[:1]), whole[:1], atol=1e-6)
    assert read(unseen.images[:0]).shape == (0, 10)


@given(value=st.floats(0, 1), low=st.floats(0, 1), high=st.floats(0, 1), bound=st.floats(0, 1), least=st.booleans())
def test_a_check_is_met_where_value_and_interval_keep_the_bound(
    value: float,
    low: float,
    high: float,
    bound: float,
    least: bool,  # noqa: FBT001  hypothesis draws it
) -> None:
    check = Check("behaviour", "any", value, Interval(low, high), bound, least, 10)

    assert check.met == (min(value, low, high) >= bound if least else max(value, low, high) <= bound)


@pytest.mark.parametrize("check", [
    Check("behaviour", "never run", 1.0, None, 0.5, least=True, rows=0),
    Check("cost", "not a number", math.nan, None, 5.0, least=False, rows=10),
])  # fmt: skip
def test_a_check_that_did_not_run_or_gave_no_number_is_not_met(check: Check) -> None:
    assert not check.met


def test_a_check_without_a_bound_is_told_and_not_judged() -> None:
    assert Check("slices", "seven", 0.2, None, None, least=True, rows=10).met
    assert not Check("slices", "seven", float("nan"), None, None, least=True, rows=10).met
    assert Check("slices", "seven", float("nan"), None, None, least=True, rows=0).met
