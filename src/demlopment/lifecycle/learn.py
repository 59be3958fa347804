"""The loop by hand: fit a candidate to everything in the lake, and name a champion. No simulated production here."""

import time
from collections.abc import Callable

from demlopment import archive
from demlopment.data import Lake
from demlopment.errors import ArchiveError
from demlopment.evaluation import evaluate_archive
from demlopment.home import Home
from demlopment.lifecycle import warm
from demlopment.lifecycle.collect import everything
from demlopment.lifecycle.narrator import Narrator, Telling
from demlopment.lifecycle.rollout import reached
from demlopment.lifecycle.tune import recommended
from demlopment.lifecycle.workshop import MODEL, Workshop
from demlopment.records import Verdict
from demlopment.settings import Settings
from demlopment.training import ALONE, Team


def learn(
    home: Home,
    settings: Settings,
    narrator: Narrator,
    now: Callable[[], float] = time.time,
    study: str | None = None,
    team: Team = ALONE,
) -> Verdict:
    """Fit the recipe to all training rows of the lake and judge the result against the champion, if there is one.

    A candidate that the gate lets through is loaded by the endpoint: as champion if it is the first, else as challenger,
    which answers nobody until a traffic plan or `crown` says so. `study` is a search whose best recipe is taken, and `team`
    are the processes that fit together: this one leads, and all others `join`.
    """
    settings, origin = recommended(home, settings, study)
    with home.locked("turn"):
        telling, workshop = Telling(narrator, now), Workshop(home, settings, now, team)
        with telling.step("Fit to everything in the lake and judge") as step:
            version = workshop.tracker.champion(MODEL)
            champion = None if version is None else archive.read(archive.named(home.models, MODEL, version))
            reference = "" if champion is None else str(champion.card.lineage.get("snapshot", ""))
            lake = Lake.of(home, settings.data)
            collected = workshop.take(everything(lake, settings.data, f"train-{now():.0f}", reference))
            scores = None if champion is None else evaluate_archive(champion, collected.split.test, collected.classes)
            purpose = "The full recipe on everything in the lake"
            candidate = workshop.develop(
                purpose, collected.split.train, collected, step.progress, origin=origin, champion=champion
            )
            verdict = workshop.judge(candidate, scores)
            step.sentence = f"The recipe is trial {origin['trial']} of the study {study}. " if origin else ""
            if champion is not None and warm.BEGUN in candidate.packed.card.lineage:
                step.sentence += f"It began with the weights of {champion.card.title}. "
            step.sentence += " ".join((verdict.reason, *(f"Warning: {each}." for each in collected.unexpected)))
            if collected.waiting:
                step.sentence += f" {collected.waiting} labels wait for `demlopment data review`."
        if verdict.decision == "promote":
            with telling.step("Load it into the endpoint") as step, reached(home, settings.endpoint) as rollout:
                workshop.bring_up(rollout, candidate.archive)
                workshop.name(candidate.version, "champion" if champion is None else "challenger")
                step.sentence = f"{candidate.title} is the {'champion' if champion is None else 'challenger'}"
        return verdict


def crown(home: Home, settings: Settings, version: str, now: Callable[[], float] = time.time) -> None:
    """Send every request to one version of the model store and name it champion; a split ends, other versions are let go.

    Raises ArchiveError if there is no such version, or its archive is not whole.
    """
    with home.locked("turn"):
        path = archive.named(home.models, MODEL, version)
        if archive.read(path).card.version != version:
            raise ArchiveError(f"{path} is not version {version}.", "Put the right archive back.")
        workshop = Workshop(home, settings, now)
        former = workshop.tracker.champion(MODEL)
        with reached(home, settings.endpoint) as rollout:
            workshop.bring_up(rollout, path)
            workshop.name(version, "champion")  # before the switch, because a version that nobody registered stops here
            rollout.hand_over(MODEL, version)
        reason = f"{MODEL} {version} was named champion by hand."
        against = "" if former is None else f"{MODEL} {former}"
        workshop.record(Verdict("hand", "promote", f"{MODEL} {version}", against, reason, {"by": "hand"}))
