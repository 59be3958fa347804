"""`demlopment data doubts`, `data ask` and `data review`: labels that a person should look at or give, and what people said."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say

if TYPE_CHECKING:
    from demlopment.data import Lake

Limit = Annotated[int, typer.Option(min=0, help="How many to show.")]


def doubts(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[SNAPSHOT]", help="[default: the last one pinned]")] = None,
    limit: Limit = 20,
) -> None:
    """Find the labels of a snapshot that are likely wrong, and queue them for `data review`; no label is changed.

    Networks that did not learn from a row say what it is: a quarter of a minute for 5,000 rows.

    Example: demlopment data doubts --limit 10
    """
    from rich.console import Console

    from demlopment.data import Lake
    from demlopment.lifecycle.doubts import doubted
    from demlopment.lifecycle.narrator import Telling
    from demlopment.terminal import Terminal

    settings = settings_of(context)
    lake = Lake.of(home_of(settings), settings.data)
    snapshot = lake.named(name or next(reversed(lake.snapshots()), ""))
    with Terminal(Console()) as terminal, Telling(terminal, time.time).step("Ask networks that did not learn from it") as step:
        found = doubted(lake, snapshot, settings.training, step.progress)
        step.sentence = f"{len(found)} of the {snapshot.rows} labels of {snapshot.name} are doubted"
    for key, label, suggestion, score in found.head(limit).select("key", "label", "suggestion", "score").iter_rows():
        say(f"{score:6.3f}  {label} -> {suggestion}  {key}")


def ask(
    context: typer.Context,
    count: Annotated[int, typer.Option(min=1, help="How many requests.")] = 100,
    days: Annotated[float, typer.Option(min=0, help="Only those of so many days.")] = 30.0,
    model: Annotated[str, typer.Option(help="Which model answered.")] = "digits",
) -> None:
    """Pick the requests whose label would teach most, and some by chance, and queue them for `data review`.

    Unsure answers, those that versions do not agree on, and pictures unlike what the model knows come first, none twice.

    Example: demlopment data ask --count 50
    """
    import numpy as np

    from demlopment.data import Lake
    from demlopment.lifecycle.asking import ask
    from demlopment.lifecycle.compact import DAY_SECONDS

    settings, now = settings_of(context), time.time()
    home = home_of(settings)
    lake, since = Lake.of(home, settings.data), now - days * DAY_SECONDS
    with home.locked("turn"):
        share = settings.data.asked_by_chance
        done = ask(home, lake, model, count, share, since=since, now=now, rng=np.random.default_rng())
    picked = ", ".join(f"{number} {why}" for why, number in sorted(done.why.items()))
    say(f"{sum(done.why.values())} of {done.open} requests without a label wait for `demlopment data review`: {picked}.")


def review(
    context: typer.Context,
    limit: Limit = 20,
    export: Annotated[Path | None, typer.Option("--export", help="Write what waits into a new folder, with pictures.")] = None,
    source: Annotated[Path | None, typer.Option("--from", help="Take the verdicts of a reviews.csv back.")] = None,
    by: Annotated[str, typer.Option("--by", help="Who gave these verdicts.")] = "",
) -> None:
    """List the labels that wait for a person, write them out for one, or take verdicts back.

    A verdict is keep, drop or a class. Labels change in the snapshots that are pinned from then on; a request that is given
    one becomes an example.

    Example: demlopment data review --export to-review
    """
    if export is not None and source is not None:
        raise typer.BadParameter("Give one of --export and --from.")
    if by and source is None:
        raise typer.BadParameter("--by says who gave the verdicts of --from. Give both, or neither.")
    from demlopment.data import Lake, queue

    settings = settings_of(context)
    home = home_of(settings, growing=source is not None)
    lake = Lake.of(home, settings.data)
    if source is not None:
        from demlopment.data.verdicts import take
        from demlopment.lifecycle.provenance import commit

        with home.locked("turn"):
            taken = take(lake, source, by, time.time(), commit=commit())
        say(
            f"{taken.lines} lines: {taken.added} reviews added, {taken.known} known, {taken.empty} without a verdict, "
            f"{len(taken.refused)} in quarantine."
        )
        for number, reasons in taken.refused.items():
            say(f"line {number}: {reasons}")
        if taken.learned:
            say(f"{taken.learned} requests became examples.")
        _show_samples(lake)
    elif export is not None:
        count = queue.export(lake, export)
        say(f"{count} labels are in {export}: fill the column verdict of {queue.FILE}, and give it to `data review --from`.")
    else:
        waiting = queue.waiting(lake)
        for item in waiting[:limit]:
            say(f"{item.label or '?'} -> {item.suggestion or '?'}  {item.key}  {item.why}{_scored(item.score)}")
        say(f"{len(waiting)} labels wait for review.")
        _show_samples(lake)


def _show_samples(lake: "Lake") -> None:
    """How often models were right where nobody had said so, if people have said it of some that chance drew."""
    from demlopment.data.sampled import sampled

    for each in sampled(lake):
        low, high = each.interval.low, each.interval.high
        say(
            f"{each.model} {each.version}: {each.right} of {each.labelled} requests drawn by chance were answered rightly, so "
            f"{each.accuracy:.1%} ({low:.1%} to {high:.1%}) of those without a label."
        )


def _scored(score: float | None) -> str:
    return "" if score is None else f" {score:.3f}"
