"""A model is read as it is served, and a check is met only where nothing is left open."""

import math
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment import images, seen
from demlopment.archive import Archive, Card
from demlopment.evaluation import answerer, reader
from demlopment.records import Check, Examples, Interval
from demlopment.seen import Seen
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


def test_a_reader_of_many_pictures_has_a_few_at_once_before_it(
    fitted: Fitted, unseen: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Archive(Card("digits", "1.0", tuple("0123456789"), images.VERSION, 1.0, {}, {}), export(fitted), {}, b"")
    feed, shown = seen.feed, list[int]()

    def watched(batch: Seen) -> dict[str, npt.NDArray[np.float32]]:
        shown.append(len(batch))
        return feed(batch)

    monkeypatch.setattr(sys.modules[answerer.__module__], "BATCH", 3)
    monkeypatch.setattr(seen, "feed", watched)

    probabilities, embeddings = answerer(model)(unseen.images[:7])
    none, nowhere = answerer(model)(unseen.images[:0])

    assert shown == [3, 3, 1]
    np.testing.assert_array_equal(probabilities, reader(model)(unseen.images[:7]))
    alone = np.concatenate([answerer(model)(unseen.images[row : row + 1])[1] for row in range(7)])
    np.testing.assert_allclose(embeddings, alone, atol=1e-6)
    assert (none.shape, len(nowhere)) == ((0, 10), 0)


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
