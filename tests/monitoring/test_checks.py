"""An effect that wears off is told, labels that one arm gets less of void the reading, and late ones are not missing."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from demlopment.monitoring import Outcome, Terms, read
from demlopment.monitoring.checks import novelty, returns
from demlopment.monitoring.metrics import ACCURACY, Recorded, milliseconds
from demlopment.records import TrafficPlan, Treatment

PLAN = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "s")
VALUES = (0.0, 2.0, -2.0)


def outcomes(requests: int, *, labelled: tuple[float, float] = (0.5, 0.5), delay: float = 60.0, seed: int = 1) -> list[Outcome]:
    """Of both arms by halves, one a second; `labelled` of the control's and of the treatment's units have a label."""
    rng = np.random.default_rng(seed)
    made = []
    for at in range(requests):
        treated = int(rng.random() < 0.5)
        known, right = bool(rng.random() < labelled[treated]), bool(rng.random() > 0.1)
        arm, version = (("control", "1.0"), ("treatment", "2.0"))[treated]
        came = float(at)
        made.append(
            Outcome(arm, version, right if known else None, came + delay * known, f"u{at}", asked=came)  # type: ignore[arg-type]
        )
    return made


def test_an_effect_that_wears_off_is_told() -> None:
    rng = np.random.default_rng(1)
    early = rng.choice(3, 512, p=[0.7, 0.28, 0.02])  # the control errs far more often
    late = rng.choice(3, 700, p=[0.9, 0.05, 0.05])

    found = novelty(np.concatenate([early, late]), VALUES, ACCURACY, 0.95)

    assert found is not None
    assert (found.early, found.late, found.changed) == (512, 700, True)
    assert found.before.low > found.after.high
    assert found.sentence.startswith("The effect has changed: between +")


def test_an_effect_that_lasts_seldom_seems_to_change_however_often_one_looks() -> None:
    runs, rng = 100, np.random.default_rng(2)

    changed = 0
    for _ in range(runs):
        places = rng.choice(3, 500, p=[0.8, 0.12, 0.08])
        looks = (novelty(places[:seen], VALUES, ACCURACY, 0.95) for seen in range(64, 500, 8))
        changed += any(look is not None and look.changed for look in looks)

    assert changed <= binom.isf(1e-3, runs, 0.05)


@pytest.mark.parametrize(("labels", "parting"), [(63, None), (64, 32), (127, 32), (128, 64), (1000, 256), (1024, 512)])
def test_labels_part_at_the_largest_power_of_two_that_leaves_as_many(labels: int, parting: int | None) -> None:
    found = novelty(np.zeros(labels, np.int64), VALUES, ACCURACY, 0.95)

    assert (found and found.early) == parting
    assert found is None or found.early + found.late == labels
    assert found is None or not found.changed


def test_labels_that_come_back_for_one_arm_less_void_the_reading() -> None:
    alike, unlike = (read(PLAN, outcomes(2000, labelled=shares)) for shares in ((0.5, 0.5), (0.7, 0.35)))

    assert alike.returns is not None
    assert unlike.returns is not None
    assert alike.returns.ratio_p > 0.001 > unlike.returns.ratio_p
    assert unlike.sample_ratio_p > 0.001, "the split itself is the planned one"
    assert unlike.decision == "continue"
    assert unlike.sentence.startswith("The reading is void: labels came back for 3")
    assert unlike.returns.control_share == pytest.approx(0.7, abs=0.05)


def test_what_needs_no_label_is_read_though_one_arm_gets_none() -> None:
    rows = [replace(row, recorded=Recorded(milliseconds=2.0)) for row in outcomes(600, labelled=(0.9, 0.1))]

    assert read(PLAN, rows).sentence.startswith("The reading is void: labels came back")
    assert not read(PLAN, rows, terms=Terms(milliseconds(100.0))).sentence.startswith("The reading is void")


def test_labels_that_come_back_alike_seldom_void_it_however_often_one_looks() -> None:
    runs = 60

    suspected = [returns(outcomes(400, seed=seed), 0.5, None).ratio_p < 0.05 for seed in range(runs)]

    assert sum(suspected) <= binom.isf(1e-3, runs, 0.05)


def test_a_request_that_is_younger_than_labels_usually_take_is_not_missing_its_label() -> None:
    rows = outcomes(1000, delay=100.0)

    found = returns(rows, 0.5, now=1000.0)

    assert (found.control_delay, found.treatment_delay, found.usual_delay) == (100.0, 100.0, 100.0)
    silent = [row for row in rows if row.correct is None]
    assert found.waiting == sum(row.came >= 900 for row in silent) > 0
    assert found.waiting + found.missing == len(silent)
    assert f"of {len(silent)} requests without one, {found.waiting} are younger than the usual 1.7 min" in found.sentence


def test_the_delay_is_told_for_each_arm() -> None:
    rows = outcomes(400)
    later = [replace(row, at=row.at + 3600) if row.arm == "treatment" and row.correct is not None else row for row in rows]

    found = returns(later, 0.5, now=None)

    assert (found.control_delay, found.treatment_delay) == (60.0, 3660.0)
    assert "in the middle 1 min after the control's requests and 1 h after the treatment's requests" in found.sentence


def test_without_labels_nothing_is_missing_yet() -> None:
    found = returns(outcomes(30, labelled=(0.0, 0.0)), 0.5, now=1e6)

    assert (found.waiting, found.missing, found.usual_delay, found.ratio_p) == (30, 0, None, 1.0)
    assert found.sentence == "No label came back; 30 requests wait for theirs."


def test_a_label_that_came_before_its_request_has_no_delay() -> None:
    found = returns([Outcome("control", "1.0", correct=True, at=5.0, asked=9.0)], 0.5, now=10.0)

    assert (found.control_delay, found.treatment_delay, found.usual_delay) == (0.0, None, 0.0)
