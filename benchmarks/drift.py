"""What the monitors get wrong: false alarms, changes they miss, delay, and the accuracy that is told without labels.

Streams of lifecycle/production.py, whose truth is known. Pictures are rendered and read once by a fitted network; a stream then
draws its requests from these, by class. What is judged is what `monitoring.drift` and `monitoring.estimated` compute; the tests
do the same with small counts (tests/test_alarms.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.baselines import stability
from benchmarks.rendering import Pools, prepared
from benchmarks.result import RESULTS, write
from demlopment import monitoring
from demlopment.intervals import wilson
from demlopment.lifecycle.production import Change, Course, Kind, Setting, script
from demlopment.monitoring.kernel import kernel_p_value, kernel_p_values
from demlopment.monitoring.kolmogorov import ks_distances, ks_p_values
from demlopment.monitoring.labels import label_p_values
from demlopment.monitoring.panel import SHARES
from demlopment.monitoring.strangers import strange_p_values
from demlopment.monitoring.sweep import ROUGH
from demlopment.records import Scores

STREAMS = 200  # of each kind
CALM_STREAMS = 2500  # without a change: at one in a thousand, 100 alarms in 100,000 windows are known to a tenth
REFERENCE, WINDOW, WINDOWS = 500, 100, 40
BUDGET = 0.001  # false alarms per window, the default of `monitoring.false_alarm_rate`
EXAMINED = 1000  # labelled rows from which trust is learnt
ESTIMATED = 500  # answers whose accuracy is told together
USUAL = 0.05  # the level of an ordinary test
PSI_LIMIT = 0.1

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

# What changes, and for what share of the requests.
CHANGES: Sequence[tuple[Kind, float]] = (
    ("pen", 1.0),
    ("scanner", 1.0),
    ("writers", 1.0),
    ("labels", 1.0),
    ("concept", 1.0),
    ("quality", 0.2),
    ("outliers", 0.1),
    ("attack", 0.2),
)
COURSES: Sequence[Course] = ("abrupt", "gradual", "recurring")
MONITORS = ("drift", "psi above 0.1", "ks at 0.05 each", "ks at the budget each", "all monitors")
RECENT = 1000  # answers of which the accuracy is estimated


@dataclass(frozen=True, eq=False)
class Stream:
    """One stretch of production: which row of the pools each request is."""

    reference: Places  # (500,)
    rows: Places  # (n,)
    classes: Places  # (n,) what was meant; -1 for what has no class
    asked: npt.NDArray[np.float64]  # (n,) s since the stretch began
    heard: npt.NDArray[np.float64]  # (n,) likewise, when the label came; infinite where it did not
    examined: Places  # (1000,) calm rows with labels, from which trust is learnt and errors are promised


def run(streams: int = STREAMS, calm: int = CALM_STREAMS) -> Path:
    """Simulate that many streams of each kind, write the result and its table."""
    pools = prepared()
    kinds = [(kind, share, course) for kind, share in CHANGES for course in COURSES]
    figures = {
        "budget": BUDGET,
        "window": WINDOW,
        "network_accuracy": float(pools.right[pools.calm].mean()),
        "false_alarms": false_alarms(pools, calm),
        "changes": [found(pools, streams, kind, share, course) for kind, share, course in kinds],
        "accuracy": [told(pools, streams, kind, share) for kind, share in (("none", 0.0), *CHANGES[:6])],
    }
    (RESULTS / "drift.md").write_text(table(figures))
    return write("drift", figures)


def false_alarms(pools: Pools, streams: int) -> dict[str, Any]:
    """Alarms per thousand windows in which nothing changed, beside the budget."""
    windows = streams * WINDOWS
    rng = np.random.default_rng(1)
    counts = sum(
        np.stack([flags.sum() for flags in alarms(pools, stream(pools, rng, seed, Change())).values()])
        for seed in range(streams)
    )
    rates = {}
    for monitor, count in zip(MONITORS, np.asarray(counts).tolist(), strict=True):
        interval = wilson(int(count), windows)
        rates[monitor] = {
            "alarms": int(count),
            "per_1000": 1000 * count / windows,
            "low": 1000 * interval.low,
            "high": 1000 * interval.high,
            "times_the_budget": count / windows / BUDGET,
        }
    return {"streams": streams, "windows": windows, "monitors": rates}


def found(pools: Pools, streams: int, kind: Kind, share: float, course: Course) -> dict[str, Any]:
    """In what share of the streams a change is found before they end, and after how many requests (their median)."""
    rng = np.random.default_rng(2)
    delays: dict[str, list[int]] = {monitor: [] for monitor in MONITORS}
    for seed in range(streams):
        at = int(rng.integers(WINDOW, WINDOWS * WINDOW // 2))
        played = stream(pools, rng, seed, Change(kind, course, at=at, share=share))
        first = at // WINDOW
        for monitor, flags in alarms(pools, since(played, first * WINDOW), first=True).items():
            if flags.any():
                delays[monitor].append((first + int(flags.argmax()) + 1) * WINDOW - at)
    figures = {
        monitor: {"found": len(each) / streams, "median_delay": median(each) if each else None}
        for monitor, each in delays.items()
    }
    return {"kind": kind, "course": course, "share": share, "streams": streams, "monitors": figures}


def told(pools: Pools, streams: int, kind: Kind, share: float) -> dict[str, Any]:
    """How far the accuracy that is told without labels is from what it was, in points, over all windows after the change."""
    rng = np.random.default_rng(3)
    errors, held, naive, frozen, true = [], [], [], [], []
    for seed in range(streams):
        played = stream(pools, rng, seed, Change(kind, at=0, share=share))
        examined = rng.choice(pools.calm, EXAMINED)
        learnt = monitoring.trust(scores(pools, examined), pools.worn)
        for start in range(0, len(played.rows) - ESTIMATED + 1, ESTIMATED):
            part = slice(start, start + ESTIMATED)
            rows = played.rows[part]
            right = float((pools.probabilities[rows].argmax(axis=1) == played.classes[part]).mean())
            answer = monitoring.estimated(pools.probabilities[rows], learnt)
            errors.append(100 * (answer.accuracy - right))
            held.append(answer.interval.low <= right <= answer.interval.high)
            naive.append(100 * (float(pools.probabilities[rows].max(axis=1).mean()) - right))
            frozen.append(100 * (float(pools.right[examined].mean()) - right))
            true.append(100 * right)
    return {
        "kind": kind,
        "share": share,
        "streams": streams,
        "windows": len(errors),
        "answers": ESTIMATED,
        "true_accuracy": float(np.mean(true)),
        "mean_absolute_error": float(np.abs(errors).mean()),
        "mean_error": float(np.mean(errors)),
        "coverage": float(np.mean(held)),
        "mean_confidence_error": float(np.abs(naive).mean()),
        "last_examination_error": float(np.abs(frozen).mean()),
    }


def stream(pools: Pools, rng: np.random.Generator, seed: int, change: Change) -> Stream:
    """A script's requests, each drawn among the rows of its pool that have its class; and a fresh reference."""
    plan = script(pools.labels, Setting(requests=WINDOW * WINDOWS, seed=seed, change=change))
    kind = change.kind
    written = np.where(
        plan.touched & (kind == "concept") & (plan.classes == change.concept[0]), change.concept[1], plan.classes
    )
    rows = np.zeros(len(written), np.int64)
    for drawn_from, chosen in (("none", ~plan.touched), (kind, plan.touched)):
        pool = pools.rows.get(drawn_from, pools.rows["none"])  # the others change what is drawn, and no picture
        for meant in np.unique(written[chosen]).tolist():
            places = chosen & (written == meant)
            rows[places] = rng.choice(pool[meant], int(places.sum()))
    if kind == "attack" and plan.touched.any():
        rows[plan.touched] = rows[plan.touched][0]
    examined = np.random.default_rng([seed, 4]).choice(pools.calm, EXAMINED)
    return Stream(calm_mix(pools, rng), rows, plan.classes, plan.at, plan.label_at, examined)


