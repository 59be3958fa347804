"""`demlopment data quarantine`: see which rows are bad and why, take them out to be looked at, and try them again."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demlopment.commands.hush import hushed
from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say, visible

if TYPE_CHECKING:
    from demlopment.data import Lake
    from demlopment.home import Home


def quarantine(
    context: typer.Context,
    source: Annotated[str | None, typer.Option(help="Only rows of this source.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only rows with these words in a reason.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Name so many of the rows too.")] = 0,
    export: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the rows into this new folder: pictures, and rows.csv.")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Judge all rows again, and take in those that are good now.")
    ] = False,
    fixes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --replay: a CSV file with columns name and label, the true one.")
    ] = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Remove the rows for good; their source does not bring them back.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --drop: do not ask.")] = False,
) -> None:
    """Show how many rows are in quarantine, by reason; write them out, try them again with labels put right, or drop them.

    Example: demlopment data quarantine --replay --fixes bad/rows.csv

    Example: demlopment data quarantine --drop --reason "image is blank"
    """
    if fixes is not None and not replay:
        raise typer.BadParameter("Give --fixes together with --replay.")
    if replay and (export is not None or source is not None or reason is not None or limit):
        raise typer.BadParameter("Give --replay alone or with --fixes: it is about every row.")
    if drop and (replay or export is not None or limit):
        raise typer.BadParameter("Give --drop alone or with --source or --reason: which rows are dropped.")
    if yes and not drop:
        raise typer.BadParameter("Give --yes together with --drop.")
    from demlopment.data import Lake

    settings = settings_of(context)
    home = home_of(settings, growing=replay)
    lake = Lake.of(home, settings.data)
    if replay:
        _replay(home, lake, fixes)
    elif drop:
        _drop(home, lake, source, reason, asking=not yes)
    elif export is not None:
        _export(lake, export, source, reason)
    else:
        _show(lake, source, reason, limit)


def show_counts(counts: Mapping[str, int]) -> None:
    """A line for each reason."""
    for reason, count in counts.items():
        say(f"{count:6}  {reason}")


def _show(lake: "Lake", source: str | None, reason: str | None, limit: int) -> None:
    from demlopment.data.exhibits import LISTED, chosen, counted

    rows = lake.bad.found(chosen(source, reason), LISTED)
    say(f"{len(rows)} rows in quarantine.")
    show_counts(counted(rows["reasons"]))
    for row in rows.sort("source", "origin", "row", "name").head(limit).iter_rows(named=True):
        where = f"row {row['row']} of {row['source']}" + (f" ({row['place']})" if row["place"] else "")
        say(visible(f"{row['name']}  {where}, label {row['label']}: {row['reasons']}"))


def _export(lake: "Lake", folder: Path, source: str | None, reason: str | None) -> None:
    from demlopment.data.exhibits import LIST, chosen, export

    count = export(lake.bad, folder, chosen(source, reason))
    say(f"{count} rows are in {folder}.")
    say(f"Put their labels right in {folder / LIST}, and give it to `demlopment data quarantine --replay --fixes`.")


def _drop(home: "Home", lake: "Lake", source: str | None, reason: str | None, *, asking: bool) -> None:
    from demlopment.data.exhibits import chosen

    where = chosen(source, reason)
    if asking:
        count = len(lake.bad.found(where, ("name",)))
        typer.confirm(f"Drop {count} rows from quarantine? There is no way back.", abort=True)
    with home.locked("turn"):
        say(f"{lake.bad.drop(where)} rows were dropped from quarantine. Run `demlopment data gc` to free their room.")


def _replay(home: "Home", lake: "Lake", fixes: Path | None) -> None:
    from rich.console import Console

    from demlopment.commands.progress import Progress
    from demlopment.data.corrections import NOTHING_SAID, corrections
    from demlopment.lifecycle.provenance import commit

    said = NOTHING_SAID if fixes is None else corrections(fixes)
    with home.locked("turn"), hushed(), Progress(Console(stderr=True)) as progress:
        done = lake.replay(said, progress.counted("quarantine", None), commit=commit())
    say(f"{done.rows} rows: {done.added} added, {done.known} known, {done.rejected} still in quarantine.")
    show_counts(done.quarantined)
