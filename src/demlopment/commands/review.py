"""`demlopment data doubts`: labels that a person should look at."""

import time
from typing import Annotated

import typer

from demlopment.commands.place import home_of, settings_of


def doubts(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[SNAPSHOT]", help="[default: the last one pinned]")] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many to show.")] = 20,
) -> None:
    """Show the labels of a snapshot that are likely wrong, the likeliest first; no label is changed.

    Networks that did not learn from a row say what it is: a quarter of a minute for 5,000 rows.

    Example: demlopment data doubts --limit 10
    """
    from rich.console import Console

    from demlopment.data import Lake
    from demlopment.lifecycle.doubts import suspected
    from demlopment.lifecycle.narrator import Telling
    from demlopment.terminal import Terminal

    settings = settings_of(context)
    lake = Lake(home_of(settings).lake)
    snapshot = lake.named(name or next(reversed(lake.snapshots()), ""))
    examples = lake.load(snapshot)
    with Terminal(Console()) as terminal, Telling(terminal, time.time).step("Ask networks that did not learn from it") as step:
        found = suspected(examples, settings.training, step.progress)
        step.sentence = f"{len(found)} of the {len(examples)} labels of {snapshot.name} are doubted"
    for doubt in found[:limit]:
        typer.echo(f"{doubt.margin:6.3f}  {doubt.label} -> {doubt.suggestion}  {examples.keys[doubt.row]}")
