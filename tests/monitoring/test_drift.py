"""The alarm fires as rarely as it says when nothing changed, and fires when something did."""

import json
from itertools import product
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from scipy.special import comb
from scipy.stats import binom, chi2_contingency, hypergeom, ks_2samp

from demlopment.errors import DataError
from demlopment.monitoring.drift import drift, windows
from demlopment.monitoring.kolmogorov import ks_distances, ks_p_values
from demlopment.monitoring.labels import _class_p_value, label_p_value
from demlopment.monitoring.pictures import picture_statistics
from demlopment.monitoring.reference import answer_statistics, label_counts, profile
from tests.monitoring.conftest import Pictures, World

REFERENCE, WINDOW = 500, 100
RATE = 0.001


@pytest.fixture(scope="session")
def reference(world: World) -> dict[str, Any]:
    """The profile of the first 500 digits, as it comes out of an archive; the other 3,500 are traffic."""
    known = world.images[:REFERENCE]
    stored: dict[str, Any] = json.loads(json.dumps(profile(known, *world.model.answer(known))))
    return stored


def traffic(world: World, count: int, start: int = 0) -> Pictures:
    return world.images[REFERENCE + start : REFERENCE + start + count]


def thickened(images: Pictures) -> Pictures:
    return np.stack([cv2.dilate(image, np.ones((2, 2), np.uint8)) for image in images]).astype(np.uint8)


