"""All monitors say something of any production, find what each is for, and none stops the others."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from demlopment.legibility import limits
from demlopment.monitoring import panel as panels
from demlopment.monitoring import profile, trust
from demlopment.monitoring.evidence import Evidence
from demlopment.monitoring.panel import SHARES, Budget, conclusion, panel
from demlopment.monitoring.strangers import centres
from demlopment.monitoring.stretch import measured
from demlopment.records import Scores
from tests.monitoring.conftest import Pictures, World
from tests.monitoring.test_sweep import columns

BUDGET = Budget(window=100, false_alarm_rate=0.001)
PROMISED = 0.25  # the fixed model is right 81 times of 100
MONITORS = [
    "drift",
    "no class",
    "mix of classes",
    "estimated accuracy",
    "realised accuracy",
    "changes of errors",
    "data",
    "errors",
]


@pytest.fixture(scope="module")
def reference(world: World) -> dict[str, Any]:
    known, others, labels = world.images[:500], world.images[3000:], np.array(world.labels[3000:])
    answers, points = world.model.answer(others)
    scores = Scores("fixed", np.arange(1000).astype(np.str_), labels, answers, 0.0, 0.0)
    middles = centres(points, labels)
    made = profile(known, *world.model.answer(known), centres=middles, limits=limits(others))
    return made | {"trust": trust(scores).to_json()}


def production(
    world: World, reference: dict[str, Any], images: Pictures, labels: npt.NDArray[np.int64] | None = None
) -> Evidence:
    some = len(images)
    answers = world.model.predictions(images if some else world.images[:1])
    stretch = measured(reference, columns(answers)).where(slice(0, some))
    right = np.full(some, np.nan) if labels is None else (stretch.told == labels).astype(np.float64)
    return Evidence(stretch, right, np.where(np.isnan(right), np.inf, stretch.at + 50))


def labels(world: World, begin: int, end: int) -> npt.NDArray[np.int64]:
    return np.array(world.labels[begin:end])


def test_calm_production_is_told_by_every_monitor_and_alarms_none(world: World, reference: dict[str, Any]) -> None:
    seen = production(world, reference, world.images[600:1600], labels(world, 600, 1600))

    found = panel(reference, seen, BUDGET, PROMISED)

    assert [each.monitor for each in found.findings] == MONITORS
    assert found.alarms == found.broken == ()
    assert len(found.windows) == 10
    by_name = {each.monitor: each for each in found.findings}
    true = float(np.mean(seen.right))
    for name in ("realised accuracy", "estimated accuracy"):
        interval = by_name[name].interval
        assert interval is not None
        assert interval.low <= true <= interval.high
    assert by_name["realised accuracy"].value == pytest.approx(true)
    assert by_name["no class"].value == pytest.approx(0.01, abs=0.03)
    assert conclusion("digits 1.0", found, 1000) == (
        "Nothing says that anything has changed for digits 1.0: 10 new windows, 1000 answers."
    )


def test_blanks_and_errors_alarm_and_are_said_first(world: World, reference: dict[str, Any]) -> None:
    images = world.images[600:1100].copy()
    images[300:350] = 0
    truth = labels(world, 600, 1100)
    truth[250:] = (truth[250:] + 1) % 10

    found = panel(reference, production(world, reference, images, truth), BUDGET, PROMISED)

    assert {"drift", "errors"} <= {each.monitor for each in found.alarms}
    assert "no class" in found.alarms[0].sentence
    first = conclusion("digits 1.0", found, 500)
    assert first.startswith("digits 1.0 needs attention. 1 of 5 new windows differ from the reference, most in no class")
    assert "more than the promised 25.0% are wrong" in first


def test_what_was_looked_at_before_is_not_tested_again(world: World, reference: dict[str, Any]) -> None:
    images = world.images[600:900].copy()
    images[:100] = 0
    seen = production(world, reference, images)

    first, again, none = (panel(reference, replace(seen, fresh=fresh), BUDGET, None) for fresh in (0, 100, 300))

    assert [window.start for window in first.windows] == [0, 100, 200]
    assert first.alarms[0].monitor == "drift"
    assert [window.start for window in again.windows] == [100, 200]
    assert again.alarms == ()
    assert none.windows == ()
    assert none.broken == ()


@pytest.mark.parametrize("rows", [0, 1, 3, 99])
def test_production_of_few_answers_is_told(world: World, reference: dict[str, Any], rows: int) -> None:
    found = panel(
        reference, production(world, reference, world.images[600 : 600 + rows], labels(world, 600, 600 + rows)), BUDGET, 0.2
    )

    assert found.broken == found.alarms == ()
    assert found.windows == ()
    assert len(found.findings) == len(MONITORS)
    said = conclusion("digits 1.0", found, rows)
    assert said.startswith("Nothing has been asked" if not rows else "Nothing says")


def test_one_picture_again_and_again_and_a_single_class_are_told(world: World, reference: dict[str, Any]) -> None:
    same = np.repeat(world.images[700:701], 300, axis=0)

    found = panel(reference, production(world, reference, same, np.repeat(labels(world, 700, 701), 300)), BUDGET, PROMISED)

    assert found.broken == ()
    assert found.alarms[0].monitor == "drift"


def test_answers_that_are_no_numbers_raise_the_alarm_of_the_data(world: World, reference: dict[str, Any]) -> None:
    answers = world.model.predictions(world.images[600:720])
    nothing = np.full(10, np.nan, np.float32)
    answers[5] = answers[5]._replace(probabilities=nothing)
    stretch = measured(reference, columns(answers))
    evidence = Evidence(stretch, np.full(120, np.nan), np.full(120, np.inf), repeated=3, stray=2, ahead=1)

    (alarm,) = panel(reference, evidence, BUDGET, PROMISED).alarms

    assert (alarm.monitor, alarm.value) == ("data", 2 / 120)
    assert alarm.sentence == (
        "1 answers hold NaN or infinity; 3 rows stood twice in the journal and count once; "
        "2 labels belong to no answer that is here; 1 answers are dated later than now, so a clock is wrong, and "
        "they wait for their time."
    )


def test_windows_by_time_allow_the_labels_of_a_window_what_windows_of_answers_allow_them() -> None:
    at = np.concatenate([np.arange(0.0, 86_400, 432), np.arange(86_400.0, 90_000, 100)])  # 200 on the first day, then 36

    by_time, by_count = Budget(100, 1 / 30, 86_400.0), Budget(200, 1 / 30)

    assert by_time.longest(at) == by_count.longest(at) == 200
    assert by_time.longest(at[:0]) == 1


def test_a_monitor_that_crashes_is_told_and_the_others_are_looked_at(
    world: World, reference: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> Any:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(panels, "classes", crash)

    found = panel(reference, production(world, reference, world.images[600:800]), BUDGET, PROMISED)

    (broken,) = found.broken
    assert (broken.monitor, broken.sentence) == ("mix of classes", "It failed with ZeroDivisionError: by zero.")
    assert len(found.windows) == 2
    assert conclusion("digits 1.0", found, 200).endswith("Broken: mix of classes.")


def test_a_profile_of_another_format_is_told_and_the_labels_are_watched_all_the_same(
    world: World, reference: dict[str, Any]
) -> None:
    seen = production(world, reference, world.images[600:800], labels(world, 600, 800))

    found = panel(reference | {"format": 99}, seen, BUDGET, PROMISED)

    assert [each.monitor for each in found.broken] == ["drift", "no class", "mix of classes", "estimated accuracy"]
    assert all("format 99" in each.sentence for each in found.broken)
    assert {each.monitor for each in found.findings if not each.broken} >= {"errors", "realised accuracy"}


def test_a_profile_of_an_earlier_release_is_compared_as_far_as_it_goes(world: World) -> None:
    known = world.images[:500]
    old = profile(known, *world.model.answer(known))
    del old["powers"]

    found = panel(old, production(world, old, world.images[600:800]), BUDGET, PROMISED)

    assert found.broken == ()
    assert len(found.windows) == 2
    earlier = [each.monitor for each in found.findings if "earlier release" in each.sentence]
    assert earlier == ["no class", "mix of classes", "estimated accuracy"]


def test_windows_may_be_days_and_are_tested_once_they_have_ended(world: World, reference: dict[str, Any]) -> None:
    seen = production(world, reference, world.images[600:900])
    days = replace(seen, stretch=replace(seen.stretch, at=np.sort(np.random.default_rng(1).uniform(0, 4 * 86_400, 300))))

    found = panel(reference, days, Budget(100, 0.001, seconds=86_400.0), None)

    sizes = np.bincount((days.stretch.at // 86_400).astype(np.int64))
    assert [window.examples for window in found.windows] == sizes[:3].tolist()
    assert found.windows[1].start == sizes[0]
    assert found.alarms == found.broken == ()


def test_monitors_share_one_budget() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert BUDGET.of("drift") == pytest.approx(0.0008)
