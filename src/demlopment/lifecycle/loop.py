"""START HERE: one turn of the loop as a story, from raw digits to the next champion.

Composes the rooms and tells what they did; knows neither how a network is fitted nor how a request is answered.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from demlopment.data import Lake
from demlopment.data.exhibits import exhibits
from demlopment.evaluation import evaluate_archive
from demlopment.home import Home
from demlopment.lifecycle import observe, policy, simulate
from demlopment.lifecycle.collect import Collected, collect, collect_returned
from demlopment.lifecycle.judging import judging
from demlopment.lifecycle.narrator import Narrator, Telling
from demlopment.lifecycle.observe import Traffic
from demlopment.lifecycle.rollout import Rollout, endpoint
from demlopment.lifecycle.story import Story
from demlopment.lifecycle.workshop import MODEL, Candidate, Workshop
from demlopment.records import DriftReport, Reading, TrafficPlan, Treatment
from demlopment.settings import Settings, Training

OPENING_ROWS = 150  # what the story's first champion has seen: enough to be useful, too little to be good
SHARE = 0.5  # of the users meet the challenger: equal arms decide soonest
OPENING_EPOCHS, WORSE_EPOCHS = 15, 4  # brief: neither is meant to be good


@dataclass(frozen=True, eq=False)
class Production:
    """One stretch of simulated production: what was asked and answered, and what the journal holds of it."""

    plan: TrafficPlan
    answers: list[simulate.Answer]
    change_at: int  # index of the first request written with another pen
    traffic: Traffic

    @property
    def unjournalled(self) -> int:
        """Answers that a client has and the journal has not."""
        journalled = {prediction.request_id for prediction in self.traffic.predictions}
        return sum(answer.request_id not in journalled for answer in self.answers)

    @property
    def torn_units(self) -> int:
        """Users who met more than one arm."""
        met = {(prediction.unit, prediction.arm) for prediction in self.traffic.predictions}
        return len(met) - len({unit for unit, _ in met})


def demonstrate(
    home: Home,
    settings: Settings,
    narrator: Narrator,
    world: simulate.World = simulate.DEFAULT,
    now: Callable[[], float] = time.time,
) -> Story:
    """Collect, learn, judge, serve, watch, and learn again from what came back; every decision is a recorded verdict.

    Raises whatever stopped a step, after the endpoint it had started is gone. What was written before stays valid, and
    the next turn starts from it.
    """
    with home.locked("turn"):
        with home.locked("serve"):
            pass  # refuse an endpoint that runs on this home now, not when the networks are fitted
        started = now()
        telling, lake, workshop = Telling(narrator, now), Lake.of(home, settings.data), Workshop(home, settings, now)

        first = ingest(workshop, lake, telling)
        opening = open_with_a_weak_champion(workshop, first, telling)
        refuse_a_worse_candidate(workshop, first, opening, telling)
        challenger = find_a_challenger(workshop, first, opening, telling)
        with endpoint(home, settings.endpoint) as rollout:
            production = serve_both(workshop, rollout, opening, challenger, first, world, telling)
            reading = read_the_experiment(workshop, production, challenger, telling)
            winner = challenger if reading.decision == "promote" else opening
            windows = watch(workshop, production, winner, telling)
            drifted = workshop.verdicts[-1].decision == "retrain"
            second = ingest_what_came_back(workshop, lake, production, first, started, telling)
            champion = retrain(workshop, second, winner, telling) if drifted else winner
            hand_over(workshop, rollout, champion, telling)
        return Story(
            started=started,
            seconds=now() - started,
            classes=first.classes,
            snapshots=(first.snapshot, second.snapshot),
            parts={part: len(getattr(first.split, part)) for part in ("train", "validation", "test", "stream")},
            ingests=(first.ingested, second.ingested),
            fits=tuple(workshop.fits),
            verdicts=tuple(workshop.verdicts),
            samples=observe.samples(production.traffic, winner.version),
            drift_samples=observe.samples(production.traffic, winner.version, since=production.change_at),
            reading=reading,
            windows=windows,
            window_accuracy=observe.window_accuracy(production.traffic, settings.monitoring),
            change_at=production.change_at,
            requests=len(production.answers),
            labelled=len(production.traffic.truth),
            unjournalled=production.unjournalled,
            torn_units=production.torn_units,
            champion=champion.title,
            report_steps=tuple(telling.told),
            quarantine=exhibits(lake.bad),
        )


def shortened(recipe: Training) -> int:
    """The epochs of the recipe, but no more than a demonstration has time for."""
    return min(recipe.epochs, recipe.demo_epochs)


def ingest(workshop: Workshop, lake: Lake, telling: Telling) -> Collected:
    with telling.step("Ingest and split") as step:
        collected = workshop.take(collect(lake, workshop.settings.data))
        ingested, split = collected.ingested, collected.split
        step.sentence = (
            f"{ingested.added} digits added, {ingested.known} known, {ingested.rejected} in quarantine "
            f"({ingested.planted} planted); {len(split.train)} to train, {len(split.validation)} to validate, "
            f"{len(split.test)} to test, {len(split.stream)} for production{warned(collected)}"
        )
    return collected


def warned(collected: Collected) -> str:
    """What is not as the settings expect it and how many labels are in question, as the end of a sentence, or nothing."""
    waiting = f"; {collected.waiting} labels wait for `demlopment data review`" if collected.waiting else ""
    return "".join(f"; warning: {each}" for each in collected.unexpected) + waiting


def open_with_a_weak_champion(workshop: Workshop, first: Collected, telling: Telling) -> Candidate:
    with telling.step("Fit an opening champion to few digits") as step:
        few = first.split.train.where(np.arange(min(OPENING_ROWS, len(first.split.train))))
        # It is there to be beaten: it misses some of the named cases, reads one class badly, and doubts labels that are right.
        held_to = {"behaviour": "tell", "least_slice": 0.0, "most_doubted_labels": 1.0}
        lenient = workshop.settings.evaluation.model_copy(update=held_to)
        purpose = "The story's first champion, fitted to few digits"
        opening = workshop.develop(purpose, few, first, step.progress, epochs=OPENING_EPOCHS, rules=lenient)
        verdict = workshop.judge(opening, None)
        workshop.require(verdict)
        step.sentence = verdict.reason
    return opening


def refuse_a_worse_candidate(workshop: Workshop, first: Collected, champion: Candidate, telling: Telling) -> None:
    with telling.step("Fit a worse candidate and refuse it") as step:
        train = first.split.train
        inverted = replace(train, images=255 - train.images)
        purpose = "A broken pipeline on purpose, fitted to inverted pixels"
        worse = workshop.develop(purpose, inverted, first, step.progress, epochs=WORSE_EPOCHS)
        step.sentence = workshop.judge(worse, champion.scores).reason


def find_a_challenger(workshop: Workshop, first: Collected, champion: Candidate, telling: Telling) -> Candidate:
    with telling.step("Fit a better candidate and accept it") as step:
        purpose = "The recipe on all training digits"
        epochs = shortened(workshop.settings.training)
        train = first.split.train
        challenger = workshop.develop(purpose, train, first, step.progress, epochs=epochs, champion=champion.packed)
        verdict = workshop.judge(challenger, champion.scores)
        workshop.require(verdict)
        workshop.name(challenger.version, "challenger")
        step.sentence = verdict.reason
    return challenger


def serve_both(
    workshop: Workshop,
    rollout: Rollout,
    champion: Candidate,
    challenger: Candidate,
    first: Collected,
    world: simulate.World,
    telling: Telling,
) -> Production:
    with telling.step("Serve both to simulated users") as step:
        workshop.bring_up(rollout, champion.archive)
        workshop.bring_up(rollout, challenger.archive)
        plan = TrafficPlan(MODEL, champion.version, (Treatment(challenger.version, SHARE),), salt=challenger.title)
        rollout.split(plan)
        letters, change_at = simulate.letters(first.split.stream, first.classes, world)
        began = workshop.now()
        answers = simulate.send(
            letters,
            rollout.inference,
            MODEL,
            headers=rollout.headers,
            progress=lambda done: step.progress(done, len(letters)),
        )
        traffic = observe.journalled(workshop.home, MODEL, began)
        step.sentence = (
            f"{len(answers)} requests answered and journalled, {len(traffic.truth)} labels came back, "
            f"{world.users} users split between {champion.title} and {challenger.title}"
        )
    return Production(plan, answers, change_at, traffic)


def read_the_experiment(workshop: Workshop, production: Production, challenger: Candidate, telling: Telling) -> Reading:
    with telling.step("Read the experiment") as step:
        terms = judging(workshop.home, workshop.settings, MODEL)
        reading = observe.reading(production.plan, production.traffic, judging=terms)
        workshop.record(policy.of_experiment(reading, production.plan))
        if reading.decision == "promote":
            workshop.name(challenger.version, "champion")
        step.sentence = reading.sentence
    return reading


def watch(workshop: Workshop, production: Production, champion: Candidate, telling: Telling) -> tuple[DriftReport, ...]:
    with telling.step("Watch for drift") as step:
        rules = workshop.settings.monitoring
        windows = observe.drift(production.traffic, champion.packed, rules)
        step.sentence = workshop.record(policy.of_drift(windows, champion.title)).reason
    return windows


def ingest_what_came_back(
    workshop: Workshop, lake: Lake, production: Production, first: Collected, started: float, telling: Telling
) -> Collected:
    with telling.step("Ingest what came back from production") as step:
        rules, name = workshop.settings.data, f"returned-{started:.0f}"
        second = workshop.take(collect_returned(lake, rules, production.traffic, name, first.snapshot.name))
        ingested = second.ingested
        step.sentence = (
            f"{ingested.added} labelled pictures added, {ingested.known} known; "
            f"{len(second.split.train)} digits to train now, {len(second.split.test)} to test{warned(second)}"
        )
    return second


def retrain(workshop: Workshop, second: Collected, champion: Candidate, telling: Telling) -> Candidate:
    with telling.step("Retrain and judge again") as step:
        purpose = "The recipe on the old digits and those that came back"
        epochs = shortened(workshop.settings.training)
        train = second.split.train
        retrained = workshop.develop(purpose, train, second, step.progress, epochs=epochs, champion=champion.packed)
        verdict = workshop.judge(retrained, evaluate_archive(champion.packed, second.split.test, second.classes))
        step.sentence = verdict.reason
    return retrained if verdict.decision == "promote" else champion


def hand_over(workshop: Workshop, rollout: Rollout, champion: Candidate, telling: Telling) -> None:
    with telling.step("Hand over to the champion") as step:
        workshop.bring_up(rollout, champion.archive)
        rollout.hand_over(MODEL, champion.version)
        workshop.name(champion.version, "champion")
        step.sentence = f"{champion.title} answers every request"
