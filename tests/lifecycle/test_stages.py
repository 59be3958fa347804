"""A candidate goes from shadow to canary to split by evidence alone, waits where there is none, and stops where it harms."""

from dataclasses import replace

import pytest

from demlopment.errors import NotReadyError
from demlopment.lifecycle import stages
from demlopment.lifecycle.compact import DAY_SECONDS as DAY
from demlopment.lifecycle.judging import Judging
from demlopment.lifecycle.observe import Traffic
from demlopment.lifecycle.stages import MOST_RESUMED, Found, Pair
from demlopment.records import Arm, Feedback, Prediction, TrafficPlan, Treatment
from demlopment.serving import canaries
from demlopment.settings import Retraining
from tests.serving.test_journal import prediction

PAIR = Pair("digits", "1.0", "2.0", "turn-7")
RULES = Retraining(shadow_labels=200, split_labels=100)
PLAIN = Judging()


class MemoryFloor:
    """A floor whose traffic is given."""

    def __init__(self, plan: TrafficPlan | None = None, traffic: Traffic | None = None) -> None:
        self.current = plan
        self.given = traffic or Traffic((), (), {})
        self.number = 0 if plan is None else plan.number
        self.resumed = 0

    def plan(self) -> TrafficPlan | None:
        return self.current

    def split(self, plan: TrafficPlan, replaces: int) -> None:
        assert replaces == (0 if self.current is None else self.current.number)
        self.number += 1
        self.current = replace(canaries.begun(plan) if plan.canary else plan, number=self.number)

    def resume(self, number: int) -> None:
        assert self.current is not None
        assert number == self.current.number
        self.resumed += 1
        self.current = canaries.resumed(self.current)

    def traffic(self, since: float) -> Traffic:
        return self.given


def asked(count: int, version: str, arm: Arm, right: float, start: int = 0) -> list[Prediction]:
    """Answers of which that share is right, spread evenly."""
    return [
        prediction(f"r{number}", float(number))._replace(
            version=version, arm=arm, unit=f"u{number}", label="7" if (number * right) % 1 < right else "1"
        )
        for number in range(start, start + count)
    ]


def shadowed(count: int, told: float, shadow: float) -> Traffic:
    heard = asked(count, "1.0", "control", told)
    said = [Feedback(each.request_id, each.at, "7") for each in heard]
    return Traffic(heard, said, {each.request_id: "7" for each in heard}, asked(count, "2.0", "shadow", shadow))


def both(count: int, told: float, treated: float) -> Traffic:
    """As many answers of either arm, all labelled, in turn."""
    pairs = zip(asked(count, "1.0", "control", told), asked(count, "2.0", "treatment", treated, start=count), strict=True)
    mixed = [each._replace(at=float(at)) for at, each in enumerate(each for pair in pairs for each in pair)]
    said = [Feedback(each.request_id, each.at, "7") for each in mixed]
    return Traffic(mixed, said, {each.request_id: "7" for each in mixed})


def shadow(traffic: Traffic | None = None, now: float = 0.0, floor: MemoryFloor | None = None) -> Found:
    return stages.shadow(PAIR, floor or MemoryFloor(traffic=traffic), PLAIN, RULES, now)


def split(traffic: Traffic | None = None, now: float = 0.0, *, promising: bool = False) -> Found:
    return stages.split(PAIR, MemoryFloor(traffic=traffic), PLAIN, RULES, now, promising=promising)


def test_a_shadow_goes_on_when_it_is_better_or_enough_labels_say_nothing() -> None:
    waits, better, unknown = shadow(shadowed(50, 0.9, 0.9)), shadow(shadowed(150, 0.6, 1.0)), shadow(shadowed(200, 0.9, 0.9))

    assert (waits.next, waits.verdict) == ("wait", None)
    assert waits.sentence == "The shadow 2.0 waits for labels: 50 of 200 came back."
    assert (better.next, better.promising) == ("go", True)
    assert (unknown.next, unknown.promising) == ("go", False)
    assert better.verdict is not None
    assert (better.verdict.kind, better.verdict.decision) == ("experiment", "promote")


