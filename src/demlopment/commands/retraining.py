"""`demlopment retrain`: turn the loop unattended, as far as it can be turned now."""

from typing import Annotated

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say


def retrain(
    context: typer.Context,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Begin a retrain by hand, whatever else is known, unless one is running.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Say where the turn stands, and do nothing.")] = False,
) -> None:
    """See whether the champion should be fitted anew, and go on with the turn that is running as far as is possible now.

    Run it as often as you like, by hand or from a scheduler: where traffic or labels have to come first it leaves, and the
    next call goes on. Leaves with 1 if the turn was given up after failures. Example: demlopment retrain
    """
    if now and status:
        raise typer.BadParameter("Give one of --now and --status.")
    settings = settings_of(context)
    home = home_of(settings, growing=not status)

    from rich.console import Console

    from demlopment.lifecycle.turn import standing, turn
    from demlopment.terminal import Terminal

    if status:
        say(standing(home).sentence)
        return
    with Terminal(Console()) as terminal:
        found = turn(home, settings, terminal, by_hand=now)
    say(found.sentence if found.step is None else f"Next step: {found.step}. {found.sentence}")
    if found.failed:
        raise typer.Exit(1)
