"""A candidate that is worse somewhere is seen there, and one that is equal passes where there are rows enough."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import DataError
from demlopment.evaluation.comparison import non_inferiority
from demlopment.evaluation.slices import ENOUGH
from demlopment.records import Scores


def scores(model: str, correct: np.ndarray) -> Scores:
    """Of class 0, right where `correct` says so."""
    probabilities = np.where(correct[:, None], [[0.9, 0.1]], [[0.1, 0.9]]).astype(np.float32)
    keys = np.array([f"{row:064x}" for row in range(len(correct))])
    return Scores(model, keys, np.zeros(len(correct), np.int64), probabilities, log_loss=0.3, calibration_error=0.1)


def halves(rows: int) -> dict[str, np.ndarray]:
    first = np.arange(rows) < rows // 2
    return {"first": first, "second": ~first}


def test_a_candidate_that_is_better_on_the_whole_and_worse_in_one_slice_is_seen_there() -> None:
    champion = scores("digits 1.0", np.arange(400) % 5 > 0)
    candidate = scores("digits 2.0", (np.arange(400) < 200) | (np.arange(400) % 3 > 0))

    better, worse = non_inferiority(candidate, champion, halves(400), margin=0.05)

    assert (better.name, better.met) == ("first against digits 1.0", True)
    assert better.value == pytest.approx(0.2)
    assert (worse.name, worse.met) == ("second against digits 1.0", False)
    assert worse.value == pytest.approx(candidate.correct[200:].mean() - champion.correct[200:].mean())


@given(rows=st.integers(2, 2000), seed=st.integers(0, 99))
def test_an_equal_candidate_passes_wherever_there_are_rows_enough_to_prove_it(rows: int, seed: int) -> None:
    same = scores("digits 1.0", np.random.default_rng(seed).random(rows) > 0.1)

    checks = non_inferiority(same, same, halves(rows), margin=0.1)

    assert all(check.value == 0 and check.met for check in checks)
    assert all((check.bound is None) == (check.rows < ENOUGH) for check in checks)


def test_scores_of_other_rows_are_refused() -> None:
    with pytest.raises(DataError, match="were scored on other rows"):
        non_inferiority(scores("a", np.ones(4, bool)), scores("b", np.ones(5, bool)), halves(4), 0.1)
