"""The traffic goes where the answers are right, and nobody is given up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import DataError
from demlopment.monitoring.bandit import Record, best, shares

records = st.dictionaries(
    st.sampled_from("abcd"),
    st.integers(0, 5000).flatmap(lambda labelled: st.builds(Record, st.just(labelled), st.integers(0, labelled))),
    min_size=1,
)


@pytest.mark.parametrize(
    "counts", [((10, 8), (10, 9)), ((200, 150), (50, 40)), ((5, 0), (0, 0), (7, 7)), ((20_000, 19_000), (300, 288))]
)
def test_the_chances_are_those_of_many_draws(counts: tuple[tuple[int, int], ...]) -> None:
    given_records = {str(place): Record(*count) for place, count in enumerate(counts)}
    rng = np.random.default_rng(1)
    drawn = np.stack([rng.beta(1 + right, 1 + labelled - right, 200_000) for labelled, right in counts])

    expected = np.bincount(drawn.argmax(axis=0), minlength=len(counts)) / drawn.shape[1]

    assert list(best(given_records).values()) == pytest.approx(expected, abs=0.006)  # five standard errors


@given(records, st.floats(0, 0.25))
def test_everybody_has_the_floor_and_together_they_have_all(known: dict[str, Record], floor: float) -> None:
    found = shares(known, floor)

    assert min(found.values()) >= floor - 1e-12
    assert sum(found.values()) == pytest.approx(1)


def test_without_labels_all_are_alike() -> None:
    assert shares({"1.0": Record(0, 0), "2.0": Record(0, 0)}, 0.1) == pytest.approx({"1.0": 0.5, "2.0": 0.5})


@pytest.mark.parametrize("floor", [-0.1, 0.6])
def test_a_floor_that_not_all_can_have_is_refused(floor: float) -> None:
    with pytest.raises(DataError, match=r"and 2 versions share the traffic\. Give at most 0\.5\."):
        shares({"1.0": Record(0, 0), "2.0": Record(0, 0)}, floor)


def test_it_earns_more_right_answers_than_equal_arms_and_keeps_trying_the_others() -> None:
    rng, accuracy = np.random.default_rng(1), {"1.0": 0.90, "2.0": 0.97}
    earned, tried = [], []
    for _ in range(100):
        known, right, asked = dict.fromkeys(accuracy, Record(0, 0)), 0, 0
        for _ in range(20):  # looks, after 100 labelled requests each
            split = shares(known, 0.05)
            for version, share in split.items():
                labelled = round(100 * share)
                hits = int(rng.binomial(labelled, accuracy[version]))
                known[version] = Record(known[version].labelled + labelled, known[version].right + hits)
                right, asked = right + hits, asked + labelled
        earned.append(right / asked)
        tried.append(known["1.0"].labelled)

    assert np.mean(earned) > (0.90 + 0.97) / 2 + 0.02  # of 0.035 that an oracle would win
    assert min(tried) >= 20 * 5