def calm_mix(pools: Pools, rng: np.random.Generator) -> Places:
    """Rows as a calm stream draws them: by the examples' mix of classes, then any row of the class."""
    shares = np.bincount(pools.labels) / len(pools.labels)
    counts = rng.multinomial(REFERENCE, shares).tolist()
    return np.concatenate([rng.choice(pools.rows["none"][meant], count) for meant, count in enumerate(counts)])


def since(played: Stream, row: int) -> Stream:
    """What comes from a row on."""
    later = slice(row, None)
    return replace(
        played,
        rows=played.rows[later],
        classes=played.classes[later],
        asked=played.asked[later],
        heard=played.heard[later],
    )


def alarms(pools: Pools, played: Stream, *, first: bool = False) -> dict[str, Flags]:
    """Which whole windows of a stream raise an alarm, by monitor: (windows,) each; of ours perhaps none after the first."""
    singly, new = p_values(pools, played), shifts(pools, played)
    smallest, tests = singly.min(axis=1), singly.shape[1] + 1
    chances, thresholds = smallest.copy(), (BUDGET / tests, SHARES["drift"] * BUDGET / tests)
    if first:
        for number in range(len(smallest)):
            if smallest[number] >= thresholds[1]:
                chances[number] = min(smallest[number], kernel(pools, played, number, thresholds[1]))
            if chances[number] < thresholds[1]:
                break
    else:
        least = np.where(smallest < thresholds[1], ROUGH, thresholds[1])
        windows = pools.features[_windows(played)]
        chances = np.minimum(smallest, kernel_p_values(pools.features[played.reference], windows, least))
    every = (chances < thresholds[1]) | estimates(pools, played) | errors(pools, played)
    flags = (chances < thresholds[0], (new > PSI_LIMIT).any(axis=1), smallest < USUAL, smallest < BUDGET, every)
    return dict(zip(MONITORS, flags, strict=True))


