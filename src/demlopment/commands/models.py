"""`demlopment models`: what the model store holds, and who is champion."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say
from demlopment.errors import DemlopmentError

if TYPE_CHECKING:
    from demlopment.records import Check

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
    for path in sorted(home_of(settings_of(context), growing=False).models.glob("*.mar")):
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


@app.command("card")
def card(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version that was judged here, like 4.0, refused ones among them.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON instead of Markdown.")] = False,
) -> None:
    """Show the model card of a version: what it is for, what it learned from, how good it is, what it cannot do.

    Not the card.json inside its archive, which is for the machine that loads it. Example: demlopment models card 4.0
    """
    from demlopment.lifecycle import cards
    from demlopment.lifecycle.markdown import markdown

    found = cards.read(home_of(settings_of(context), growing=False), version)
    say(json.dumps(found, indent=2) if as_json else markdown(found).rstrip())


@app.command("test")
def check(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version in the model store, like 4.0.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print every check with all its numbers.")] = False,
) -> None:
    """Test a model like code, on the test part of its snapshot: accuracy, calibration, slices, cost, each with its bound.

    Leaves with 1 if a bound is missed. Example: demlopment models test 4.0
    """
    from demlopment.lifecycle.examine import examined

    settings = settings_of(context)
    checks = examined(home_of(settings), settings, version)
    missed = [each for each in checks if not each.met]
    if as_json:
        say(json.dumps([asdict(each) | {"met": each.met} for each in checks], indent=2))
    else:
        say("\n".join(map(_line, checks)))
        say(f"{len(checks)} checks, {len(missed)} missed.")
    if missed:
        raise typer.Exit(1)


@app.command("reproduce")
def reproduce(
    context: typer.Context, version: Annotated[str, typer.Argument(help="A version in the model store, like 4.0.")]
) -> None:
    """Make a version once more from its snapshot, recipe and seed, and compare the two; keeps neither.

    Equal bytes on the same machine, releases and code, else answers within a tolerance. Leaves with 1 otherwise.
    What several processes fitted is made again by as many, which torchrun starts as for train.

    Example: demlopment models reproduce 4.0
    """
    from rich.console import Console

    from demlopment import training
    from demlopment.commands.progress import Progress
    from demlopment.lifecycle.reproduce import TOLERANCE, reproduced

    settings = settings_of(context)
    with training.gathered() as team:
        if not team.leads:
            training.join(team)
            return
        with Progress(Console(stderr=True), "epochs") as progress:
            told = partial(progress.heard, f"Version {version}")
            found = reproduced(home_of(settings), settings, version, told, team)
    if found.identical:
        say(f"Version {version} is reproduced bit for bit: {found.digest}.")
    else:
        within = "within" if found.difference <= TOLERANCE else "beyond"
        say(f"Version {version} is not the same bits ({found.digest[:12]}, now {found.again[:12]}).")
        say(f"Its answers differ by {found.difference:.4f} in probability on average, {within} the tolerance of {TOLERANCE}.")
        if not found.changed:
            say("Nothing has changed since, so it was not made as its card says.")
    for each in found.changed:
        say(f"Changed since: {each}.")
    if not found.close:
        raise typer.Exit(1)


def _line(each: "Check") -> str:
    between = "" if each.interval is None else f"{each.interval.low:.4g} to {each.interval.high:.4g}"
    bound = "" if each.bound is None else f"{'>=' if each.least else '<='} {each.bound:g}"
    outcome = "MISSED" if not each.met else "told" if each.bound is None else "kept"
    value = f"{each.value:.4g} {each.unit}".strip()
    return f"{each.group:12} {each.name:42} {value:>14}  {between:20} {bound:10} {outcome:7} {each.note}".rstrip()


def _described(path: Path) -> str:
    from demlopment import archive

    card = archive.read(path).card
    scores, lineage = card.scores, card.lineage
    return (
        f"{path}  {card.title}  accuracy {scores['accuracy']:.2%} "
        f"({scores['accuracy_low']:.2%} to {scores['accuracy_high']:.2%})  snapshot {lineage['snapshot']}"
    )
