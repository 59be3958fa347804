"""Alarms are as rare as their budget and find what changes; monitors that are not, and estimates that are wrong, are found out.

With small counts; `python -m benchmarks drift` does the same with 200 streams of each kind.
"""

import base64
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, chi2_contingency

from benchmarks import baselines, drift, rendering
from benchmarks.drift import BUDGET, MONITORS, REFERENCE, WINDOW, Stream
from benchmarks.rendering import Pools
from demlopment import monitoring
from demlopment.lifecycle.production import Change
from demlopment.monitoring.kernel import powers
from demlopment.monitoring.labels import SCREEN, label_p_value
from demlopment.monitoring.reference import FORMAT, label_counts
from demlopment.records import Prediction

STREAMS = 20
OURS, PSI, KS, KS_AT_BUDGET, EVERY = MONITORS


@pytest.fixture(scope="module")
def pools() -> Pools:
    return rendering.prepared(calm=1500, other=300, lessons=1500, epochs=6)


@pytest.fixture(scope="module")
def calm(pools: Pools) -> dict[str, Any]:
    found: dict[str, Any] = drift.false_alarms(pools, STREAMS)
    return found


def predictions(pools: Pools, rows: drift.Places) -> list[Prediction]:
    return [
        Prediction("", 0.0, "digits", "1.0", "direct", "", *(pools.pictures[row], "", pools.probabilities[row]), *(at, 0.0, ""))
        for row, at in zip(rows.tolist(), pools.embeddings[rows], strict=True)
    ]


@pytest.mark.parametrize("change", [Change(), Change("pen", "gradual", at=0, length=2000), Change("labels", at=200)])
def test_what_is_scored_is_what_drift_reports(pools: Pools, change: Change) -> None:
    played = drift.stream(pools, np.random.default_rng(1), 1, change)
    old = played.reference
    reference = {
        "format": FORMAT,
        "pictures": {name: np.sort(pools.statistics[name][old]) for name in list(pools.statistics)[:5]},
        "answers": {name: np.sort(pools.statistics[name][old]) for name in list(pools.statistics)[5:]},
        "labels": label_counts(pools.probabilities[old]).tolist(),
        "directions": pools.directions.tolist(),
        "powers": base64.b64encode(powers(pools.probabilities[old]).tobytes()).decode(),
        "taught": {
            "centres": base64.b64encode(pools.centres.tobytes()).decode(),
            "strangeness": np.sort(pools.strangeness[old]).tolist(),
            "limits": asdict(pools.limits),
        },
    }

    scored = drift.p_values(pools, played)

    for number in (0, 7, 30):
        window = predictions(pools, played.rows[number * WINDOW : (number + 1) * WINDOW])
        report = monitoring.drift(reference, window, start=0, false_alarm_rate=BUDGET)
        names = [test.name for test in report.tests]
        label = names.index("label")
        *singly, together = (test.p_value for test in report.tests)
        exact, others = np.array(singly), np.arange(len(singly)) != label
        assert names[label:] == ["label", "no class", "kernel"]
        assert scored[number, others] == pytest.approx(exact[others], rel=1e-9)
        near = scored[number, label]
        assert near == pytest.approx(exact[label], rel=1e-9) if exact[label] < 0.005 else near > 0.003
        assert drift.alarms(pools, played)[OURS][number] == report.drifted
        if min(singly) >= report.threshold:
            assert drift.kernel(pools, played, number, report.threshold) == pytest.approx(together)


def test_no_alarm_is_lost_by_the_approximation_that_spares_the_exact_label_test() -> None:
    rng, few = np.random.default_rng(2), 0
    for _ in range(300):
        old = rng.multinomial(REFERENCE, np.ones(10) / 10)
        tilted = np.ones(10) + rng.uniform(0, 4) * (np.arange(10) == 1)
        new = rng.multinomial(WINDOW, tilted / tilted.sum())

        exact = label_p_value(old, new)

        approximate = chi2_contingency([old, new]).pvalue
        few += exact < BUDGET
        assert exact >= BUDGET or approximate < SCREEN / 2
    assert few > 20


