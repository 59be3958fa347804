"""The page of a long run: accuracy over the days for each way to retrain, and what each has cost. Decides nothing."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from demlopment import home
from demlopment.lifecycle.eras import Stream
from demlopment.lifecycle.longrun import Lived
from demlopment.web import charts, palette
from demlopment.web.charts import Line
from demlopment.web.report import environment

KINDS = {"never": "orange", "every night": "teal dashed", "when it asks": "blue"}
WIDE = 720  # pixels
WEEK = 7  # days of which the mean is drawn: a single day says little


def write(runs: Sequence[Lived], stream: Stream, told: dict[str, Any], folder: Path) -> Path:
    """The page with its figures beside it as JSON; the page's path. Raises HomeError if the folder cannot be written."""
    page = folder / "longrun.html"
    home.replace(folder / "longrun.json", (json.dumps(figures(runs, stream, told), indent=2) + "\n").encode())
    home.replace(page, render(runs, stream).encode("utf-8", "replace"))
    return page


def figures(runs: Sequence[Lived], stream: Stream, told: dict[str, Any]) -> dict[str, Any]:
    """All numbers of a run; `told` is what it was asked for."""
    eras = [{"name": name, "first_day": day} for name, day in stream.eras]
    return {**told, "requests": len(stream.at), "eras": eras, "runs": [asdict(each) | {"mean": each.mean} for each in runs]}


def table(runs: Sequence[Lived]) -> str:
    """As Markdown."""
    lines = [
        "| retraining | accuracy | errors | retrains | champions | labels (bought) | for errors | retrains | labels | total |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in runs:
        counts = f"{each.errors:,} | {each.retrains} | {each.champions} | {each.labels:,} ({each.bought:,})"
        money = " | ".join(f"{each.money[name]:,.0f}" for name in ("errors", "retrains", "labels", "total"))
        lines.append(f"| {each.policy} | {each.mean:.2%} | {counts} | {money} |")
    return "\n".join(lines) + "\n"


def eras_table(runs: Sequence[Lived], stream: Stream) -> str:
    """The accuracy in each era, as Markdown."""
    lines = [f"| era | from day | {' | '.join(each.policy for each in runs)} |", "| --- " * (len(runs) + 2) + "|"]
    for name, first, shares in by_era(runs, stream):
        lines.append(f"| {name} | {first + 1} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    return "\n".join(lines) + "\n"


def by_era(runs: Sequence[Lived], stream: Stream) -> list[tuple[str, int, list[float]]]:
    """Name and first day of each era, and the accuracy of each run in it."""
    ends = [*(day for _, day in stream.eras[1:]), stream.days]
    return [
        (name, start, [float(np.mean(each.accuracy[start:end])) for each in runs])
        for (name, start), end in zip(stream.eras, ends, strict=True)
    ]


def render(runs: Sequence[Lived], stream: Stream) -> str:
    """The page as HTML, with its styles and its chart inside it."""
    chosen = next((each for each in runs if each.verdicts), None)
    return (
        environment()
        .get_template("longrun.html.j2")
        .render(
            runs=runs,
            stream=stream,
            chart=chart(runs),
            eras=by_era(runs, stream),
            verdicts=chosen.verdicts if chosen else (),
            palette=palette,
        )
    )


def chart(runs: Sequence[Lived]) -> Markup:
    """The accuracy of the last seven days, for each way."""
    lines = [Line(each.policy, _weekly(each), KINDS[each.policy]) for each in runs]
    axis = charts.share_axis(share for line in lines for _, share in line.points)
    spoken = "; ".join(f"{each.policy} {each.mean:.1%}" for each in runs)
    return charts.line_chart(lines, axis, label=f"Accuracy of the last seven days: {spoken} over all", x_name="day", width=WIDE)


def _weekly(each: Lived) -> list[tuple[float, float]]:
    days = range(1, len(each.accuracy) + 1)
    return [(float(day), float(np.mean(each.accuracy[max(0, day - WEEK) : day]))) for day in days]
