"""Whoever is asked about what teaches most gives fewer labels for as much: with small counts, and the arithmetic of saving.

`python -m benchmarks labelling` does the same with more seeds, labels and changes.
"""

import numpy as np
import pytest

from benchmarks import labelling
from benchmarks.labelling import ASKED, CHANCE, Size, World, savings
from demlopment.data.ranking import picks
from demlopment.lifecycle.production import Change

SMALL = Size(seeds=1, taught=300, open=600, read=300, batch=20, batches=1, epochs=8)


@pytest.fixture(scope="module")
def world() -> World:
    return labelling.made(Change("pen"), 1, SMALL)


def test_what_is_asked_about_is_wrong_far_more_often_than_what_chance_draws(world: World) -> None:
    everything = np.arange(len(world.open))
    pool = labelling.pool(world, world.champion, everything)
    right = labelling.answers(world.champion, world.open)[0].argmax(axis=1) == world.open.labels

    asked = [each.row for each in picks(pool, 60, 0.0, np.random.default_rng(1))]

    assert 0.02 < 1 - right.mean() < 0.4, "a network that is never wrong has nothing to ask about"
    assert 1 - right[asked].mean() > 3 * (1 - right.mean())


def test_both_ways_begin_alike_and_end_with_as_many_labels() -> None:
    found = labelling.compared("pen", 1.0, SMALL)

    asked, chance = found["accuracy"][ASKED], found["accuracy"][CHANCE]
    assert found["labels"] == [0, 20]
    assert (len(asked), len(chance)) == (1, 1)
    assert asked[0][0] == chance[0][0]
    assert found["saved"]["median"] == savings([0, 20], asked[0], chance[0])
    assert "| pen, 100% |" in labelling.table({"size": vars(SMALL), "changes": [found]})


@pytest.mark.parametrize(
    ("asked", "chance", "saved"),
    [
        ([0.8, 0.9, 0.95], [0.8, 0.85, 0.9], 0.5),
        ([0.8, 0.9, 0.9], [0.8, 0.85, 0.9], 0.5),
        ([0.8, 0.85, 0.9], [0.8, 0.9, 0.95], -1.0),
        ([0.8, 0.85, 0.9], [0.8, 0.85, 0.9], 0.0),
        ([0.8, 0.9, 0.7], [0.8, 0.8, 0.9], 0.5),
        ([0.8, 0.8, 0.8], [0.8, 0.9, 0.9], 0.0),
    ],
)
def test_what_is_saved_is_told_by_the_labels_for_as_much_accuracy(
    asked: list[float], chance: list[float], saved: float
) -> None:
    assert savings([0, 50, 100], asked, chance) == pytest.approx(saved)
