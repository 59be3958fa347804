"""`demlopment data show`, `diff`, `checkout` and `gc`: look into pinned snapshots, give them away, and tidy up behind them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from demlopment.commands.place import home_of, lake_of, settings_of
from demlopment.commands.rows import arrived, chosen
from demlopment.commands.saying import say

SHOWN = 10  # of many names, so that a lake with thousands of writers still fits a screen
Name = Annotated[str, typer.Argument(help="A snapshot's name, as `demlopment data snapshots` shows it.")]


def show(context: typer.Context, name: Name) -> None:
    """Show what a snapshot holds, and that its rows are still those that were pinned.

    Example: demlopment data show mnist-5k-846f6cad-demlopment-1
    """
    from demlopment.data.snapshots import contents

    found = contents(lake_of(settings_of(context)), name)
    snapshot = found.snapshot
    say(f"{snapshot.name}: {snapshot.rows} rows, which are those that were pinned.")
    say(f"version      {snapshot.version}")
    say(f"digest       {snapshot.digest}")
    say(f"salt         {snapshot.salt}")
    say(f"commit       {snapshot.commit}")
    say(f"preparation  {snapshot.preparation}")
    for kind, counts in (("classes", found.classes), ("writers", found.writers), ("sources", found.sources)):
        say(f"{kind:12} {_counted(counts)}")
    say(f"files        {_counted(found.origins)}")
    for each in found.arrivals[-SHOWN:]:
        say(f"came         {arrived(each)}")


def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help="A snapshot's name.")],
    after: Annotated[str, typer.Argument(help="The name of the one that it is compared with.")],
) -> None:
    """Show which rows came, went or changed their label from one snapshot to another.

    Example: demlopment data diff train-1 train-2
    """
    from demlopment.data.snapshots import difference

    found = difference(lake_of(settings_of(context)), before, after)
    say(f"{len(found.added)} rows added, {len(found.removed)} removed, {len(found.relabelled)} relabelled.")
    for kind, moved in (("class", found.classes), ("writer", found.writers)):
        for label, (one, other) in list(moved.items())[:SHOWN]:
            say(f"{kind:6} {label}  {one} -> {other}")
        if len(moved) > SHOWN:
            say(f"{kind:6} ... and {len(moved) - SHOWN} more")
    for key, (first, second) in list(found.relabelled.items())[:SHOWN]:
        say(f"row    {key}  {first} -> {second}")


def checkout(
    context: typer.Context,
    name: Name,
    to: Annotated[Path, typer.Option("--to", help="A folder that does not exist yet.")],
    images: Annotated[bool, typer.Option("--images", help="PNG files in a folder for each class, and labels.csv.")] = False,
    rest: Annotated[bool, typer.Option("--rest", help="What is left, if rows of it were forgotten.")] = False,
) -> None:
    """Write a snapshot's rows into a folder: as Parquet, or as pictures.

    Example: demlopment data checkout train-1 --to digits --images
    """
    from demlopment.data.snapshots import checkout

    lake = lake_of(settings_of(context))
    snapshot = lake.rest(name) if rest else lake.named(name)
    folder = checkout(lake, snapshot, to, pictures=images)
    say(f"{snapshot.rows} rows of {name} are in {folder}.")


def gc(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only name the files.")] = False,
) -> None:
    """Delete the lake's files that neither its newest nor a pinned version has.

    Files of a killed writer go when they are a day old: until then it may be alive.

    Example: demlopment data gc --dry-run
    """
    from demlopment.data.garbage import sweep

    home = home_of(settings_of(context), growing=False)
    with home.locked("turn"):
        found = sweep(home.lake, copies=home.root, dry_run=dry_run)
    for table, files in found.items():
        for file in files if dry_run else ():
            say(f"{table}/{file}")
    count = sum(len(each) for each in found.values())
    say(f"{count} files {'would be' if dry_run else 'were'} deleted.")


def forget(
    context: typer.Context,
    source: Annotated[str | None, typer.Option(help="Forget every row of this source.")] = None,
    writer: Annotated[str | None, typer.Option(help="Forget every row of this writer.")] = None,
    row: Annotated[str | None, typer.Option(help="Forget the row with this key.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove rows wherever they live, and say which models learned from them.

    The lake, the quarantine and the journal forget at once; the bytes leave the disk with `demlopment data gc`.

    Example: demlopment data forget --writer ann --yes
    """
    from demlopment.data import Lake
    from demlopment.lifecycle.forget import forget

    column, value = chosen(source, writer, row)
    if not yes:
        typer.confirm(f"Forget every row with the {column} {value!r}? There is no way back.", abort=True)
    settings = settings_of(context)
    home = home_of(settings, growing=False)
    done = forget(home, Lake.of(home, settings.data), column, value)
    say(f"{done.examples} examples, {done.quarantined} rows in quarantine and {done.predictions} predictions were removed.")
    if done.waiting:
        say(f"{done.waiting} files of the journal are still written: stop the endpoint and forget again.")
    for name in done.snapshots:
        say(f"snapshot {name} has lost rows, and can only be had with `demlopment data checkout --rest`.")
    if done.cards:
        say(f"{done.cards} model cards say that rows were forgotten, and do not name what they were.")
    for path in done.models:
        say(f"model {path} learned from such a snapshot, or began with a model that did: train anew, then delete it.")
    say("Run `demlopment data gc` now: until then older files of the lake hold what was removed.")


def _counted(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name}: {count}" for name, count in list(counts.items())[:SHOWN])
    return f"{shown} ... of {len(counts)}" if len(counts) > SHOWN else shown