def test_calm_windows_raise_alarms_within_the_budget_and_the_usual_monitors_far_beyond_it(calm: dict[str, Any]) -> None:
    rates, windows = calm["monitors"], calm["windows"]

    assert windows == STREAMS * drift.WINDOWS
    for ours in (OURS, EVERY):
        assert rates[ours]["alarms"] <= binom.isf(1e-4, windows, BUDGET)
    assert rates[KS_AT_BUDGET]["per_1000"] > 1000 * BUDGET
    assert rates[KS]["per_1000"] > 100
    assert rates[PSI]["per_1000"] > 500


def test_a_monitor_that_takes_the_whole_budget_for_each_test_is_found_out(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "BUDGET", 13 * BUDGET)

    greedy = drift.false_alarms(pools, 2 * STREAMS)  # its tests agree often, so it rings less than thirteen times as often

    assert greedy["monitors"][OURS]["alarms"] > binom.isf(1e-4, greedy["windows"], BUDGET)


@pytest.mark.parametrize(("kind", "share"), [("pen", 1.0), ("writers", 1.0), ("attack", 0.5), ("outliers", 0.3)])
def test_a_change_is_found_within_a_few_windows(pools: Pools, kind: Any, share: float) -> None:
    found = drift.found(pools, 5, kind, share, "abrupt")["monitors"][OURS]

    assert found["found"] == 1
    assert found["median_delay"] <= 3 * WINDOW


def test_a_class_that_means_something_else_is_found_by_the_labels(pools: Pools) -> None:
    found = drift.found(pools, 5, "concept", 1.0, "abrupt")["monitors"]

    assert found[EVERY]["found"] == 1
    assert found[EVERY]["found"] >= found[OURS]["found"]


def test_nothing_is_found_where_nothing_changes(pools: Pools) -> None:
    found = drift.found(pools, 5, "pen", 0.0, "abrupt")["monitors"][OURS]

    assert found["found"] <= 0.2


def test_a_stream_holds_what_its_change_says(pools: Pools) -> None:
    played = drift.stream(pools, np.random.default_rng(3), 3, Change("concept", at=1000))

    after, fours = np.arange(len(played.rows)) >= 1000, played.classes == 4
    assert (pools.classes[played.rows[after & fours]] == 9).all()
    assert (pools.classes[played.rows[~(after & fours)]] == played.classes[~(after & fours)]).all()
    assert len(set(drift.stream(pools, np.random.default_rng(3), 3, Change("attack")).rows.tolist())) == 1


def test_accuracy_without_labels_is_near_the_truth_but_not_where_a_class_means_something_else(pools: Pools) -> None:
    calm, concept = drift.told(pools, 4, "none", 0.0), drift.told(pools, 4, "concept", 1.0)

    assert calm["mean_absolute_error"] < 2
    assert calm["coverage"] > 0.8
    assert concept["mean_error"] > 5, "it fails, and this is told"
    assert concept["coverage"] < 0.2


def test_the_stability_index_is_that_of_its_formula() -> None:
    old, new = np.array([0] * 90 + [1] * 10), np.array([[0] * 10 + [1] * 90, [0] * 90 + [1] * 10])

    moved, still = baselines.stability(old, new)

    share = 90.5 / 101
    assert moved == pytest.approx(2 * (2 * share - 1) * np.log(share / (1 - share)))
    assert still == 0


def test_the_table_tells_every_monitor_and_every_change(pools: Pools, calm: dict[str, Any]) -> None:
    figures = {
        "budget": BUDGET,
        "window": WINDOW,
        "network_accuracy": 0.9,
        "false_alarms": calm,
        "changes": [drift.found(pools, 1, kind, share, "abrupt") for kind, share in drift.CHANGES],
        "accuracy": [drift.told(pools, 1, "pen", 1.0)],
    }

    rows = [line.split(" | ")[0].strip("| ") for line in drift.table(figures).splitlines() if line.startswith("|")]

    assert {*MONITORS, *(kind for kind, _ in drift.CHANGES), "pen, 100%"} <= set(rows)
    assert isinstance(drift.stream(pools, np.random.default_rng(1), 1, Change()), Stream)
