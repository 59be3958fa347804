"""A canary that is bad loses its traffic within a stated number of requests, and one that is good keeps it."""

from dataclasses import replace

import numpy as np
import pytest

from demlopment.archive import Answering
from demlopment.records import Arm, Canary, Feedback, Guardrails, Prediction, TrafficPlan, Treatment
from demlopment.serving.guardrails import Breach, Watch

CLASSES = tuple("0123456789")
RAILS = Guardrails()


class World:
    """Two arms that answer as they are told, and what was found out about the canary."""

    def __init__(
        self, rails: Guardrails = RAILS, processes: int = 2, classes: tuple[str, ...] = CLASSES, seed: int = 1
    ) -> None:
        canary = Canary((0.1,), 0.0, 0, rails)
        plan = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.1),), "s", canary=canary, number=7)
        answering = {"1.0": Answering(threshold=0.9), "2.0": Answering(threshold=0.9)} if classes else {}
        self.found: list[Breach] = []
        self.watch = Watch(plan, answering, classes, processes, self.found.append)
        self.rng = np.random.default_rng(seed)

    def both(self, label: int, control: int, *, confidence: float = 0.95, usual: float = 0.95, took: float = 1.0) -> None:
        """A picture of each arm."""
        self.watch.answer(answered("control", control, usual), 1.0)
        self.watch.answer(answered("treatment", label, confidence), took)

    @property
    def reason(self) -> str:
        (breach,) = self.found
        assert (breach.model, breach.number) == ("digits", 7)
        return breach.reason


def answered(arm: Arm, label: int, confidence: float = 0.95, request: str = "r") -> Prediction:
    rows = np.full(10, (1 - confidence) / 9, np.float32)
    rows[label] = confidence
    version = "2.0" if arm == "treatment" else "1.0"
    nothing = np.zeros(0, np.float32)
    return Prediction(request, 0.0, "digits", version, arm, "", None, str(label), rows, nothing, 1.0, "")


def test_one_that_always_fails_is_stopped_at_its_third_request() -> None:
    world = World()
    for _ in range(3):
        assert not world.found
        world.watch.fail()

    assert world.reason == "more than 2.0% of its requests failed, after 3 requests"


def test_one_that_fails_a_tenth_of_its_requests_is_stopped_within_a_few_hundred() -> None:
    needed = []
    for seed in range(50):
        world = World(seed=seed)
        while not world.found:
            if world.rng.random() < 0.1:
                world.watch.fail()
            else:
                world.watch.answer(answered("treatment", 1), 1.0)
        needed.append(world.watch.answered)

    assert np.median(needed) < 150
    assert max(needed) < 600


def test_one_that_is_slow_is_stopped() -> None:
    world = World()
    for _ in range(4):
        assert not world.found
        world.both(1, 1, took=20.0)

    assert world.reason.startswith("more than 10% of its answers took over 3 times the control's and 5 ms, after 4 ")


def test_one_that_reads_other_classes_is_stopped() -> None:
    world = World()
    for _ in range(200):
        digit = int(world.rng.integers(10))
        world.both(min(digit, 4), digit)  # never says 5 to 9

    assert world.reason.startswith("it says class 4 more often than the control, by over 10% of all answers")


def test_one_that_contradicts_the_control_is_stopped_though_its_classes_are_as_frequent() -> None:
    world = World()
    for number in range(7):
        world.watch.agree(answered("treatment", number), answered("control", number + 1))

    assert world.reason.startswith("the control reads over 10% of its pictures otherwise")


@pytest.mark.parametrize(
    ("confidence", "usual", "side"), [(0.5, 0.95, "more answers to a human"), (0.95, 0.5, "fewer answers to a human")]
)
def test_one_that_leaves_other_shares_to_a_human_is_stopped(confidence: float, usual: float, side: str) -> None:
    world = World()
    for _ in range(40):
        world.both(1, 1, confidence=confidence, usual=usual)

    assert side in world.reason


def test_one_that_is_too_sure_of_itself_is_stopped_by_the_labels_that_come_back() -> None:
    world = World()
    for number in range(100):
        told = answered("treatment", 1, 0.999, request=f"r{number}")
        world.watch.answer(told, 1.0)
        world.watch.learn(Feedback(f"r{number}", 0.0, "1" if number % 2 else "2"))
        world.watch.learn(Feedback("of somebody else", 0.0, "2"))

    assert world.reason.startswith("its confidence is over 10% above the share that is right")


def test_it_is_said_once() -> None:
    world = World()
    for _ in range(100):
        world.watch.fail()

    assert len(world.found) == 1


def test_a_handler_whose_classes_nobody_knows_is_watched_by_what_it_says() -> None:
    world = World(classes=())
    for _ in range(100):
        world.both(3, int(world.rng.integers(10)))

    assert world.reason.startswith("it says one label more often than the control")


def test_what_is_none_is_not_watched() -> None:
    nothing = dict.fromkeys(("errors", "slow", "classes", "abstained", "disagreement", "overconfidence"))
    world = World(replace(RAILS, **nothing))  # type: ignore[arg-type]
    for _ in range(100):
        world.watch.fail()
        world.both(1, 2, confidence=0.2, took=99.0)

    assert world.found == []


def test_one_that_keeps_every_guardrail_to_the_hair_is_rolled_back_no_more_often_than_alpha_says() -> None:
    """All at their limits, and far more often than the default allows: a bound that does not hold would show."""
    rails, broken = replace(RAILS, alpha=0.2), 0
    for seed in range(60):
        world = World(rails, processes=1, seed=seed)
        for _ in range(200):
            control = int(world.rng.integers(10))
            treatment = 0 if world.rng.random() < 0.1 else int(world.rng.integers(10))
            slow = 20.0 if world.rng.random() < rails.slow else 1.0  # type: ignore[operator]
            if world.rng.random() < rails.errors:  # type: ignore[operator]
                world.watch.fail()
            else:
                world.both(treatment, control, took=slow)
            world.watch.agree(answered("treatment", 1), answered("control", 1 + int(world.rng.random() < 0.1)))
        broken += bool(world.found)

    assert broken <= 60 * 0.2


def test_a_good_one_is_left_alone() -> None:
    world = World()
    for _ in range(1000):
        digit = int(world.rng.integers(10))
        world.both(digit if world.rng.random() < 0.95 else int(world.rng.integers(10)), digit, confidence=0.97)

    assert world.found == []