def slanted(images: Pictures, shear: float = 0.4) -> Pictures:
    matrix = np.array([[1, -shear, shear * 14], [0, 1, 0]])
    return np.stack([cv2.warpAffine(image, matrix, (28, 28)) for image in images]).astype(np.uint8)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_p_values_are_exact_where_nothing_is_tied(first: int, second: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = np.sort(rng.random(first)), np.sort(rng.random(second) ** 1.5)

    distance = ks_distances(old, new[None])[0]

    try:
        oracle = ks_2samp(old, new, method="exact")
    except RuntimeWarning:  # SciPy's own count went wrong by rounding, so it has no exact answer
        reject()
    assert distance / (first * second) == pytest.approx(oracle.statistic)
    assert ks_p_values(np.array([distance]), first, second)[0] == pytest.approx(oracle.pvalue, rel=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_p_values_are_exact_at_the_size_that_is_used(share: float) -> None:
    # scipy.stats.ks_2samp(method="exact") of samples with these distances, for 500 against 100 rows.
    oracle = {0.1: 0.3598180966851865, 0.2: 0.0022524542887572296, 0.4: 1.960392560729306e-12}[share]

    found = ks_p_values(np.array([round(share * REFERENCE * WINDOW)]), REFERENCE, WINDOW)[0]

    assert found == pytest.approx(oracle, rel=1e-9)


def test_where_counting_overflows_the_p_value_is_no_smaller_than_the_exact_one() -> None:
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.05, 0.1, 0.2):
        old, new = np.sort(rng.random(700)), np.sort(rng.random(600) + shift)

        found = ks_p_values(ks_distances(old, new[None]), 700, 600)[0]

        exact = ks_2samp(old, new, method="exact").pvalue
        assert exact * (1 - 1e-9) <= found
        assert found < 1e-3 or found < 1.2 * exact


@given(st.lists(st.integers(0, 30), min_size=2, max_size=10), st.integers(0, 2**32 - 1))
def test_in_large_windows_the_most_extreme_class_is_tested_exactly(counts: list[int], seed: int) -> None:
    old = np.array(counts) + 1
    new = np.random.default_rng(seed).multinomial(40, np.ones(len(old)) / len(old))

    found = _class_p_value(old, new)

    tails = []
    for was, now in zip(old.tolist(), new.tolist(), strict=True):
        law = hypergeom(old.sum() + 40, was + now, 40)
        tails.append(2 * min(law.cdf(now), law.sf(now - 1)))
    assert found == pytest.approx(min(1, len(old) * min(tails)), rel=1e-6)
    assert label_p_value(old * 1000, new * 30) == _class_p_value(old * 1000, new * 30)


@given(st.lists(st.integers(0, 9), min_size=3, max_size=3), st.lists(st.integers(0, 4), min_size=3, max_size=3))
def test_the_label_test_counts_every_way_to_draw_the_window(first: list[int], second: list[int]) -> None:
    old, new = np.array(first), np.array(second)
    assume(new.sum() > 0)
    both = old + new

    found = label_p_value(old, new)

    def cut(table: npt.NDArray[np.int64]) -> int:
        expected = both * new.sum() / both.sum()
        return int(sum(np.floor(4 * (t - e) ** 2 / e) for t, e in zip(table, expected, strict=True) if e > 0))

    tables = [np.array(t) for t in product(*(range(count + 1) for count in both)) if sum(t) == new.sum()]
    ways = np.array([np.prod(comb(both, table)) for table in tables])
    extreme = np.array([cut(table) >= cut(new) for table in tables])
    assert found == pytest.approx(ways[extreme].sum() / ways.sum(), rel=1e-9)


def test_the_label_test_agrees_with_chi_square_where_counts_are_large() -> None:
    rng = np.random.default_rng(4)
    for shift in (0, 1, 2, 3):
        old = rng.multinomial(2000, np.ones(10) / 10)
        new = rng.multinomial(500, np.array([10 + 2 * shift, *[10] * 9]) / (100 + 2 * shift))

        found = label_p_value(old, new)

        assert found == pytest.approx(chi2_contingency([old, new]).pvalue, rel=0.3)


Row = npt.NDArray[np.float64]


def chances(values: dict[str, Row], labels: Row, order: npt.NDArray[np.int64]) -> list[tuple[list[int], float]]:
    """For each row of `order`, the distances of every statistic and the label test, as `drift` computes them."""
    found = []
    for rows in order:
        old, new = rows[:REFERENCE], rows[REFERENCE : REFERENCE + WINDOW]
        distances = [int(ks_distances(np.sort(column[old]), column[new][None])[0]) for column in values.values()]
        counts = (np.bincount(labels[part], minlength=10) for part in (old, new))
        found.append((distances, label_p_value(*counts)))
    return found


def test_the_false_alarm_rate_is_at_most_the_stated_one(world: World, reference: dict[str, Any]) -> None:
    runs = 2000
    probabilities, embeddings = world.model.answer(world.images)
    directions = np.asarray(reference["directions"])
    values = picture_statistics(world.images) | answer_statistics(probabilities, embeddings, directions)
    rng = np.random.default_rng(11)
    order = np.stack([rng.choice(len(world.images), REFERENCE + WINDOW, replace=False) for _ in range(runs)])

    found = chances(values, probabilities.argmax(axis=1), order)
    distances = np.array([row for row, _ in found])
    possible = np.unique(distances)  # a few hundred: each needs its p-value once
    table = ks_p_values(possible, REFERENCE, WINDOW)
    smallest = np.minimum(table[np.searchsorted(possible, distances)].min(axis=1), [label for _, label in found])

    for rate in (0.05, 0.01, 0.001):
        alarms = int((smallest < rate / (len(values) + 1)).sum())
        # The count that a test which keeps its rate exactly exceeds once in a thousand runs of this simulation.
        assert alarms <= binom.ppf(0.999, runs, rate), f"{alarms} alarms in {runs} windows at {rate}"
    assert (smallest < 0.05 / (len(values) + 1)).sum() >= runs * 0.005, "a test that never fires proves nothing"


def test_the_simulation_above_computes_what_drift_reports(world: World) -> None:
    rng = np.random.default_rng(5)
    order = rng.choice(len(world.images), REFERENCE + WINDOW, replace=False)
    known, sent = world.images[order[:REFERENCE]], world.images[order[REFERENCE:]]
    reference = profile(known, *world.model.answer(known))
    probabilities, embeddings = world.model.answer(world.images)
    answers = answer_statistics(probabilities, embeddings, np.asarray(reference["directions"]))

    [(distances, label)] = chances(picture_statistics(world.images) | answers, probabilities.argmax(axis=1), order[None])

    report = drift(reference, world.model.predictions(sent), start=0, false_alarm_rate=RATE)
    expected = [*ks_p_values(np.array(distances), REFERENCE, WINDOW), label]
    *singly, together = report.tests  # of which test_kernel.py tells
    assert [test.p_value for test in singly[:-1]] == pytest.approx(expected[:-1])
    assert singly[-1].p_value == pytest.approx(label, rel=0.05), "which is large, and so told by chi-square's law"
    assert together.name == "kernel"
    assert report.threshold == RATE / len(report.tests) == RATE / 12


def test_ties_never_make_the_alarm_louder() -> None:
    runs, level = 1000, 0.05
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 4, (runs, REFERENCE + WINDOW)).astype(np.float64)

    distances = np.array([ks_distances(np.sort(row[:REFERENCE]), row[None, REFERENCE:])[0] for row in coarse])

    alarms = int((ks_p_values(distances, REFERENCE, WINDOW) < level).sum())
    assert 0 < alarms <= binom.ppf(0.999, runs, level)


@pytest.mark.parametrize("change", [thickened, slanted])
def test_another_pen_is_noticed_in_every_window(world: World, reference: dict[str, Any], change: Any) -> None:
    changed = world.model.predictions(change(traffic(world, 1000)))

    reports = [drift(reference, part, start=start, false_alarm_rate=RATE) for start, part in windows(changed, WINDOW)]

    assert len(reports) == 10
    assert all(report.drifted for report in reports)
    assert [report.start for report in reports] == list(range(0, 1000, WINDOW))


def test_traffic_like_the_reference_raises_no_alarm(world: World, reference: dict[str, Any]) -> None:
    sent = world.model.predictions(traffic(world, 1000))

    reports = [drift(reference, part, start=start, false_alarm_rate=RATE) for start, part in windows(sent, WINDOW)]

    assert not any(report.drifted for report in reports)


