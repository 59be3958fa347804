"""Which rows a command is about: those of a source, of a writer, or the one with a key."""

from typing import Literal

import typer

Column = Literal["source", "writer", "key"]


def chosen(source: str | None, writer: str | None, row: str | None) -> tuple[Column, str]:
    """The one of them that was given. Raises typer.BadParameter for none or several."""
    given: dict[Column, str | None] = {"source": source, "writer": writer, "key": row}
    named = [(column, value) for column, value in given.items() if value is not None]
    if len(named) != 1:
        raise typer.BadParameter("Give one of --source, --writer and --row.")
    return named[0]
