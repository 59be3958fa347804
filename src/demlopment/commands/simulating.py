"""`demlopment simulate`: months of production in memory, and what retraining is worth in them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say


def simulate(
    context: typer.Context,
    days: Annotated[int, typer.Option(help="Days of production, divided among the eras.")] = 90,
    per_day: Annotated[int, typer.Option(min=20, help="Requests of a day.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Of everything: the same one gives the same result.")] = 1,
    speed: Annotated[Literal["max"], typer.Option(help="In memory, as fast as it goes.")] = "max",
    to: Annotated[Path | None, typer.Option(help="The folder for the report [default: report/ of the home].")] = None,
) -> None:
    """Live through months of drift three times: without retraining, retraining every night, and when something asks for it.

    The last is what `demlopment retrain` does, by the same functions, over an endpoint in memory; fits are real and brief.
    Ninety days take six minutes of processor time, in two processes. Example: demlopment simulate --days 90 --speed max
    """
    settings = settings_of(context)
    home = home_of(settings)

    from rich.console import Console

    from demlopment.commands.progress import Progress
    from demlopment.lifecycle.life import Recipe
    from demlopment.lifecycle.longrun import run
    from demlopment.web import longrun

    with Progress(Console(stderr=True), "days") as progress:
        lived_through, runs = run(
            settings, days, per_day, seed, Recipe(), lambda policy, day: progress.heard(f"Retraining {policy}", day, days)
        )
    told = {"days": days, "per_day": per_day, "seed": seed, "speed": speed}
    page = longrun.write(runs, lived_through, told, to or home.report)
    say(longrun.table(runs).rstrip())
    say(str(page))
