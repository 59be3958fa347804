"""Which rows a command is about (those of a source, of a writer, or the one with a key), and how they came in."""

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from demlopment.data.runs import Arrival

Column = Literal["source", "writer", "key"]


def chosen(source: str | None, writer: str | None, row: str | None) -> tuple[Column, str]:
    """The one of them that was given. Raises typer.BadParameter for none or several."""
    given: dict[Column, str | None] = {"source": source, "writer": writer, "key": row}
    named = [(column, value) for column, value in given.items() if value is not None]
    if len(named) != 1:
        raise typer.BadParameter("Give one of --source, --writer and --row.")
    return named[0]


def arrived(arrival: "Arrival") -> str:
    """When and how rows came in, in a line."""
    run = arrival.run
    if run is None:
        return f"{arrival.rows} rows before runs were noted"
    digest = f" {run.sha256[:12]}" if run.sha256 else ""
    return f"{arrival.rows} rows  {moment(run.at)}  run {run.id}  of {run.source}{digest}  commit {run.commit[:12]}"


def moment(at: float) -> str:
    """A time (seconds since 1970) as people here write it."""
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")
