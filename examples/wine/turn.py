"""One turn of the loop on wines, from a CSV to the next champion: what a problem of one's own has to say for itself."""

from collections.abc import Callable

import numpy as np

from demlopment import row
from demlopment.data import tabular
from demlopment.home import Home
from demlopment.lifecycle import observe, policy, simulate
from demlopment.lifecycle.problem import Packed, Pinned, Problem
from demlopment.lifecycle.returns import pictured
from demlopment.lifecycle.rollout import Rollout, endpoint
from demlopment.lifecycle.simulate import Letter
from demlopment.records import Examples, Reading, TrafficPlan, Treatment
from demlopment.settings import Settings
from examples.wine import model, table
from examples.wine.table import CLASSES, COLUMNS

WINES, FEW = 4_000, 30  # of the table, and those that the opening champion has seen
BEFORE, AFTER = 900, 1_200  # requests before and after the press is changed
LABELLED, DELAY = 0.8, 40  # share of the requests whose label comes back, and after how many more in the mean

Tell = Callable[[str], None]


def cellar(home: Home, settings: Settings) -> Problem:
    """The problem of the wines in a home; all rules are those of the settings, but one."""
    home.open()
    rules = settings.evaluation.model_copy(update={"most_doubted_labels": table.DOUBTS})
    return Problem(home, settings.model_copy(update={"evaluation": rules}), "wine", CLASSES, COLUMNS)


def turn(problem: Problem, tell: Tell) -> Reading:
    """Every decision is in the problem's history; what the experiment said."""
    first = ingest(problem, tell)
    few = first.parts.train.where(np.arange(FEW))
    opening, challenger = candidate(problem, "1.0", first, few), candidate(problem, "2.0", first)
    problem.judge(opening, first)
    problem.judge(challenger, first, opening)
    with endpoint(problem.home, problem.settings.endpoint) as rollout:
        plan = TrafficPlan("wine", "1.0", (Treatment("2.0", 0.5),), salt="presses")
        for each in (opening, challenger):
            problem.bring_up(rollout, each)
        rollout.split(plan)
        traffic = serve(problem, rollout, *table.wines(BEFORE, seed=2), seed=2)
        reading = observe.reading(plan, traffic)
        said = problem.record(policy.of_experiment(reading, plan))
        winner = challenger if said.decision == "promote" else opening
        rollout.hand_over("wine", winner.version)
        values, labels = table.wines(AFTER, seed=3)
        winner = watch(problem, rollout, winner, serve(problem, rollout, table.another_press(values), labels, seed=3))
        rollout.hand_over("wine", winner.version)
    for verdict in problem.verdicts:
        tell(f"{verdict.kind} of {verdict.subject}: {verdict.decision}. {verdict.reason}")
    tell(f"wine {winner.version} answers every request")
    return reading


def ingest(problem: Problem, tell: Tell) -> Pinned:
    """The laboratory's file into the lake: sound wines once, the others into quarantine with every reason."""
    file = problem.home.root / "wines.csv"
    table.write(file, *table.wines(WINES, seed=1))
    added = problem.lake.add(tabular(file, COLUMNS, name="laboratory", licence="CC BY 4.0"))
    tell(f"{added.added} wines added, {added.rejected} in quarantine: {'; '.join(added.quarantined)}")
    return problem.pin("first")


def candidate(problem: Problem, version: str, pinned: Pinned, train: Examples | None = None) -> Packed:
    """A network that was fitted to the training part, or to less, in its archive."""
    train = pinned.parts.train if train is None else train
    return problem.pack(version, *model.fit(train, pinned.parts.validation), pinned, train)


def serve(problem: Problem, rollout: Rollout, values: row.Row, labels: table.Labels, seed: int) -> observe.Traffic:
    """Customers send wines over HTTP, and of most somebody says later what they were; what the journal holds of it."""
    rng, began = np.random.default_rng(seed), problem.now()
    delays = rng.geometric(1 / DELAY, len(values))
    letters = [
        Letter(f"customer {seed}.{place}", row.encode_json(each, COLUMNS), CLASSES[label], int(place + delay) if told else None)
        for place, (each, label, delay, told) in enumerate(
            zip(values, labels, delays, rng.random(len(values)) < LABELLED, strict=True)
        )
    ]
    simulate.send(letters, rollout.inference, "wine", headers=rollout.headers, progress=lambda _: None)
    return observe.journalled(problem.home, "wine", began)


def watch(problem: Problem, rollout: Rollout, winner: Packed, traffic: observe.Traffic) -> Packed:
    """After an alarm, learn from what came back as well: who answers from now on."""
    alike = observe.alike(problem.home, traffic, winner.model.card)
    windows = observe.drift(alike, winner.model, problem.settings.monitoring)
    if problem.record(policy.of_drift(windows, winner.model.card.title)).decision != "retrain":
        return winner
    problem.lake.add(pictured(traffic.predictions, traffic.truth))
    second = problem.pin("second")
    retrained = candidate(problem, "3.0", second)
    if not problem.judge(retrained, second, winner):
        return winner
    problem.bring_up(rollout, retrained)
    return retrained
