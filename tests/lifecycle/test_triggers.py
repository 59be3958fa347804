"""A retrain is begun when something asks for it, it pays, and there is something to learn from; else it is said why not."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import SettingsError
from demlopment.intervals import wilson
from demlopment.lifecycle.compact import DAY_SECONDS as DAY
from demlopment.lifecycle.condition import Comparison, Condition, Gauge
from demlopment.lifecycle.history import Entry
from demlopment.lifecycle.past import Past, past
from demlopment.lifecycle.triggers import causes, decide
from demlopment.lifecycle.worth import Prices
from demlopment.records import Decision, Interval, Verdict
from demlopment.settings import Retraining, Settings, load
from tests.lifecycle.test_worth import CALM, gauge

RULES, PRICES, NOTHING = Retraining(), Prices.of(Settings.model_construct()), Past()
NOW = 100 * DAY
QUIET = replace(CALM, at=NOW, fitted=NOW - DAY, live=NOW - DAY, new_labels=500, alarms=(False,) * 10, realised=gauge(735, 750))
WORSE = replace(QUIET, realised=gauge(540, 600))


def decided(condition: Condition, before: Past = NOTHING, rules: Retraining = RULES, **options: Any) -> Verdict:
    return decide(condition, before, rules, PRICES, **options)


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"fitted": NOW - 30 * DAY}, "age"),
        ({"new_labels": 2000}, "new labels"),
        ({"alarms": (False, True, True)}, "drift"),
        ({"realised": gauge(90, 100)}, "realised accuracy"),
        ({"realised": None, "estimated": gauge(900, 1000)}, "estimated accuracy"),
    ],
)
def test_each_cause_stands_alone(changed: dict[str, Any], cause: str) -> None:
    assert causes(QUIET, RULES) == ()
    assert causes(replace(QUIET, **changed), RULES) == (cause,)


def test_one_window_alone_is_no_alarm_and_an_old_one_is_forgotten() -> None:
    alone = replace(QUIET, alarms=(False, False, True))
    old = replace(QUIET, alarms=(True, True, True, False, False))

    assert causes(alone, RULES) == causes(old, RULES) == ()
    assert causes(alone, Retraining(alarms=1)) == ("drift",)


def test_a_loss_that_chance_explains_and_one_that_is_too_small_are_no_cause() -> None:
    assert causes(replace(QUIET, realised=gauge(38, 40)), RULES) == ()
    assert causes(replace(QUIET, realised=gauge(96_700, 100_000), examined=gauge(97_300, 100_000)), RULES) == ()


def test_nothing_asks_and_nothing_is_begun() -> None:
    verdict = decided(QUIET)

    assert (verdict.kind, verdict.decision, verdict.subject) == ("retraining", "wait", "digits 1.0")
    assert verdict.reason == "Nothing asks for digits 1.0 to be fitted anew."


def test_a_loss_that_costs_more_than_a_retrain_begins_one_and_says_the_money() -> None:
    verdict = decided(WORSE)

    assert verdict.decision == "retrain"
    assert verdict.reason == (
        "Realised accuracy asks for a retrain; its labels say that 5.4 to 10.6 points of accuracy are lost, "
        "worth 2,240.00 in 7 days, and a retrain costs 20.00."
    )
    assert verdict.evidence["worth"] == pytest.approx(0.08 * 2000 * 7 * 2)


def test_where_a_retrain_costs_more_than_the_loss_nothing_is_begun() -> None:
    seldom = replace(WORSE, requests_per_day=1)

    verdict = decided(seldom)

    assert verdict.decision == "wait"
    assert verdict.reason.endswith("so it would not pay.")


def test_a_loss_that_nobody_knows_well_asks_for_labels_and_not_twice_a_day() -> None:
    unsure = replace(QUIET, alarms=(True,) * 3, realised=None, estimated=gauge(978, 1000))

    first = decided(unsure)
    again = decided(unsure, Past(asked=NOW - DAY / 2))
    tomorrow = decided(unsure, Past(asked=NOW - DAY))

    assert first.decision == tomorrow.decision == "ask for labels"
    assert "people should read 200 pictures, for 10.00, which knowing more is worth" in first.reason
    assert again.decision != "ask for labels"


def test_without_new_labels_there_is_nothing_to_learn_and_people_are_asked() -> None:
    alarmed = replace(WORSE, new_labels=10, alarms=(True,) * 3)

    assert decided(alarmed).decision == "ask for labels"
    assert decided(alarmed, Past(asked=NOW - 60)).decision == "wait"
    assert decided(replace(alarmed, requests_per_day=0.1)).decision == "wait"
    assert decided(replace(alarmed, realised=None, estimated=None)).decision == "ask for labels"
    assert decided(replace(alarmed, realised=None, estimated=None, new_labels=100)).decision == "retrain"


def test_what_is_due_is_done_unless_it_can_gain_nothing() -> None:
    due = replace(QUIET, fitted=NOW - 31 * DAY)
    certain = replace(due, examined=gauge(95_000, 100_000), realised=gauge(98_000, 100_000))

    assert decided(due).decision == "retrain"
    assert decided(certain).decision == "wait"


def test_a_predecessor_that_is_credibly_better_comes_back() -> None:
    better = Comparison(300, Interval(0.01, 0.05))
    found = decided(replace(WORSE, predecessor="digits 0.0", regression=better))

    assert (found.decision, found.subject, found.against) == ("roll back", "digits 1.0", "digits 0.0")
    assert "by 1.0 to 5.0 points" in found.reason
    for gone in (
        replace(WORSE, predecessor="", regression=better),
        replace(WORSE, predecessor="digits 0.0", regression=Comparison(300, Interval(-0.01, 0.05))),
    ):
        assert decided(gone).decision == "retrain"


def test_after_three_failures_nothing_is_begun_until_the_data_has_changed_or_by_hand() -> None:
    failed = Past(begun=NOW - 5 * DAY, labels=400, failures=3)
    more = replace(WORSE, new_labels=2400)

    verdict = decided(WORSE, failed)

    assert verdict.decision == "wait"
    assert "the last 3 retrains gave no champion" in verdict.reason
    assert decided(WORSE, replace(failed, failures=2)).decision == "retrain"
    assert decided(more, failed).decision == "retrain"
    assert decided(WORSE, failed, by_hand=True).decision == "retrain"


def test_a_clock_that_was_set_back_begins_nothing() -> None:
    verdict = decided(WORSE, Past(begun=NOW + 10))

    assert verdict.decision == "wait"
    assert "the clock stands before the last retrain" in verdict.reason
    assert decided(WORSE, Past(begun=NOW + 10), by_hand=True).decision == "retrain"


def test_a_clock_before_the_champions_first_day_is_said() -> None:
    late, ahead = replace(QUIET, live=NOW + 30), replace(QUIET, live=NOW + 2 * 3600)

    assert decided(late).reason == decided(QUIET).reason, "clocks of machines differ a little"
    assert "The clock stands 2.0 h before the champion became it" in decided(ahead).reason


def test_a_crashed_monitor_is_said_and_labels_that_nobody_counted_begin_nothing() -> None:
    verdict = decided(replace(WORSE, failed={"drift": "x"}))
    uncounted = decided(replace(WORSE, new_labels=None, failed={"new labels": "x"}))

    assert verdict.decision == "retrain"
    assert verdict.reason.endswith("Not heard, because they crashed: drift.")
    assert uncounted.decision == "wait"


def test_more_alarms_than_windows_are_refused() -> None:
    with pytest.raises(SettingsError, match="of 2 windows no 3 can raise an alarm"):
        load(retraining={"windows": 2, "alarms": 3})


def test_the_past_is_what_the_history_says() -> None:
    def entry(at: float, decision: Decision, kind: Any = "retraining", **evidence: Any) -> Entry:
        return Entry(1, at, Verdict(kind, decision, "digits 2.0", "", "", evidence))

    begun = entry(1.0, "retrain", condition={"new_labels": 70})
    failed = [entry(2.0, "refuse"), begun, entry(4.0, "keep"), entry(5.0, "ask for labels"), entry(6.0, "stop")]

    assert past([]) == Past()
    assert past([begun, *failed]) == Past(begun=1.0, labels=70, failures=3, asked=5.0)
    assert past([begun, *failed, entry(7.0, "promote")]).failures == 0
    assert past([begun, *failed, entry(7.0, "promote", "hand")]).failures == 0
    assert past([begun, *failed, entry(7.0, "promote", "gate"), entry(8.0, "refuse", "gate")]).failures == 3


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    def maybe() -> Gauge | None:
        answers = draw(st.integers(1, 2000))
        return draw(st.none() | st.just(gauge(draw(st.integers(0, answers)), answers)))

    low = draw(st.floats(-1, 1))
    compared = Comparison(draw(st.integers(0, 500)), Interval(low, low + draw(st.floats(0, 1))))
    return Condition(
        at=draw(st.floats(0, 1e9)),
        champion="digits 2.0",
        fitted=draw(st.floats(0, 1e9)),
        live=draw(st.floats(0, 1e9)),
        examined=Gauge(0.97, wilson(728, 750), 750),
        new_labels=draw(st.none() | st.integers(0, 10_000)),
        requests_per_day=draw(st.floats(0, 1e6)),
        alarms=tuple(draw(st.lists(st.booleans(), max_size=8))),
        estimated=maybe(),
        realised=maybe(),
        predecessor=draw(st.sampled_from(["", "digits 1.0"])),
        regression=draw(st.none() | st.just(compared)),
        failed=draw(st.dictionaries(st.sampled_from(["drift", "new labels"]), st.text(max_size=5))),
    )


PASTS = st.builds(Past, st.none() | st.floats(0, 1e9), st.integers(0, 10_000), st.integers(0, 5), st.none() | st.floats(0, 1e9))


@given(found=conditions(), before=PASTS, by_hand=st.booleans())
def test_every_answer_has_its_reasons_and_a_retrain_all_of_them(found: Condition, before: Past, *, by_hand: bool) -> None:
    verdict = decide(found, before, RULES, PRICES, by_hand=by_hand)

    assert json.loads(json.dumps(verdict.evidence))["past"] == asdict(before)
    assert verdict.reason.endswith(".")
    assert verdict.decision in ("retrain", "wait", "ask for labels", "roll back")
    if by_hand:
        assert verdict.decision == "retrain"
        return
    if verdict.decision == "retrain":
        assert causes(found, RULES)
        assert found.new_labels is not None
        assert found.new_labels >= RULES.least_labels
        assert before.begun is None or found.at - before.begun >= RULES.least_days * DAY
        assert before.failures < RULES.failures or found.new_labels - before.labels >= RULES.labels
    if verdict.decision == "ask for labels":
        assert before.asked is None or not 0 <= found.at - before.asked < RULES.least_days * DAY
    if verdict.decision == "roll back":
        assert found.regression is not None
        assert found.regression.interval.low > 0
        assert verdict.against == found.predecessor != ""


@given(found=conditions(), dearer=st.floats(1, 100))
def test_a_dearer_retrain_is_never_begun_where_a_cheaper_one_was_not_worth_it(found: Condition, dearer: float) -> None:
    cheap = decide(found, NOTHING, RULES, replace(PRICES, label=1e9))
    dear = decide(found, NOTHING, RULES, replace(PRICES, label=1e9, retrain=PRICES.retrain * dearer))

    assert not (dear.decision == "retrain" and cheap.decision != "retrain")


@given(found=conditions(), before=PASTS)
def test_the_same_condition_gets_the_same_answer(found: Condition, before: Past) -> None:
    assert decided(found, before) == decided(found, before)
