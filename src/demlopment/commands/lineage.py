"""`demlopment lineage`: where an answer came from, and whom a source or a row touched."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.rows import arrived, chosen, moment
from demlopment.commands.saying import say

if TYPE_CHECKING:
    from demlopment.home import Home
    from demlopment.lifecycle.lineage import Ancestry, Descent
    from demlopment.settings import Settings
    from demlopment.training import Tracker

SHOWN = 5  # of many names; --json has them all


def lineage(
    context: typer.Context,
    request_id: Annotated[str | None, typer.Argument(help="Of an answer, from its header x-request-id.")] = None,
    source: Annotated[str | None, typer.Option(help="Instead: whom did the rows of this source touch?")] = None,
    writer: Annotated[str | None, typer.Option(help="Instead: whom did the rows of this writer touch?")] = None,
    row: Annotated[str | None, typer.Option(help="Instead: whom did the row with this key touch?")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Trace an answer back to the files it was learned from, or rows forward to whom they touched.

    Example: demlopment lineage --source feedback
    """
    if (request_id is not None) == bool(source or writer or row):
        raise typer.BadParameter("Give a request id, or one of --source, --writer and --row.")
    from demlopment.data import Lake
    from demlopment.lifecycle.lineage import ancestry, descent

    settings = settings_of(context)
    home = home_of(settings, growing=False)
    lake = Lake.of(home, settings.data)
    if request_id is not None:
        found = ancestry(home, lake, _tracker(home, settings), request_id)
        say(json.dumps([asdict(each) for each in found], indent=2) if as_json else "\n\n".join(map(_told, found)))
    else:
        touched = descent(home, lake, *chosen(source, writer, row))
        say(json.dumps(asdict(touched), indent=2) if as_json else described(touched))


def described(descent: "Descent") -> str:
    """How rows came in and whom they touched, in lines; of many runs and reviews the last."""
    lines = [f"came        {arrived(each)}" for each in descent.arrivals[-SHOWN:]]
    lines += [
        f"review      {each.was} -> {'dropped' if each.label is None else each.label}  {moment(each.at)}  by {each.by}"
        for each in descent.reviews[-SHOWN:]
    ]
    lines.append(f"{descent.rows} rows, which touched:")
    lines += [f"snapshot    {name}  {rows} of its rows" for name, rows in descent.snapshots.items()]
    lines += [
        f"model       {each.model} {each.version}  learned from {each.learned} of them in {each.snapshot}, "
        f"{f'began with {each.model} {each.began_with}, ' if each.began_with else ''}and gave {each.predictions} answers"
        for each in descent.models
    ]
    lines.append(f"requests    {len(descent.predictions)} showed such a picture{_listed(descent.predictions)}")
    return "\n".join(lines)


def _told(ancestry: "Ancestry") -> str:
    snapshot = ancestry.snapshot
    when = moment(ancestry.at)
    lines = [
        f"request     {ancestry.request_id}  {when}  answered {ancestry.said!r}",
        f"model       {ancestry.model} {ancestry.version}",
        f"archive     {ancestry.archive}",
        f"run         {ancestry.run}",
        f"commit      {ancestry.commit}",
    ]
    if snapshot is not None:
        lines.append(f"snapshot    {snapshot.name}  version {snapshot.version}  {snapshot.rows} rows  {snapshot.digest}")
    for each in ancestry.taught:
        lines.append(f"learned     {each.rows} rows of {each.source}")
        lines += [f"  file      {sha256}" for sha256 in each.files]
        if each.requests:
            lines.append(f"  requests  {len(each.requests)}{_listed(each.requests)}")
    return "\n".join([*lines, *(f"missing     {why}" for why in ancestry.missing)])


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return f": {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"


def _tracker(home: "Home", settings: "Settings") -> "Tracker | None":
    """The tracker, if anything was ever tracked: looking makes none."""
    from demlopment.training import MlflowTracker

    uri = settings.training.tracking_uri
    if not uri and not home.tracking.exists():
        return None
    return MlflowTracker(uri or f"sqlite:///{home.tracking.resolve()}", home.artifacts)
