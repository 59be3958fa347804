"""The page of a search: what was tried, what came of it, and which settings mattered. Decides nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from demlopment import home
from demlopment.lifecycle.tune import Searched
from demlopment.records import Trial, TrialState
from demlopment.web import charts, palette, words
from demlopment.web.report import environment
from demlopment.web.svg import Point, Scale, axes, drawing, element, group, line, path, text, ticks

SHOWN = 10  # of the best trials: what is worse is in the study
WIDE = 920  # pixels
STATES: dict[TrialState, str] = {
    "complete": "complete",
    "pruned": "given up early",
    "failed": "failed",
    "running": "not finished",
}


def write(searched: Searched, folder: Path) -> Path:
    """Write the page into `folder`, and return its path. Raises HomeError if the folder cannot be written."""
    page = folder / f"search-{searched.name}.html"
    home.replace(page, render(searched).encode("utf-8", "replace"))
    return page


def render(searched: Searched) -> str:
    """The page as HTML, with its styles and charts inside it."""
    complete = sorted((each for each in searched.trials if each.value is not None), key=lambda each: each.value or 0)
    return (
        environment()
        .get_template("search.html.j2")
        .render(
            searched=searched,
            summary=summary(searched),
            best=complete[:SHOWN],
            failed=[each for each in searched.trials if each.state == "failed"],
            history=history(searched.trials),
            importances=importances(searched.importances),
            palette=palette,
        )
    )


def summary(searched: Searched) -> str:
    """What came of the search in one line. Raises DataError if no trial is complete."""
    best, states = searched.best, Counter(trial.state for trial in searched.trials)
    counts = ", ".join(f"{states[state]} {spoken}" for state, spoken in STATES.items() if states[state])
    return (
        f"Trial {best.number} of the study {searched.name} is the best of {len(searched.trials)} ({counts}): "
        f"a loss of {best.value:.4f} nats on the validation part."
    )


def history(trials: Sequence[Trial], width: int = WIDE) -> Markup:
    """The loss of each complete trial in order, with the least so far; below them those that were given up or failed."""
    losses = {trial.number: trial.value for trial in trials if trial.value is not None}
    label = f"The loss of {words.plural(len(losses), 'complete trial')} of {len(trials)}, in the order of their numbers"
    axis, height = charts.loss_axis(losses.values()), 280
    x, y = Scale(0, max(1, len(trials) - 1), 58, width - 16), Scale(axis.low, axis.high, height - 62, 34)
    points = [(x(number), y(axis.place(loss))) for number, loss in losses.items()]
    dots = [
        group(element("circle", cx=a, cy=b, r=4, class_="dot blue"), tip=f"Trial {number}: {loss:.4f}")
        for (a, b), (number, loss) in zip(points, losses.items(), strict=True)
    ]
    others = [_unfinished(trial, x(trial.number), height - 34) for trial in trials if trial.number not in losses]
    across = [(value, f"{value:g}") for value in ticks(x.low, x.high) if value == int(value)]
    return drawing(
        width,
        height,
        label,
        axes(x, y, across, axis.ticks),
        *([path(_least(points, x.end), "line teal")] if points else []),
        *dots,
        *others,
        text(58, 18, "loss in nats: ● a complete trial, — the least so far; below: | given up early, ✕ failed", "name"),
        text(width - 16, height - 4, "trial", anchor="end"),
    )


def importances(shares: Mapping[str, float], width: int = WIDE) -> Markup:
    """How much each setting decides whether a trial is among the best tenth."""
    if not shares:
        return drawing(width, 40, "No importances", text(0, 24, "Too few trials are complete to tell what mattered."))
    spoken = ", ".join(f"{name} {words.percent(share, 0)}" for name, share in shares.items())
    x = Scale(0, 1, 150, width - 60)
    bars = [_bar(name, share, x, 30 * i) for i, (name, share) in enumerate(shares.items())]
    return drawing(width, 30 * len(shares) + 6, f"Importance of each setting: {spoken}", *bars)


def _least(points: Sequence[Point], end: float) -> list[Point]:
    """Stairs through the lowest of `points` so far, up to `end`; lower on the page is a greater number."""
    stairs = [points[0]]
    for a, b in points[1:]:
        stairs += [(a, stairs[-1][1]), (a, max(stairs[-1][1], b))]
    return [*stairs, (end, stairs[-1][1])]


def _bar(name: str, share: float, x: Scale, top: float) -> Markup:
    return group(
        text(x.start - 10, top + 20, name, "name", "end"),
        element("rect", x=x.start, y=top + 7, width=max(1.0, x(share) - x.start), height=18, class_="fill blue"),
        text(x(share) + 8, top + 20, words.percent(share, 0)),
        tip=f"{name}: {words.percent(share)}",
    )


def _unfinished(trial: Trial, x: float, y: float) -> Markup:
    if trial.state == "failed":
        return group(text(x, y + 5, "✕", "note orange", "middle"), tip=f"Trial {trial.number} failed: {trial.reason}")
    spoken = f"given up after {words.plural(len(trial.errors), 'epoch')}" if trial.state == "pruned" else "not finished"
    return group(line((x, y - 4), (x, y + 6), "whisker orange"), tip=f"Trial {trial.number}: {spoken}")
