"""The steps of a turn, each a function from the turn before it to the turn after it. Any of them may be taken again.

What a step leaves behind has a name that follows from the turn: a snapshot, a version, a verdict, a traffic plan. Whoever comes
again finds it there. Decides nothing: that do triggers.py, the gate and stages.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from demlopment import archive
from demlopment.archive import Archive
from demlopment.data import Lake
from demlopment.errors import NotReadyError
from demlopment.evaluation import evaluate_archive
from demlopment.home import Home
from demlopment.lifecycle import observe, stages
from demlopment.lifecycle.collect import Collected, collect_returned, pinned
from demlopment.lifecycle.condition import reign
from demlopment.lifecycle.floor import Live, live
from demlopment.lifecycle.judging import judging
from demlopment.lifecycle.ledger import Step, Turn
from demlopment.lifecycle.narrator import Step as Told
from demlopment.lifecycle.outlook import RECENT_SECONDS
from demlopment.lifecycle.stages import Found, Pair
from demlopment.lifecycle.workshop import MODEL, Workshop
from demlopment.records import Decision, Verdict
from demlopment.settings import Settings


@dataclass(frozen=True, eq=False)
class Bench:
    """What the steps of one turn work with."""

    home: Home
    settings: Settings
    workshop: Workshop
    lake: Lake
    told: Told  # where a step says what it did
    now: Callable[[], float]

    def stored(self, version: str) -> Path:
        """Where the archive of a version is, or would be."""
        return archive.named(self.home.models, MODEL, version)

    def record(self, turn: Turn, step: str, verdict: Verdict) -> None:
        """A verdict of this turn, once."""
        self.workshop.history.once(verdict, self.now(), f"{turn.name}/{step}")


def decide(bench: Bench, turn: Turn) -> Turn:
    """Write down why the turn was begun."""
    verdict = Verdict(**turn.decided)
    bench.workshop.history.once(verdict, turn.begun, f"{turn.name}/decide")
    bench.told.sentence = verdict.reason
    return replace(turn, step="roll back" if verdict.decision == "roll back" else "snapshot")


def snapshot(bench: Bench, turn: Turn) -> Turn:
    """Ingest the pictures whose labels came back, and pin all that the lake holds."""
    if turn.name in bench.lake.snapshots():
        collected = _collected(bench, turn)
    else:
        since = reign(bench.home, bench.settings).fitted - RECENT_SECONDS
        traffic = observe.journalled(bench.home, MODEL, min(since, turn.begun))
        reference = _reference(archive.read(bench.stored(turn.champion)))
        collected = collect_returned(bench.lake, bench.settings.data, traffic, turn.name, reference)
    bench.workshop.take(collected)
    parts = collected.split
    bench.told.sentence = (
        f"{collected.ingested.added} labelled pictures added; {len(parts.train)} rows to train, {len(parts.test)} to test"
    )
    return replace(turn, step="fit", version=turn.version or bench.workshop.next_version())


def fit(bench: Bench, turn: Turn) -> Turn:
    """Fit a candidate, warm or cold as the settings say, and put it through the gate."""
    judged = bench.workshop.history.named(f"{turn.name}/gate")
    verdict = None if judged is None else judged.verdict
    if verdict is None or (verdict.decision == "promote" and not bench.stored(turn.version).exists()):
        champion, collected = archive.read(bench.stored(turn.champion)), _collected(bench, turn)
        purpose, rows = "The recipe on all digits and what came back from production", collected.split.train
        candidate = bench.workshop.develop(
            purpose, rows, collected, bench.told.progress, champion=champion, version=turn.version
        )
        scores = evaluate_archive(champion, collected.split.test, collected.classes)
        verdict = bench.workshop.judge(candidate, scores)
    bench.told.sentence = verdict.reason
    return replace(turn, step="load") if verdict.decision == "promote" else stopped(turn, "refuse", verdict.reason)


def load(bench: Bench, turn: Turn) -> Turn:
    """Bring the candidate into the endpoint, which answers nobody with it yet."""
    with live(bench.home, MODEL) as floor:
        refused = _brought_up(bench, turn, floor)
    if refused:
        return stopped(turn, "refuse", refused)
    bench.workshop.name(turn.version, "challenger")
    bench.told.sentence = f"{MODEL} {turn.version} is loaded, and answers as it did when it was judged"
    return replace(turn, step="shadow")


def shadow(bench: Bench, turn: Turn) -> Turn:
    """Have the candidate asked as well, until enough labels came back."""
    terms = judging(bench.home, bench.settings, MODEL)
    with live(bench.home, MODEL) as floor:
        found = stages.shadow(pair(turn), floor, terms, bench.settings.retraining, bench.now())
    return _after(bench, turn, found, "canary")


def canary(bench: Bench, turn: Turn) -> Turn:
    """Let the candidate answer few, then more."""
    with live(bench.home, MODEL) as floor:
        found = stages.canary(pair(turn), floor, bench.settings.retraining, bench.now(), turn.resumed)
    return _after(bench, turn, found, "split")


def split(bench: Bench, turn: Turn) -> Turn:
    """Let the candidate answer its share, until it is known who is right more often."""
    terms, rules = judging(bench.home, bench.settings, MODEL), bench.settings.retraining
    with live(bench.home, MODEL) as floor:
        found = stages.split(pair(turn), floor, terms, rules, bench.now(), promising=turn.promising)
    return _after(bench, turn, found, "crown")


def crown(bench: Bench, turn: Turn) -> Turn | None:
    """Send every request to the candidate, or to the predecessor that comes back, and name it champion. The turn is over."""
    with live(bench.home, MODEL) as floor:
        refused = _brought_up(bench, turn, floor)
        if refused:
            return stopped(turn, "refuse", refused)
        bench.workshop.name(turn.version, "champion")
        floor.rollout.hand_over(MODEL, turn.version)
    titles, because = (f"{MODEL} {turn.version}", f"{MODEL} {turn.champion}"), turn.because or Verdict(**turn.decided).reason
    reason = f"{titles[0]} is the champion after {titles[1]}. {because}"
    bench.record(turn, "end", Verdict("retraining", "promote", *titles, reason, {"begun": turn.begun}))
    bench.told.sentence = f"{titles[0]} answers every request"
    return None


def clear(bench: Bench, turn: Turn) -> None:
    """Take the candidate's traffic away; the champion goes on answering. The turn is over."""
    registered = observe.registered(bench.home, MODEL)
    if registered is not None and turn.version in registered.versions:
        with live(bench.home, MODEL) as floor:
            plan = floor.plan()
            if plan is None or plan.salt == turn.name:
                floor.rollout.withdraw(MODEL, turn.version)
    champion = f"{MODEL} {turn.champion}"
    subject, against = (f"{MODEL} {turn.version}", champion) if turn.version else (champion, "")
    reason = f"{champion} stays the champion. {turn.because}"
    bench.record(turn, "end", Verdict("retraining", turn.ending, subject, against, reason, {"begun": turn.begun}))
    bench.told.sentence = reason


