"""`demlopment search`: try recipes, and keep the best one under a name."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say


def search(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the search is called; one of that name goes on.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, with those of earlier calls.")] = 32,
    minutes: Annotated[float | None, typer.Option(min=0, help="Begin no trial after that time [default: no limit].")] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="End after so many trials in a row without a better one [default: never].")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Processes that fit; the trials are the same.")] = 1,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of each trial [default: training.epochs].")] = None,
    sampler: Annotated[
        Literal["tpe", "random"], typer.Option(help="Draw by what is known of earlier trials, or by chance.")
    ] = "tpe",
    space: Annotated[
        Path | None, typer.Option(help="TOML file of what is varied [default: learning rate, label smoothing, batch size].")
    ] = None,
) -> None:
    """Search for a recipe on everything in the lake; a search that was stopped goes on where it was.

    Example: demlopment search spring --trials 32 --workers 2
    """
    settings = settings_of(context)
    home = home_of(settings)

    from rich.console import Console

    from demlopment.commands.progress import Progress
    from demlopment.lifecycle.tune import tune
    from demlopment.training.search import Budget
    from demlopment.training.space import SPACE, read
    from demlopment.web import trials as page

    if epochs is not None:
        settings = settings.model_copy(update={"training": settings.training.model_copy(update={"epochs": epochs})})
    each = settings.training.epochs
    with Progress(Console(), "epochs") as progress:
        heard = progress.counted(f"Search {name}", trials * each)
        searched = tune(
            home,
            settings,
            name,
            SPACE if space is None else read(space),
            Budget(trials, minutes, patience),
            lambda running, finished: heard(finished * each + running),
            sampler=sampler,
            workers=workers,
        )
    path = page.write(searched, home.report)
    say(page.summary(searched))
    for unexpected in searched.unexpected:
        say(f"Warning: {unexpected}.")
    for setting, value in searched.best.parameters.items():
        say(f"{setting}  {value:g}" if isinstance(value, float) else f"{setting}  {value}")
    say(f"`demlopment train --study {name}` fits with it. The report, which opens in any browser:")
    say(str(path))