def test_more_ones_and_sevens_are_noticed(world: World, reference: dict[str, Any]) -> None:
    images, labels = traffic(world, 3000), np.array(world.labels[REFERENCE : REFERENCE + 3000])
    mixed = np.concatenate((images[np.isin(labels, (1, 7))][:40], images[:60]))

    report = drift(reference, world.model.predictions(mixed), start=0, false_alarm_rate=RATE)

    assert report.drifted
    assert next(test for test in report.tests if test.name == "label").p_value < report.threshold


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_tiny_window_is_answered_without_an_alarm(world: World, reference: dict[str, Any], count: int) -> None:
    report = drift(reference, world.model.predictions(traffic(world, count)), start=4, false_alarm_rate=RATE)

    assert (report.start, report.examples, report.drifted) == (4, count, False)
    assert all(0 <= test.p_value <= 1 for test in report.tests)


def test_a_window_of_one_picture_repeated_is_an_alarm(world: World, reference: dict[str, Any]) -> None:
    attack = np.repeat(traffic(world, 1), WINDOW, axis=0)

    assert drift(reference, world.model.predictions(attack), start=0, false_alarm_rate=RATE).drifted


def test_blank_pictures_are_an_alarm(world: World, reference: dict[str, Any]) -> None:
    blank = world.model.predictions(np.zeros((20, 28, 28), np.uint8))

    assert drift(reference, blank, start=0, false_alarm_rate=RATE).drifted


def test_an_empty_window_is_refused(reference: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no predictions"):
        drift(reference, [], start=0, false_alarm_rate=RATE)


def test_answers_of_two_versions_need_to_know_whose_reference_it_is(world: World, reference: dict[str, Any]) -> None:
    mixed = world.model.predictions(traffic(world, 60)) + world.model.predictions(traffic(world, 40, 60), "2.0")

    with pytest.raises(DataError, match=r"versions 1\.0, 2\.0"):
        drift(reference, mixed, start=0, false_alarm_rate=RATE)
    report = drift(reference, mixed, start=0, false_alarm_rate=RATE, version="1.0")

    alone = drift(reference, mixed[:60], start=0, false_alarm_rate=RATE)
    whole = drift(reference, world.model.predictions(traffic(world, 100)), start=0, false_alarm_rate=RATE)
    assert report.examples == 100
    assert report.tests[:5] == whole.tests[:5], "every picture counts"
    assert report.tests[5:] == alone.tests[5:], "only the answers of version 1.0 count"


def test_a_window_without_answers_of_the_version_is_judged_by_its_pictures(world: World, reference: dict[str, Any]) -> None:
    sent = world.model.predictions(thickened(traffic(world, 100)), "2.0")

    report = drift(reference, sent, start=0, false_alarm_rate=RATE, version="1.0")

    assert [test.name for test in report.tests] == ["ink", "stroke", "slant", "aspect", "softness"]
    assert report.threshold == RATE / 5
    assert report.drifted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2"),
        ({"format": None}, "format None"),
        ({"directions": [[0.0] * 7] * 4}, "width 32"),
        ({"labels": [50] * 47}, "the reference profile 47"),
        ({"pictures": {"ink": [0.1]}}, "disagree about"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused(
    world: World, reference: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        drift(reference | change, world.model.predictions(traffic(world, 20)), start=0, false_alarm_rate=RATE)


@given(st.lists(st.integers(), max_size=50), st.integers(1, 12))
def test_windows_are_whole_and_follow_each_other(items: list[Any], size: int) -> None:
    parts = list(windows(items, size))

    assert [start for start, _ in parts] == list(range(0, size * len(parts), size))
    assert all(len(part) == size for _, part in parts)
    assert [item for _, part in parts for item in part] == items[: size * (len(items) // size)]


def test_label_counts_have_a_place_for_every_class() -> None:
    assert label_counts(np.eye(10)[[3, 3, 0]]).tolist() == [1, 0, 0, 2, 0, 0, 0, 0, 0, 0]


def test_a_window_without_images_is_tested_by_its_answers_and_says_so(reference: dict[str, Any], world: World) -> None:
    window = world.model.predictions(traffic(world, WINDOW))
    some = [each._replace(image=None) if n % 4 else each for n, each in enumerate(window)]
    none = [each._replace(image=None) for each in window]

    whole, partly, blind = (drift(reference, rows, start=0, false_alarm_rate=RATE) for rows in (window, some, none))

    assert (whole.unseen, partly.unseen, blind.unseen) == (0, 75, 100)
    assert partly.tests[5:] == whole.tests[5:] == blind.tests, "every answer counts"
    assert partly.tests[:5] == drift(reference, window[::4], start=0, false_alarm_rate=RATE).tests[:5]
    assert blind.threshold == RATE / 7


def test_a_window_of_which_nothing_can_be_compared_raises_no_alarm(reference: dict[str, Any], world: World) -> None:
    window = [
        each._replace(image=None, embedding=np.zeros(0, np.float32), probabilities=np.zeros(0, np.float32))
        for each in world.model.predictions(traffic(world, WINDOW))
    ]

    report = drift(reference, window, start=0, false_alarm_rate=RATE)

    assert (report.tests, report.drifted, report.unseen) == ((), False, 100)
