"""Errors under corruption are counted row by row; a network that reads keeps the bounds, and one that does not breaks them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from demlopment import images
from demlopment.errors import DataError
from demlopment.evaluation import Reader, robustness
from demlopment.evaluation.robustness import CORRUPTIONS
from demlopment.images import Grey
from demlopment.records import Check, Examples
from tests.evaluation.broken import of_inverted_pixels, of_one_answer, of_random_weights, of_swapped_classes


@pytest.fixture(scope="module")
def checks(read: Reader, unseen: Examples) -> tuple[Check, ...]:
    return robustness(read, unseen, seed=1)


def test_every_corruption_and_their_mean_are_checks(checks: tuple[Check, ...]) -> None:
    assert [check.name for check in checks] == [*(name for name, _, _ in CORRUPTIONS), "mean corruption error"]
    assert all(check.group == "robustness" and check.rows == 1000 and not check.least for check in checks)
    assert checks[-1].value == pytest.approx(np.mean([check.value for check in checks[:-1]]))
    assert all(each.interval and each.interval.low - 1e-9 <= each.value <= each.interval.high + 1e-9 for each in checks)


def test_a_network_that_reads_well_keeps_every_bound(checks: tuple[Check, ...]) -> None:
    assert sum(check.bound is not None for check in checks) == 15
    assert not [check for check in checks if not check.met]


@pytest.mark.parametrize("broken", [of_inverted_pixels, of_swapped_classes, of_random_weights, of_one_answer])
def test_a_broken_network_breaks_every_bound(read: Reader, unseen: Examples, broken: Callable[[Reader], Reader]) -> None:
    checks = robustness(broken(read), unseen, seed=1)

    assert [check.name for check in checks if check.met] == ["stripe"]  # which is told, and not judged


def test_what_is_told_says_why(checks: tuple[Check, ...]) -> None:
    assert {check.name: check.note for check in checks if check.bound is None} == {
        "stripe": "told, not judged: preparation takes the stripes for the ink"
    }


def test_the_mean_is_no_surer_than_its_rows_allow(read: Reader, unseen: Examples) -> None:
    """The oracle: the interval of a mean over independent rows, each of which is the mean of its own fifteen pictures."""
    asked: list[npt.NDArray[np.int64]] = []

    def remembered(pictures: Grey) -> npt.NDArray[np.float32]:
        answers = read(pictures)
        asked.append(answers.argmax(axis=1))
        return answers

    mean = robustness(remembered, unseen, seed=1)[-1]

    order = np.random.default_rng(1).permutation(1000)
    of_rows = (np.stack(asked) != unseen.labels[order]).mean(axis=0)
    half = 1.96 * of_rows.std(ddof=1) / 1000**0.5
    assert mean.interval is not None
    assert mean.value == pytest.approx(of_rows.mean())
    assert mean.interval.low <= of_rows.mean() - half
    assert mean.interval.high >= of_rows.mean() + half


def test_the_reader_is_given_what_a_request_would_be(unseen: Examples) -> None:
    seen: list[Grey] = []

    def looking(pictures: Grey) -> npt.NDArray[np.float32]:
        seen.append(pictures)
        return np.full((len(pictures), 10), 0.1, np.float32)

    robustness(looking, unseen, seed=1)

    brightness = seen[[name for name, _, _ in CORRUPTIONS].index("brightness")]
    assert brightness.shape == (1000, 28, 28)
    assert (brightness[:, 0, 0] == 0).all()  # the grey paper has gone
    again = np.stack([images.prepare(each) for each in brightness])
    assert np.abs(again.astype(int) - brightness).mean() < 1


def test_a_model_is_as_good_as_itself_and_half_as_bad_as_one_that_errs_twice_as_often(read: Reader, unseen: Examples) -> None:
    def erring(share: float) -> Reader:
        def answers(pictures: Grey) -> npt.NDArray[np.float32]:
            """Wrong on a share of the rows, always the same."""
            said = np.zeros((len(pictures), 10), np.float32)
            labels = unseen.labels[np.random.default_rng(1).permutation(1000)]
            wrong = np.arange(len(pictures)) % 10 < 10 * share
            said[np.arange(len(pictures)), (labels + wrong) % 10] = 1
            return said

        return answers

    itself = robustness(read, unseen, 1, reference=read)[-1]
    half = robustness(erring(0.2), unseen, 1, reference=erring(0.4))[-1]

    assert (itself.value, itself.bound) == (1.0, None)
    assert itself.interval is not None
    assert (itself.interval.low, itself.interval.high) == (1.0, 1.0)
    assert half.value == pytest.approx(0.5, abs=0.01)
    assert half.interval is not None
    assert 0.42 < half.interval.low < 0.5 < half.interval.high < 0.58


def test_the_seed_decides_and_few_rows_are_enough_to_be_told(read: Reader, unseen: Examples) -> None:
    few = unseen.where(np.arange(3))

    once, again = robustness(read, few, seed=1), robustness(read, few, seed=1)

    assert once == again
    assert {check.rows for check in once} == {3}
    assert not any(check.met for check in once if check.bound is not None and check.bound < 0.5)


def test_without_examples_nothing_is_corrupted(read: Reader, unseen: Examples) -> None:
    with pytest.raises(DataError, match="no examples to corrupt"):
        robustness(read, unseen.where(np.arange(0)), seed=1)
