"""From rows to a judged candidate: fit, score, judge against the champion, archive. Composes training and monitoring."""

import itertools
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from demlopment import archive, evaluation, training
from demlopment.archive import Archive
from demlopment.data import Lake
from demlopment.data.snapshots import licensed
from demlopment.errors import DataError, StoryError
from demlopment.home import Home
from demlopment.lifecycle import cards, ledger, policy, provenance, schooling, skew, warm
from demlopment.lifecycle.collect import Collected
from demlopment.lifecycle.history import History
from demlopment.lifecycle.modelcard import Judged, model_card
from demlopment.lifecycle.packing import pack
from demlopment.lifecycle.portrait import portrait
from demlopment.lifecycle.rollout import Rollout
from demlopment.lifecycle.story import Fit
from demlopment.records import Check, Examples, Scores, Snapshot, Verdict
from demlopment.settings import PLACES, Evaluation, Settings, Training
from demlopment.training import devices

MODEL = "digits"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted network with its scores on the test part."""

    version: str
    fitted: training.Fitted
    packed: Archive
    fit: Fit
    checks: tuple[Check, ...]  # what it was tested for, and what it was taught
    rules: Evaluation  # what it is held to
    collected: Collected  # what there was to learn from
    slices: Mapping[str, npt.NDArray[np.bool_]]  # of the test part, by name
    run: str  # of the tracker
    archive: Path  # where it stands in the model store once the gate has let it through

    @property
    def title(self) -> str:
        return self.fit.title

    @property
    def scores(self) -> Scores:
        return self.fit.scores


class Workshop:
    """Where candidates are made and judged: one home, one set of rules, one tracker, one history."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        now: Callable[[], float],
        team: training.Team = training.ALONE,
        turn: str = "",
    ) -> None:
        """`team` are the processes that fit together, of which this one leads; a `turn` has a verdict of a kind once."""
        self.home = home
        self.team = team
        self.turn = turn
        self.settings = settings
        self.now = now
        self.history = History(home.history)
        self.tracker = tracker_of(home, settings.training)
        self.fits: list[Fit] = []
        self.verdicts: list[Verdict] = []

    def develop(
        self,
        purpose: str,
        train: Examples,
        collected: Collected,
        progress: Callable[[int, int], None],
        *,
        epochs: int | None = None,
        rules: Evaluation | None = None,
        origin: Mapping[str, Any] | None = None,
        champion: Archive | None = None,
        version: str | None = None,
    ) -> Candidate:
        """Fit a network to `train`, calibrate and score it on the other parts, and track the run.

        The same fit that was killed goes on where it stood, until `judge` is done with it. `version` is the next one where none
        is given. `epochs` and `rules` replace the number in the recipe and
        what the candidate is held to; `origin` says where the recipe came from, and goes into the card. With `warm_start` it
        begins with the weights of `champion`. Raises DataError if that has other classes.
        """
        # The device by its name, so that the card says where a recipe with "auto" was followed.
        recipe = self.settings.training.model_copy(update={"device": devices.chosen(self.settings.training.device)})
        if epochs is not None:
            recipe = recipe.model_copy(update={"epochs": epochs})
        begin = warm.beginning(recipe, champion, collected.classes)
        version = version or self.next_version()
        title = f"{MODEL} {version}"
        # Before the fit: the code may be edited meanwhile.
        lineage = _lineage(collected.snapshot, recipe, len(train)) | warm.lineage(begin) | dict(origin or {})
        if self.team.size > 1:
            lineage[provenance.PROCESSES] = self.team.size
        done = itertools.count(1)
        fitted = training.fit(
            train,
            collected.split.validation,
            len(collected.classes),
            recipe,
            on_epoch=lambda _: progress(next(done), recipe.epochs),
            checkpoint=self.home.checkpoint,
            begin=None if begin is None else begin.network,
            team=self.team,
        )
        fit = portrait(title, purpose, fitted, train, collected, recipe)
        packed = pack(MODEL, version, fitted, collected.split, collected.classes, fit.scores, train, lineage)
        run = self._track(packed, fit, recipe.model_dump(mode="json", exclude=PLACES))
        self.fits.append(fit)
        held_to, least = rules or self.settings.evaluation, self.settings.gate.minimum_accuracy
        checks = schooling.every_check(packed, train, collected.split, collected.classes, held_to, least)
        found = evaluation.slices(collected.split.test, collected.classes)
        place = archive.place(self.home.models, packed.card)
        return Candidate(version, fitted, packed, fit, checks, held_to, collected, found, run, place)

    def take(self, collected: Collected) -> Collected:
        """Record what of a snapshot is not as expected. Raises DataError if the settings say to stop there."""
        if collected.unexpected:
            stop = self.settings.data.unexpected == "stop"
            verdict = policy.of_data(collected.snapshot, collected.reference, collected.unexpected, stop=stop)
            self.record(verdict)
            if stop:
                raise DataError(verdict.reason, "Correct its source, or the setting under data that expects something else.")
        return collected

    def judge(self, candidate: Candidate, champion: Scores | None) -> Verdict:
        """Put the candidate through the gate; one that is let through goes into the model store. Each gets a model card."""
        packed, scores, rules = candidate.packed, candidate.scores, self.settings.gate
        judged, checks = schooling.judged(packed, scores, champion, candidate.checks, candidate.slices, rules)
        verdict = self.record(judged)
        if verdict.decision == "promote":
            archive.write(self.home.models, candidate.packed)
        self._describe(candidate, checks, verdict)
        self.home.checkpoint.unlink(missing_ok=True)
        return verdict

    def bring_up(self, rollout: Rollout, path: Path) -> None:
        """As `skew.bring_up`, with the verdict in this history."""
        skew.bring_up(rollout, path, self.record)

    def require(self, verdict: Verdict) -> None:
        """Raise StoryError unless the gate let the candidate through: without it the story cannot go on."""
        if verdict.decision != "promote":
            raise StoryError(f"The gate refused {verdict.subject}: {verdict.reason}", "Train longer, or relax settings.gate.")

    def name(self, version: str, alias: Literal["champion", "challenger"]) -> None:
        """Give a version a name in the registry; the one that had it loses it."""
        self.tracker.alias(MODEL, alias, version)

    def record(self, verdict: Verdict) -> Verdict:
        """Write a verdict into the history, whoever reached it. Of a turn's verdict of a kind the first stands."""
        if self.turn:
            verdict = self.history.once(verdict, self.now(), f"{self.turn}/{verdict.kind}").verdict
        else:
            self.history.record(verdict, self.now())
        self.verdicts.append(verdict)
        return verdict

    def next_version(self) -> str:
        """One above every version that was ever judged, archived or promised to a turn here: versions are never used twice."""
        judged = [entry.verdict.subject for entry in self.history.entries()]
        running = ledger.read(self.home)
        judged += [] if running is None else [f"{MODEL} {running.version}"]
        stored = [path.stem.replace("-", " ") for path in self.home.models.glob("*.mar")]
        numbers = (re.fullmatch(rf"{MODEL} (\d+)\.\d+", title) for title in judged + stored)
        return f"{1 + max((int(number[1]) for number in numbers if number), default=0)}.0"

    def _describe(self, candidate: Candidate, checks: tuple[Check, ...], verdict: Verdict) -> None:
        collected = candidate.collected
        sources = licensed(Lake.of(self.home, self.settings.data), collected.snapshot)
        seconds, rules = candidate.fit.seconds, candidate.rules
        judged = Judged(candidate.packed, collected.split, sources, seconds, checks, rules, verdict)
        self.tracker.attach(candidate.run, cards.write(self.home, model_card(judged)))

    def _track(self, packed: Archive, fit: Fit, parameters: Mapping[str, Any]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = archive.write(Path(folder), packed)
            lineage = packed.card.lineage
            commit, edited = lineage["commit"], lineage["environment"]["edited"]
            run = self.tracker.record(fit.title, parameters, fit.curve, packed.card.scores, path, commit=commit, edited=edited)
        self.tracker.register(MODEL, packed.card.version, run)
        return run


def tracker_of(home: Home, settings: Training) -> training.MlflowTracker:
    """Where runs are recorded: the settings' address, or SQLite in the home."""
    return training.MlflowTracker(settings.tracking_uri or f"sqlite:///{home.tracking.resolve()}", home.artifacts)


def _lineage(snapshot: Snapshot, recipe: Training, examples: int) -> dict[str, Any]:
    """Where a network came from: enough to fit it again."""
    return {
        "snapshot": snapshot.name,
        "snapshot_version": snapshot.version,
        "digest": snapshot.digest,
        "salt": snapshot.salt,
        "recipe": recipe.model_dump(mode="json", exclude=PLACES),
        "examples": examples,  # the first of the training part
        "commit": provenance.commit(),
        "environment": provenance.environment(),
    }
