"""How a command says something: names of files and sources are data, and must not steer a terminal. Knows no command."""

import unicodedata

import typer


def say(text: str, *, err: bool = False) -> None:
    """A line, or several, on standard output or standard error."""
    typer.echo("\n".join(map(visible, text.split("\n"))), err=err)


def visible(text: str) -> str:
    r"""The text with escapes for what steers a terminal, is no character, or cannot be seen; spaces of any width stay.

    >>> print(visible("e\x1b[31mf\n\udcff \u202egepj.csv, Größe 3 µm"))
    e\x1b[31mf\n\udcff \u202egepj.csv, Größe 3 µm
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or unicodedata.category(each) == "Zs" else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
