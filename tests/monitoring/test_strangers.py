"""What belongs to no class is found, as seldom for nothing as it says, and what cannot be compared is said."""

import json
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom

from demlopment.errors import DataError
from demlopment.legibility import Limits
from demlopment.legibility import limits as legible_limits
from demlopment.monitoring import drift, profile
from demlopment.monitoring.strangers import (
    ILLEGIBLE,
    TAILS,
    centres,
    distances,
    strange_p_values,
    strange_share,
    strangeness,
)
from tests.monitoring.conftest import World

Values = npt.NDArray[np.float64]


def slow(reference: Values, window: Values) -> float:
    """The definition, one answer after the other."""
    rows = sorted([(-value, 0) for value in reference] + [(-value, 1) for value in window])  # ties: the reference first
    m, n, chances = len(reference), len(window), []
    for share in TAILS:
        tail = max(1, round(share * (m + n)))
        seen = sum(ours for _, ours in rows[:tail])
        chances.append(float(sum(hypergeom.pmf(k, m + n, n, tail) for k in range(seen, tail + 1))))
    return min(1.0, len(TAILS) * min(chances))


@given(st.integers(1, 80), st.integers(1, 40), st.integers(0, 10_000))
def test_the_p_value_is_that_of_its_definition(m: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, window = rng.integers(0, 30, m).astype(float), rng.integers(0, 30, n) + rng.integers(0, 2) * 25.0

    assert strange_p_values(reference, window[None])[0] == pytest.approx(slow(reference, window), rel=1e-9)


def test_calm_windows_are_as_rarely_strange_as_the_p_value_says() -> None:
    rng, runs = np.random.default_rng(1), 4000

    found = np.array([strange_p_values(*(rng.random(500), rng.random((1, 100))))[0] for _ in range(runs)])

    for rate in (0.1, 0.01):
        assert (found < rate).sum() <= binom.isf(1e-4, runs, rate)


def test_blank_paper_among_digits_is_found_and_a_profile_without_classes_knows_nothing_of_it(world: World) -> None:
    known, traffic = world.images[:500], world.images[500:600].copy()
    probabilities, embeddings = world.model.answer(known)
    told = np.argmax(world.model.answer(world.images[1000:2000])[0], axis=1).astype(np.int64)
    middles = centres(world.model.answer(world.images[1000:2000])[1], told)
    reference = profile(known, probabilities, embeddings, centres=middles, limits=legible_limits(known))
    old = profile(known, probabilities, embeddings)
    traffic[:12] = 0

    calm, blank, before = (
        {test.name: test for test in drift(kept, world.model.predictions(pictures), start=0, false_alarm_rate=0.001).tests}
        for kept, pictures in ((reference, world.images[500:600]), (reference, traffic), (old, traffic))
    )

    assert calm["no class"].p_value > 0.01
    assert blank["no class"].p_value < 1e-6
    assert blank["no class"].statistic == pytest.approx(0.12, abs=0.03)
    assert "no class" not in before
    assert json.loads(json.dumps(reference)) == reference
    assert len(json.dumps(reference, indent=2)) < 100_000


def test_a_damaged_text_in_a_profile_is_named(world: World) -> None:
    known = world.images[:60]
    answers = world.model.answer(known)
    middles = centres(answers[1], np.arange(60, dtype=np.int64) % 10)
    broken = profile(known, *answers, centres=middles)
    broken["taught"] = broken["taught"] | {"centres": "?"}

    with pytest.raises(DataError, match="holds a text that is no array"):
        drift(broken, world.model.predictions(known), start=0, false_alarm_rate=0.001)


def test_answers_that_are_no_numbers_are_counted_and_compared_no_further(world: World) -> None:
    known = world.images[:60]
    reference = profile(known, *world.model.answer(known))
    window = world.model.predictions(known)
    nothing = np.full(10, np.nan, np.float32)
    some = [answer._replace(probabilities=nothing) if number < 7 else answer for number, answer in enumerate(window)]
    every = [answer._replace(probabilities=nothing) for answer in window]

    partly, wholly = (drift(reference, each, start=0, false_alarm_rate=0.001) for each in (some, every))

    assert (partly.damaged, partly.examples, partly.drifted) == (7, 60, False)
    assert wholly.damaged == 60
    assert [test.name for test in wholly.tests] == sorted(reference["pictures"], key=list(reference["pictures"]).index)


def test_a_class_without_rows_has_no_centre_and_the_nearest_of_the_others_counts() -> None:
    points = np.array([[0.0, 0.0], [2.0, 0.0], [10.0, 0.0]], np.float32)

    middles = centres(points, np.array([3, 3, 7]))

    assert middles.tolist() == [[1, 0], [10, 0]]
    assert distances(np.array([[1.0, 2.0], [10.0, 1.0]]), middles).tolist() == [2, 1]
    assert strangeness(points[:1], middles, np.array([False])).tolist() == [ILLEGIBLE]


def test_what_is_told_as_strange_is_a_hundredth_of_calm_answers() -> None:
    calm = np.arange(1000.0)

    assert strange_share(calm, calm) == pytest.approx(0.01, abs=0.002)
    assert strange_share(calm, np.array([ILLEGIBLE, 5.0])) == 0.5
    assert asdict(Limits())["least_ink"] == 0
