"""What teaches most is asked first, nothing is asked twice, and chance has its share whatever else is chosen."""

from collections import Counter
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.data.ranking import CHANCE, DIFFERING, STRANGE, UNSURE, Pool, doubt, picks, score
from demlopment.errors import DataError

NONE = np.random.default_rng(0)


def pool(unsure: list[float], *, alike: int = 0, **parts: list[float]) -> Pool:
    """So many pictures that are unlike each other, but for the first `alike`, which are one."""
    pictures = np.random.default_rng(1).integers(0, 256, (len(unsure), 28, 28)).astype(np.uint8)
    pictures[:alike] = pictures[:1]
    zeros = [0.0] * len(unsure)
    columns = (np.array(parts.get(name, zeros)) for name in ("differing", "strange"))
    return Pool(pictures, np.array(unsure), *columns)


def test_without_chance_the_most_telling_come_first() -> None:
    chosen = picks(pool([0.1, 0.9, 0.5, 0.8]), 3, 0.0, NONE)

    assert [each.row for each in chosen] == [1, 3, 2]
    assert {each.chance for each in chosen} == {None}


def test_each_pick_says_what_speaks_for_it_most() -> None:
    asked = pool([0.9, 0.0, 0.0, 0.6], differing=[0, 1, 0, 1], strange=[0, 0, 1, 1])

    found = {each.row: (each.why, round(each.score, 3)) for each in picks(asked, 4, 0.0, NONE)}

    assert found == {0: (UNSURE, 0.9), 1: (DIFFERING, 0.5), 2: (STRANGE, 0.25), 3: (UNSURE, 1.35)}
    assert score(asked).min() > 0


def test_a_picture_that_was_asked_again_and_again_is_chosen_once() -> None:
    crowd = pool([1.0] * 50 + [0.1] * 5, alike=50)

    chosen = picks(crowd, 10, 0.0, NONE)

    assert sorted(each.row for each in chosen) == [0, 50, 51, 52, 53, 54]


def test_of_copies_with_noise_one_is_chosen() -> None:
    rng = np.random.default_rng(2)
    writing = np.clip(rng.integers(0, 256, (28, 28)) + rng.integers(-3, 4, (60, 28, 28)), 0, 255)
    others = rng.integers(0, 256, (20, 28, 28))
    pictures = np.concatenate([writing, others]).astype(np.uint8)
    zeros = np.zeros(80)
    crowd = Pool(pictures, np.concatenate([np.full(60, 1.0), np.full(20, 0.5)]), zeros, zeros)

    chosen = [each.row for each in picks(crowd, 20, 0.0, NONE)]

    assert (sum(row < 60 for row in chosen), len(chosen)) == (1, 20)


@given(
    unsure=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    count=st.integers(1, 60),
    by_chance=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_picks_are_distinct_as_many_as_were_asked_for_and_chance_has_its_share(
    unsure: list[float], count: int, by_chance: float, seed: int
) -> None:
    found = picks(pool(unsure), count, by_chance, np.random.default_rng(seed))

    whole = min(count, len(unsure))
    lots = [each for each in found if each.why == CHANCE]
    assert len({each.row for each in found}) == len(found) == whole
    assert len(lots) == ceil(whole * by_chance)
    assert {each.chance for each in lots} <= {len(lots) / len(unsure)}
    chosen = [each for each in found if each.why != CHANCE]
    assert {each.chance for each in chosen} <= {None}
    if chosen:
        assert chosen[0].score == max(score(pool(unsure))[each] for each in set(range(len(unsure))) - {e.row for e in lots})


def test_every_request_has_the_same_chance_and_may_stand_anywhere_in_the_queue() -> None:
    asked, rounds = pool(np.linspace(0, 1, 20).tolist()), 150
    rows, places = Counter[int](), Counter[int]()

    for seed in range(rounds):
        found = picks(asked, 10, 0.2, np.random.default_rng(seed))
        rows.update(each.row for each in found if each.why == CHANCE)
        places.update(place for place, each in enumerate(found) if each.why == CHANCE)

    # 2 of 20 rows and 2 of 10 places; six standard deviations of a binomial
    assert all(abs(rows[row] - rounds / 10) < 6 * (rounds * 0.09) ** 0.5 for row in range(20))
    assert all(abs(places[place] - rounds / 5) < 6 * (rounds * 0.16) ** 0.5 for place in range(10))


def test_no_requests_give_no_picks_and_nonsense_is_refused() -> None:
    assert picks(pool([]), 5, 0.5, NONE) == ()
    for count, share in ((0, 0.5), (5, 1.5), (5, -0.1), (5, float("nan"))):
        with pytest.raises(DataError, match=f"{count} requests"):
            picks(pool([0.5]), count, share, NONE)


def test_doubt_is_nothing_for_a_sure_answer_and_one_for_a_tie() -> None:
    assert doubt(np.array([[1, 0, 0], [0.4, 0.2, 0.4]], np.float32)).tolist() == [0.0, 1.0]
    assert doubt(np.empty((0, 10))).tolist() == []
