"""Where a command works: the settings it was given, its home opened, and the lake. Knows no command."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from demlopment.data import Lake
    from demlopment.home import Home
    from demlopment.settings import Settings


def settings_of(context: typer.Context) -> "Settings":
    """The settings of this process, with what stood before the command on top."""
    from demlopment import settings

    return settings.load(**context.obj)


def home_of(settings: "Settings", *, growing: bool = True) -> "Home":
    """The home, created if need be, and seen to be writable and to have room unless a command only looks or removes."""
    from demlopment.home import Home

    home = Home(settings.home, settings.data.lake)
    home.open(growing=growing)
    return home


def lake_of(settings: "Settings") -> "Lake":
    """The lake of that home, to be looked at."""
    from demlopment.data import Lake

    return Lake.of(home_of(settings, growing=False), settings.data)
