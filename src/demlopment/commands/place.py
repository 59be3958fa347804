"""Where a command works: the settings it was given, and its home opened. Knows no command."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from demlopment.home import Home
    from demlopment.settings import Settings


def settings_of(context: typer.Context) -> "Settings":
    """The settings of this process, with what stood before the command on top."""
    from demlopment import settings

    return settings.load(**context.obj)


def home_of(settings: "Settings") -> "Home":
    """The home, created if need be and seen to be writable."""
    from demlopment.home import Home

    home = Home(settings.home)
    home.open()
    return home