def roll_back(bench: Bench, turn: Turn) -> Turn:
    """Take the predecessor for the candidate: it has shown its worth before."""
    back = str(turn.decided["against"]).rpartition(" ")[2]
    bench.told.sentence = f"{MODEL} {back} comes back"
    return replace(turn, step="crown", version=back)


STEPS: Mapping[Step, tuple[str, Callable[[Bench, Turn], Turn | None]]] = {
    "decide": ("Begin a turn", decide),
    "snapshot": ("Ingest what came back and pin a snapshot", snapshot),
    "fit": ("Fit a candidate and judge it", fit),
    "load": ("Load it into the endpoint", load),
    "shadow": ("Ask it as a shadow", shadow),
    "canary": ("Let it answer few", canary),
    "split": ("Let it answer its share", split),
    "crown": ("Hand over to the new champion", crown),
    "clear": ("Leave everything to the champion", clear),
    "roll back": ("Bring the predecessor back", roll_back),
}


def stopped(turn: Turn, ending: Decision, because: str) -> Turn:
    """The turn, that ends without a new champion."""
    return replace(turn, step="clear", ending=ending, because=because)


def pair(turn: Turn) -> Pair:
    """Who is compared in its traffic plans."""
    return Pair(MODEL, turn.champion, turn.version, turn.name)


def _after(bench: Bench, turn: Turn, found: Found, following: Step) -> Turn:
    bench.told.sentence = found.sentence
    if found.next == "wait":
        return replace(turn, resumed=turn.resumed + found.resumed)
    if found.verdict is not None:
        bench.record(turn, turn.step, found.verdict)
    if found.next == "stop":
        return stopped(turn, found.ending, found.sentence)
    because = found.sentence if following == "crown" else turn.because
    return replace(turn, step=following, promising=turn.promising or found.promising, because=because)


def _brought_up(bench: Bench, turn: Turn, floor: Live) -> str:
    """Why the endpoint must not answer with that version, or nothing. Raises NotReadyError if it could not be asked."""
    try:
        bench.workshop.bring_up(floor.rollout, bench.stored(turn.version))
    except NotReadyError:
        refusals = [each.reason for each in bench.workshop.verdicts if (each.kind, each.decision) == ("serving", "refuse")]
        if not refusals:
            raise
        return refusals[-1]
    return ""


def _collected(bench: Bench, turn: Turn) -> Collected:
    reference = _reference(archive.read(bench.stored(turn.champion)))
    known = reference if reference in bench.lake.snapshots() else ""
    return pinned(bench.lake, bench.settings.data, bench.lake.named(turn.name), known)


def _reference(champion: Archive) -> str:
    """The snapshot that the champion learned from."""
    return str(champion.card.lineage.get("snapshot", ""))
