"""Each figure is what can be worked out by hand, and is met just within its range."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from demlopment.data.expectations import Expectation, expectations
from demlopment.settings import Data
from tests.data.test_splits import made_up


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 255), st.integers(0, 30))
def test_the_figures_are_those_of_counting(labels: list[int], tone: int, unused: int) -> None:
    pictures = np.full((len(labels), 28, 28), tone, np.uint8)
    rows = replace(made_up([str(n) for n in range(len(labels))]), labels=np.array(labels), images=pictures)
    used = max(0, len(labels) - unused)

    rarest, duplicates, ink = expectations(rows, used, 4, Data())

    assert rarest.value == min(labels.count(label) for label in range(4)) / len(labels)
    assert np.isclose(duplicates.value, (len(labels) - used) / len(labels))
    assert np.isclose(ink.value, tone / 255)


def test_a_figure_is_met_within_its_range_and_its_ends() -> None:
    assert [Expectation("ink", value, 0.1, 0.5).met for value in (0.09, 0.1, 0.3, 0.5, 0.51)] == [
        False,
        True,
        True,
        True,
        False,
    ]
