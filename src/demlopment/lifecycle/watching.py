"""One look of all monitors at a version: what they say, written down for the endpoint, and a verdict. Composes only."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from demlopment import archive
from demlopment import home as homes
from demlopment.archive import Archive
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle import observe, policy
from demlopment.lifecycle.evidence import CLOCKS, evidence
from demlopment.lifecycle.history import History
from demlopment.monitoring.panel import Budget, Panel, conclusion, panel
from demlopment.monitoring.told import Finding
from demlopment.records import Interval
from demlopment.serving import monitors
from demlopment.settings import Monitoring

OF_WINDOWS = ("drift", "estimated accuracy")  # what alarms where a window is new, and only there


@dataclass(frozen=True, eq=False)
class Watched:
    """What one look said."""

    title: str
    sentence: str
    panel: Panel
    answers: int  # since the version is asked
    labels: int
    path: Path  # where it stands


def champion(home: Home, model: str, store: Path | None = None) -> Archive:
    """The archive of whoever answers most requests of a home's endpoint, in its store.

    Raises DataError where nobody knows, or where that is no archive of ours.
    """
    registered = observe.registered(home, model)
    if registered is None:
        raise DataError(
            f"No endpoint of {home.root} has served the model {model}.", "Name the archive that is to be monitored."
        )
    version = registered.default if registered.plan is None else registered.plan.control
    return archive.read((store or home.models) / registered.archive(version))


def watch(home: Home, rules: Monitoring, model: Archive, now: float, *, since: float = 0.0) -> Watched:
    """Look at a version's production since a time, record a verdict if there is something new, and write down what was seen.

    Raises HomeError while another process looks, DataError for a damaged journal.
    """
    with home.locked("monitor"):
        path = monitors.path(home, model.card.name, model.card.version)
        before = _before(path)
        tested_until = before.get("until")
        if tested_until is not None and float(tested_until) > now + CLOCKS:
            tested_until = now  # the clock was ahead then: nothing would be tested until it is that late again
        until = -inf if tested_until is None else float(tested_until)
        seen = evidence(home, model, rules.window, since=since, until=until, now=now)
        found = panel(
            model.reference, seen, Budget(rules.window, rules.false_alarm_rate, rules.window_seconds), _promised(model)
        )
        tested = sum(window.examples for window in found.windows)
        tested_until = float(seen.stretch.at[seen.fresh + tested - 1]) if tested else tested_until
        found = found if found.windows else _carried(found, before)
        sentence = conclusion(model.card.title, found, len(seen))
        watched = Watched(model.card.title, sentence, found, len(seen), int((seen.right == seen.right).sum()), path)
        if found.windows or [each.monitor for each in found.alarms] != before.get("alarms", []):
            History(home.history).record(policy.of_panel(model.card.title, sentence, found), now)
        homes.replace(path, _written(model, watched, now, tested_until))
    return watched


def _promised(model: Archive) -> float | None:
    """The most errors that its examination leaves open."""
    low = model.card.scores.get("accuracy_low")
    return None if low is None else 1 - float(low)


def _before(path: Path) -> Mapping[str, Any]:
    """What the last look wrote; nothing where there was none, or one that cannot be read, which begins anew."""
    found = monitors.read(path)
    return {} if found is None else found


def _carried(found: Panel, before: Mapping[str, Any]) -> Panel:
    """Without a new window, what the last one said still stands, but for a monitor that is broken now or was then."""
    told = [each for each in before.get("findings", ()) if each["monitor"] in OF_WINDOWS and not each["broken"]]
    old = {each["monitor"]: _finding(each) for each in told}
    findings = tuple(each if each.broken else old.get(each.monitor, each) for each in found.findings)
    return replace(found, findings=findings)


def _finding(written: Mapping[str, Any]) -> Finding:
    interval = written["interval"]
    return Finding(**{**written, "interval": None if interval is None else Interval(**interval)})


def _written(model: Archive, watched: Watched, now: float, until: float | None) -> bytes:
    findings = watched.panel.findings
    values = {
        "format": monitors.FORMAT,
        "model": model.card.name,
        "version": model.card.version,
        "at": now,
        "until": until,
        "answers": watched.answers,
        "labels": watched.labels,
        "sentence": watched.sentence,
        "alarms": [each.monitor for each in watched.panel.alarms],
        "findings": [asdict(each) for each in findings],
    }
    return (json.dumps(values, indent=2) + "\n").encode()
