"""One turn of the loop, unattended: from what asks for a retrain to a new champion, or to the old one that stays.

Goes as far as can be gone now and returns: where traffic or labels have to come first, the next call goes on. Killed anywhere,
it is simply called again. Composes the condition, the triggers and the steps; decides nothing itself.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from demlopment.data import Lake
from demlopment.errors import HomeError, NotReadyError
from demlopment.home import Home
from demlopment.lifecycle import ledger
from demlopment.lifecycle.condition import gather
from demlopment.lifecycle.history import Entry, History
from demlopment.lifecycle.ledger import Step, Turn
from demlopment.lifecycle.narrator import Narrator, Telling
from demlopment.lifecycle.past import past
from demlopment.lifecycle.steps import STEPS, Bench, stopped
from demlopment.lifecycle.triggers import decide
from demlopment.lifecycle.workshop import MODEL, Workshop
from demlopment.lifecycle.worth import Prices
from demlopment.records import Verdict
from demlopment.settings import Settings

BOUND: frozenset[Step] = frozenset({"decide", "crown", "clear"})  # steps that have to be done, whoever is champion by then


@dataclass(frozen=True)
class Standing:
    """Where a home stands with its turn."""

    step: Step | None  # that comes next, None where no turn runs
    sentence: str
    waits: bool = False  # whether traffic or labels have to come before the step can be done
    failed: bool = False  # whether the turn was given up after failures


def turn(
    home: Home, settings: Settings, narrator: Narrator, now: Callable[[], float] = time.time, *, by_hand: bool = False
) -> Standing:
    """Go on with the turn that is running, or see whether to begin one, which `by_hand` does whatever else is known.

    Raises HomeError if a turn runs in another process; DataError where nobody is champion; NotReadyError if the endpoint is
    needed and does not run; and whatever stopped a step, which is tried again by the next call, three times in all.
    """
    with home.locked("turn"):
        if ledger.read(home) is None:
            verdict = begin(home, settings, now(), by_hand=by_hand)
            if ledger.read(home) is None:
                return Standing(None, verdict.reason)
        while True:
            standing = proceed(home, settings, narrator, now)
            if standing.waits or standing.step is None:
                return standing


def look(home: Home, settings: Settings, now: float, *, by_hand: bool = False) -> Verdict:
    """What is decided now; nothing is written. Raises DataError where nobody is champion."""
    before = past(History(home.history).entries())
    return decide(gather(home, settings, now), before, settings.retraining, Prices.of(settings), by_hand=by_hand)


def begin(home: Home, settings: Settings, now: float, *, by_hand: bool = False) -> Verdict:
    """See whether there is something to do, and note a turn if there is; what to wait for is recorded when it changes.

    Raises HomeError where a turn runs already, DataError where nobody is champion.
    """
    running = ledger.read(home)
    if running is not None:
        raise HomeError(
            f"{running.name} of {home.root} is running, and two turns cannot.", "Go on with it: demlopment retrain."
        )
    history, verdict = History(home.history), look(home, settings, now, by_hand=by_hand)
    entries = history.entries()
    if verdict.decision in ("retrain", "roll back"):
        name, champion = f"turn-{len(entries) + 1}", verdict.subject.rpartition(" ")[2]
        ledger.write(home, Turn(name, now, champion, "decide", asdict(verdict)))
    elif verdict.decision != "wait" or not _said(entries, verdict):
        history.record(verdict, now)
    return verdict


def proceed(home: Home, settings: Settings, narrator: Narrator, now: Callable[[], float] = time.time) -> Standing:
    """Take the next step of the turn that is running. Raises as `turn`."""
    current = ledger.read(home)
    if current is None:
        return standing(home)
    workshop, telling = Workshop(home, settings, now, turn=current.name), Telling(narrator, now)
    current = _checked(current, workshop, settings.retraining.failures)
    ledger.write(home, replace(current, attempts=current.attempts + 1, error="its process was killed"))
    title, take = STEPS[current.step]
    try:
        with telling.step(title) as told:
            after = take(Bench(home, settings, workshop, Lake.of(home, settings.data), told, now), current)
    except (NotReadyError, KeyboardInterrupt):  # nothing is wrong with the candidate
        ledger.write(home, current)
        raise
    except Exception as error:
        failed = ledger.write(home, replace(current, attempts=current.attempts + 1, error=str(error)))
        if failed.attempts < settings.retraining.failures or failed.step == "clear":
            raise
        return Standing(failed.step, f"The step {failed.step!r} failed {failed.attempts} times: {error}", failed=True)
    if after is None:
        ledger.close(home)
        return Standing(None, told.sentence, failed=current.attempts >= settings.retraining.failures)
    ledger.write(home, replace(after, attempts=0, error=""))
    return Standing(after.step, told.sentence, waits=after.step == current.step)


def standing(home: Home) -> Standing:
    """Where a home stands; nothing is done."""
    current = ledger.read(home)
    if current is None:
        return Standing(None, "No turn is running.")
    tried = f", after {current.attempts} attempts that did not end ({current.error})" if current.attempts else ""
    candidate = f" with {MODEL} {current.version} as candidate" if current.version else ""
    return Standing(current.step, f"A turn is running{candidate}; its next step is {current.step!r}{tried}.")


def _checked(current: Turn, workshop: Workshop, most: int) -> Turn:
    """The turn as it may go on: one that failed too often, or whose champion is no longer it, is cleared away."""
    if current.step == "clear":
        return current
    if current.attempts >= most:
        because = f"The step {current.step!r} of the retrain failed {current.attempts} times and is given up: {current.error}."
        return stopped(current, "refuse", because.replace("..", "."))
    champion = workshop.tracker.champion(MODEL)
    if current.step not in BOUND and champion != current.champion:
        return replace(stopped(current, "stop", f"Somebody named {MODEL} {champion} champion meanwhile."), attempts=0)
    return current


def _said(entries: list[Entry], verdict: Verdict) -> bool:
    """Whether the last word about retraining was the same, but for its numbers."""
    last = next((each.verdict for each in reversed(entries) if each.verdict.kind == "retraining"), None)
    return last is not None and (last.decision, last.subject, last.evidence.get("causes")) == (
        verdict.decision,
        verdict.subject,
        verdict.evidence["causes"],
    )
