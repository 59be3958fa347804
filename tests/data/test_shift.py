"""The gate's false-alarm rate is the stated one, with writers and without; what has changed is found. Counts, not timings."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from demlopment.data import shift as module
from demlopment.data.shift import groups, shift
from tests.data.test_splits import drawn

RATE, PAIRS = 0.05, 1500
MOST = int(binom.ppf(0.9999, PAIRS, RATE))


def figures(rng: np.random.Generator, writer: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    """Three figures that depend on each other and on the writer, and shares of four classes."""
    style = rng.normal(size=(writer.max() + 1, 3))[writer]
    noise = rng.standard_t(3, (len(writer), 3))
    noise[:, 1] += noise[:, 0]
    values = np.round(style + noise, 1)
    label = rng.choice(4, len(writer), p=[0.4, 0.3, 0.2, 0.1])
    return {**{f"figure {i}": values[:, i] for i in range(3)}, **{f"class {i}": (label == i) * 1.0 for i in range(4)}}


@pytest.mark.parametrize(("writers", "new"), [(None, 12), (None, 40), (20, 6)])
def test_nothing_new_raises_an_alarm_as_often_as_stated_and_no_oftener(writers: int | None, new: int) -> None:
    rng, alarms = np.random.default_rng(1), 0

    for _ in range(PAIRS):
        writer = np.arange(80) if writers is None else rng.integers(0, writers, 80)
        moved = rng.choice(80 if writers is None else writers, new, replace=False)
        came = np.isin(writer, moved)
        found = shift(figures(rng, writer), came, writer, RATE, rng)
        alarms += found is not None and found.p_value < RATE

    assert PAIRS * RATE / 2 < alarms <= MOST


def test_rows_of_one_writer_taken_for_independent_would_break_the_rate() -> None:
    rng, alarms = np.random.default_rng(1), 0

    for _ in range(300):
        writer = rng.integers(0, 20, 80)
        found = shift(figures(rng, writer), np.isin(writer, range(6)), np.arange(80), RATE, rng)
        alarms += found is not None and found.p_value < RATE

    assert alarms > 2 * 300 * RATE


def test_a_writer_on_both_sides_makes_no_more_alarms_than_stated() -> None:
    rng, alarms = np.random.default_rng(1), 0

    for _ in range(500):
        writer = rng.integers(0, 20, 80)
        found = shift(figures(rng, writer), rng.random(80) < 0.3, writer, RATE, rng)
        alarms += found is not None and found.p_value < RATE

    assert alarms <= binom.ppf(0.9999, 500, RATE)


@pytest.mark.parametrize("kind", ["place", "spread", "classes"])
def test_what_has_changed_is_found_at_the_default_rate_and_named(kind: str) -> None:
    rng = np.random.default_rng(2)
    came = np.arange(900) >= 600
    measured = figures(rng, np.arange(900))
    if kind == "place":
        measured["figure 1"][came] += 1
    if kind == "spread":
        measured["figure 1"][came] *= 3
    if kind == "classes":
        measured["class 3"][came] = rng.random(300) < 0.3

    found = shift(measured, came, np.arange(900), 0.001, rng)

    assert found is not None
    assert found.p_value < 0.001
    assert found.most == ("class 3" if kind == "classes" else "figure 1")
    assert (found.old, found.new) == (600, 300)


def test_other_writers_are_found_among_writers() -> None:
    rng = np.random.default_rng(3)
    writer = np.repeat(np.arange(60), 10)
    came = writer >= 30
    measured = figures(rng, writer)
    measured["figure 0"][came] += 2

    found = shift(measured, came, writer, 0.001, rng)

    assert found is not None
    assert found.p_value < 0.001


def test_few_groups_raise_no_alarm_however_far_they_are() -> None:
    came = np.arange(110) >= 100

    found = shift({"ink": np.where(came, 9.0, 0.0)}, came, np.arange(110) // 10, 0.001, np.random.default_rng(4))

    assert found is not None
    assert found.p_value > 0.04


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=8))
def test_the_chance_is_no_less_than_that_of_one_exchange_among_all(rows: list[tuple[bool, int, int]]) -> None:
    came, value, group = (np.array(column) for column in zip(*rows, strict=True))

    found = shift({"figure": value.astype(float)}, came, group, 1e-3, np.random.default_rng(5))

    assert (found is None) == (came.all() or not came.any())
    if found is not None:
        assert 0 < found.p_value <= 1
        assert found.p_value >= 0.01, "at most 8 rows can be exchanged in at most 70 ways, of which one is as far"


def test_more_groups_than_needed_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_GROUPS", 50)
    came = np.arange(2000) >= 1000

    found = shift({"ink": np.where(came, 1.0, 0.0)}, came, np.arange(2000), 0.001, np.random.default_rng(6))

    assert found is not None
    assert (found.old, found.new) == (1000, 1000)
    assert found.p_value < 0.001


def test_a_group_is_a_writer_or_what_is_nearly_the_same_where_nobody_knows_one() -> None:
    rows = replace(drawn([0, 1, 2, 1, 3]), writers=np.array(["ann", "", "ann", "", "bob"]))

    of = groups(rows).tolist()

    assert of[0] == of[2]
    assert of[1] == of[3]
    assert len(set(of)) == 3