def test_a_shadow_that_is_worse_stops() -> None:
    found = shadow(shadowed(150, 1.0, 0.6))

    assert (found.next, found.ending) == ("stop", "keep")


@pytest.mark.parametrize("stage", ["shadow", "canary", "split"])
def test_without_evidence_patience_ends(stage: str) -> None:
    def at(now: float) -> Found:
        if stage == "canary":
            return stages.canary(PAIR, MemoryFloor(), RULES, now, 0)
        return shadow(now=now) if stage == "shadow" else split(now=now)

    before, after = at(13.9 * DAY), at(14 * DAY)

    assert before.next == "wait"
    assert (after.next, after.ending) == ("stop", "stop")
    assert after.sentence.startswith("After 14 days there is no evidence that would promote it.")


def test_a_canary_is_through_or_out_as_the_endpoint_says() -> None:
    floor = MemoryFloor()
    first = stages.canary(PAIR, floor, RULES, 0.0, 0)
    ramping = floor.plan()
    assert ramping is not None
    assert ramping.canary is not None
    over = canaries.rolled_back(ramping, "it was slow")
    for _ in ramping.canary.steps:
        ramping = canaries.advanced(ramping)

    through, out = (stages.canary(PAIR, MemoryFloor(each), RULES, 0.0, 0) for each in (ramping, over))

    assert (first.next, first.sentence) == ("wait", "The canary 2.0 is ramping with a share of 0.01.")
    assert through.next == "go"
    assert (out.next, out.ending) == ("stop", "refuse")
    assert out.sentence == "The canary 2.0 is rolled back, because it was slow."


def test_a_canary_that_a_restart_halted_goes_on_but_not_for_ever() -> None:
    floor = MemoryFloor()
    stages.canary(PAIR, floor, RULES, 0.0, 0)
    assert floor.current is not None
    floor.current = canaries.halted(floor.current, "the endpoint was restarted")
    again = stages.canary(PAIR, floor, RULES, 0.0, MOST_RESUMED - 1)
    floor.current = canaries.halted(floor.current, "the endpoint was restarted")
    often = stages.canary(PAIR, floor, RULES, 0.0, MOST_RESUMED)

    assert (again.next, again.resumed, floor.resumed) == ("wait", True, 1)
    assert (often.next, often.ending) == ("stop", "refuse")


def test_a_split_promotes_by_its_own_evidence_or_by_the_shadows_once_it_says_nothing_against_it() -> None:
    alone, unsure = split(both(150, 0.5, 1.0)), both(60, 0.9, 0.92)
    waits, shown = split(unsure), split(unsure, promising=True)
    few = split(both(40, 0.9, 0.92), promising=True)
    worse = split(both(150, 1.0, 0.5), promising=True)

    assert (alone.next, alone.promising) == ("go", True)
    assert (waits.next, few.next) == ("wait", "wait")
    assert shown.next == "go"
    assert shown.sentence.endswith("As a shadow it was certainly better, and 120 labels of the split do not say otherwise.")
    assert (worse.next, worse.ending) == ("stop", "keep")


def test_a_split_whose_arms_are_not_as_planned_promotes_nobody() -> None:
    uneven = both(150, 0.9, 0.92)
    kept = [each for each in uneven.predictions if each.arm == "control" or int(each.at) % 3 == 0]

    found = split(replace(uneven, predictions=kept), promising=True)

    assert found.next == "wait"
    assert "The reading is void" in found.sentence


def test_somebody_elses_plan_is_left_alone() -> None:
    theirs = TrafficPlan("digits", "1.0", (Treatment("3.0", 0.1),), "another", number=4)

    with pytest.raises(NotReadyError, match=r"^Plan 4 of model digits is somebody else's, .* own\. End it, or wait"):
        shadow(floor=MemoryFloor(theirs))


def test_a_stage_finds_its_plan_again() -> None:
    floor = MemoryFloor()
    for _ in range(2):
        shadow(floor=floor)
    assert floor.number == 1
    stages.canary(PAIR, floor, RULES, 0.0, 0)
    stages.canary(PAIR, floor, RULES, 0.0, 0)
    assert floor.number == 2
