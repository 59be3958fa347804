"""`demlopment data`: ingest examples, and see what the lake holds."""

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demlopment.commands import quarantine as bad
from demlopment.commands import review
from demlopment.commands import snapshots as pinned
from demlopment.commands.hush import hushed
from demlopment.commands.place import home_of, lake_of, settings_of
from demlopment.commands.saying import say

if TYPE_CHECKING:
    from demlopment.data import Lake
    from demlopment.data.sources import Source
    from demlopment.data.sources.delimited import Side
    from demlopment.home import Home

M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8  # of malloc.h
TRIMMED = 128 * 1024  # bytes free at its top that glibc gives back to the system

app = typer.Typer(help="Ingest examples, and see what the lake holds.", no_args_is_help=True)
COMMANDS = (
    bad.quarantine,
    pinned.show,
    pinned.diff,
    pinned.checkout,
    pinned.gc,
    pinned.forget,
    review.doubts,
    review.ask,
    review.review,
)
for command in COMMANDS:
    app.command()(command)


@app.callback()
def frugal() -> None:
    """Let all threads share one arena of glibc, and have it give back what is free: by itself it keeps 30 to 100 MB."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):  # other C libraries have no arenas
        allocator.mallopt(M_ARENA_MAX, 1)
        # glibc's own number, but a fixed one: otherwise it rises to twice the largest block that was ever freed, to 64 MB.
        allocator.mallopt(M_TRIM_THRESHOLD, TRIMMED)


@app.command("ingest")
def ingest(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="[SET]",
            help="mnist, emnist-balanced, emnist-letters or qmnist, downloaded unless --from has it; or feedback.",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A folder or zip of pictures, IDX, CSV, Parquet, .npz or pen strokes as JSON [default: the packaged digits].",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="[first|last|FILE]",
            help="Where the label stands in lines without names, if they leave it open; or the file of IDX pictures' labels.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the source is called in the lake [default: file name and digest].")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Under which licence its rows are [default: not stated].")] = None,
) -> None:
    """Add a source's good rows to the lake, and its bad ones to quarantine with their reasons.

    A folder has a picture a file in folders named after the labels, or a CSV with the columns file and label beside them.
    `feedback` is what came back from production: labels, and pictures that the model was not sure of, to be labelled.

    Example: demlopment data ingest --from digits/ --name our-digits

    Example: demlopment data ingest mnist
    """
    from rich.console import Console

    from demlopment.commands.progress import Progress
    from demlopment.data import Lake, opened
    from demlopment.lifecycle.provenance import commit

    settings = settings_of(context)
    home = home_of(settings)
    lake = Lake.of(home, settings.data)
    if dataset is not None:
        if name or licence or labels:
            raise typer.BadParameter(f"{dataset} says all of that itself: leave --name, --licence and --labels out.")
        sources, label = _called(home, lake, dataset, source), True
    else:
        sources, label = (opened(source or settings.data.source, name=name, licence=licence, labels=_stated(labels)),), False
    with home.locked("turn"):
        for each in sources:
            with hushed(), Progress(Console(stderr=True)) as progress:
                heard = progress.counted(each.name, each.rows)
                added = lake.add(each, heard, commit=commit())
            counts = f"{added.rows} rows: {added.added} added, {added.known} known, {added.rejected} in quarantine."
            say(f"{each.name}: {counts}" if label else counts)
            bad.show_counts(added.quarantined)


def _stated(labels: str | None) -> "Side | Path | None":
    """What --labels says."""
    match labels:
        case None | "first" | "last":
            return labels
        case _:
            return Path(labels)


def _called(home: "Home", lake: "Lake", dataset: str, source: Path | None) -> "tuple[Source, ...]":
    """The sources that have a name of their own."""
    from demlopment.data.sources import FEEDBACK
    from demlopment.lifecycle.returns import production

    if dataset != FEEDBACK:
        return _official(home, dataset, source)
    if source is not None:
        raise typer.BadParameter("Feedback comes from this home's own journal: leave --from out.")
    return (production(home, set(lake.asked.all()["request_id"])),)


def _official(home: "Home", dataset: str, source: Path | None) -> "tuple[Source, ...]":
    """The sources of an official set, with a word about what could not be verified."""
    from rich.console import Console

    from demlopment.commands.progress import Progress
    from demlopment.data.sources import fetched, given

    with home.locked("download"), Progress(Console(stderr=True), "MB") as progress:
        held = fetched(dataset, home.downloads, progress.heard) if source is None else given(dataset, source, home.downloads)
    for path in held.unverified:
        say(f"{path} is not packed as it is published: its checksum was not compared.", err=True)
    return held.sources


@app.command("compact")
def compact(context: typer.Context) -> None:
    """Move the journal's complete files into the lake, and delete those that were kept there long enough.

    Run it once an hour or so, also while the endpoint serves.

    Example: demlopment data compact
    """
    from demlopment.data import Answers
    from demlopment.lifecycle.compact import compact

    settings = settings_of(context)
    home = home_of(settings)
    done = compact(home, Answers(home.lake), settings.endpoint)
    say(
        f"{done.moved} files moved into the lake with {done.predictions} predictions and {done.labels} labels, "
        f"{done.removed} removed, {done.waiting} still in use."
    )


@app.command("snapshots")
def snapshots(context: typer.Context) -> None:
    """List the pinned snapshots.

    Example: demlopment data snapshots
    """
    for snapshot in lake_of(settings_of(context)).snapshots().values():
        say(f"{snapshot.name}  version {snapshot.version}  {snapshot.rows} rows  {snapshot.digest[:12]}")


@app.command("audit")
def audit(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[SNAPSHOT]", help="[default: the last one pinned]")] = None,
) -> None:
    """Look for what stands in two parts of a snapshot's split, and for classes that chance would not spread so.

    Example: demlopment data audit
    """
    from demlopment.data.leaks import leaks
    from demlopment.data.splits import left_out, shares, split

    lake = lake_of(settings_of(context))
    snapshot = lake.named(name or next(reversed(lake.snapshots()), ""))
    examples = lake.load(snapshot)
    divided = split(examples, snapshot.salt)
    found, spread = leaks(divided), shares(divided)
    for leak in found:
        say(str(leak))
    for share in spread:
        if share.strange:
            say(f"{share.part}: {share.rows} rows of class {share.label}, not {share.expected:.0f} +- {share.tolerance:.0f}")
    say(
        f"{snapshot.name}: {len(found)} leaks, {sum(share.strange for share in spread)} of {len(spread)} class shares beyond "
        f"chance; {len(left_out(examples, snapshot.salt))} of {len(examples)} rows left out as near-duplicates."
    )
    if found:
        raise typer.Exit(1)