def estimates(pools: Pools, played: Stream) -> Flags:
    """Where the accuracy that is told without labels falls below what was promised, at its share of the budget."""
    learnt, promised = monitoring.trust(scores(pools, played.examined), pools.worn), _promised(pools, played)
    confidence, found = 1 - 2 * SHARES["estimated accuracy"] * BUDGET, []
    for end in range(WINDOW, len(played.rows) + 1, WINDOW):
        recent = pools.probabilities[played.rows[max(0, end - RECENT) : end]]
        found.append(monitoring.estimated(recent, learnt, confidence).interval.high < 1 - promised)
    return np.array(found)


def errors(pools: Pools, played: Stream) -> Flags:
    """The window in which labels first say that there are more errors than were promised, at their share of the budget."""
    order = np.argsort(played.heard, kind="stable")
    order = order[(played.heard[order] < played.asked[-1]) & (played.classes[order] >= 0)]
    wrong = pools.told[played.rows[order]] != played.classes[order]
    alarm = monitoring.error_alarm(wrong, _promised(pools, played), SHARES["errors"] * BUDGET / WINDOW)
    found = np.zeros(len(played.rows) // WINDOW, np.bool_)
    if alarm.first is not None:
        asked = int(np.searchsorted(played.asked, played.heard[order[alarm.first]]))
        found[min(asked // WINDOW, len(found) - 1)] = True
    return found


def _promised(pools: Pools, played: Stream) -> float:
    """The most errors that the examination leaves open, as an archive's card has it."""
    return 1 - wilson(int(pools.right[played.examined].sum()), EXAMINED).low


def p_values(pools: Pools, played: Stream) -> npt.NDArray[np.float64]:
    """(windows, tests): what `monitoring.drift` says of each window, in its order, but for the last one, the kernel's."""
    windows = _windows(played)
    columns = [
        _chances()[ks_distances(np.sort(column[played.reference]), column[windows]) // WINDOW]
        for column in pools.statistics.values()
    ]
    counts = np.bincount(pools.told[played.reference], minlength=10)
    label = label_p_values(counts, np.stack([np.bincount(each, minlength=10) for each in pools.told[windows]]))
    strange = strange_p_values(pools.strangeness[played.reference], pools.strangeness[windows])
    return np.stack([*columns, label, strange], axis=1)


def kernel(pools: Pools, played: Stream, number: int, threshold: float) -> float:
    """The same of the kernel test, for one window."""
    return kernel_p_value(pools.features[played.reference], pools.features[_windows(played)[number]], threshold)


def shifts(pools: Pools, played: Stream) -> npt.NDArray[np.float64]:
    """(windows, statistics and answers): the population stability index of each."""
    windows = _windows(played)
    columns = []
    for column in pools.statistics.values():
        edges = np.quantile(column[played.reference], np.linspace(0.1, 0.9, 9))
        places = np.searchsorted(edges, column)
        columns.append(stability(places[played.reference], places[windows]))
    return np.stack([*columns, stability(pools.told[played.reference], pools.told[windows])], axis=1)


def scores(pools: Pools, rows: Places) -> Scores:
    """The answers to rows of known truth, as an examination has them."""
    return Scores("digits 1.0", rows.astype(np.str_), pools.classes[rows], pools.probabilities[rows], 0.0, 0.0)


def table(figures: dict[str, Any]) -> str:
    """As Markdown."""
    calm, budget = figures["false_alarms"], 1000 * figures["budget"]
    lines = [
        f"Windows of {figures['window']}, references of {REFERENCE}; {figures['network_accuracy']:.1%} are read if calm.",
        "",
        f"| no change, {calm['windows']:,} windows | alarms per 1,000 windows (95 %) | times the budget of {budget:g} |",
        "| --- | --- | --- |",
    ]
    for monitor, each in calm["monitors"].items():
        shown = f"{each['per_1000']:.2f} ({each['low']:.2f} to {each['high']:.2f})"
        lines.append(f"| {monitor} | {shown} | {each['times_the_budget']:.2f} |")
    lines += ["", "| change | course | share | drift finds | after requests | all find | after requests |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for row in figures["changes"]:
        pairs = (row["monitors"][monitor] for monitor in ("drift", "all monitors"))
        cells = (f"{each['found']:.0%} | {_delay(each['median_delay'])}" for each in pairs)
        lines.append(f"| {row['kind']} | {row['course']} | {row['share']:.0%} | {' | '.join(cells)} |")
    lines += [
        "",
        "| without labels | true, % | error, points | bias | interval holds | error of mean confidence | of last accuracy |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in figures["accuracy"]:
        errors = f"{row['mean_absolute_error']:.2f} | {row['mean_error']:+.2f} | {row['coverage']:.0%}"
        beside = f"{row['mean_confidence_error']:.2f} | {row['last_examination_error']:.2f}"
        lines.append(f"| {row['kind']}, {row['share']:.0%} | {row['true_accuracy']:.1f} | {errors} | {beside} |")
    return "\n".join(lines) + "\n"


def _delay(requests: float | None) -> str:
    return "" if requests is None else f"{requests:,.0f}"


def _windows(played: Stream) -> Places:
    whole = len(played.rows) // WINDOW
    return played.rows[: whole * WINDOW].reshape(whole, WINDOW)


@cache
def _chances() -> npt.NDArray[np.float64]:
    """The p-value of each distance that is possible: a multiple of the window's size, which divides the reference's."""
    return ks_p_values(np.arange(REFERENCE + 1) * WINDOW, REFERENCE, WINDOW)
