"""`demlopment models`: what the model store holds, and who is champion."""

from pathlib import Path
from typing import Annotated

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say
from demlopment.errors import DemlopmentError

app = typer.Typer(help="List and verify model archives, and name the champion.", no_args_is_help=True)


@app.command("champion")
def champion(
    context: typer.Context, version: Annotated[str, typer.Argument(help="A version in the model store, like 4.0.")]
) -> None:
    """Send every request to one version, and name it champion.

    Example: demlopment models champion 4.0
    """
    from demlopment.lifecycle.learn import crown

    settings = settings_of(context)
    crown(home_of(settings), settings, version)
    say(f"Version {version} is the champion.")


@app.command("list")
def stored(context: typer.Context) -> None:
    """List the archives of the model store with their scores; a broken one is named.

    Example: demlopment models list
    """
    for path in sorted(home_of(settings_of(context)).models.glob("*.mar")):
        try:
            say(_described(path))
        except DemlopmentError as error:
            say(f"{path}  broken: {error}")


@app.command("verify")
def verify(archive: Annotated[Path, typer.Argument(help="A .mar file.")]) -> None:
    """Check every member of an archive against its checksum.

    Example: demlopment models verify var/models/digits-1.0.mar
    """
    say(_described(archive))


def _described(path: Path) -> str:
    from demlopment import archive

    card = archive.read(path).card
    scores, lineage = card.scores, card.lineage
    return (
        f"{path}  {card.title}  accuracy {scores['accuracy']:.2%} "
        f"({scores['accuracy_low']:.2%} to {scores['accuracy_high']:.2%})  snapshot {lineage['snapshot']}"
    )
