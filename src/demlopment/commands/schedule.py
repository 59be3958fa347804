"""`demlopment schedule`: bring Dagster up with the loop's steps. Knows of Dagster how it is started, and imports none of it."""

import os
import signal
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say
from demlopment.errors import SettingsError

FILE = "dagster.yaml"
# What is there already stays: runs may be launched elsewhere by it.
INSTANCE = """\
# Dagster's own settings: https://docs.dagster.io/deployment/oss/dagster-yaml
# A run is a process on this machine, unless a run_launcher says otherwise: docs/orchestration.md has two.
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1  # one home is turned by one process at a time
"""


def schedule(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address that the page binds to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its port.")] = 3000,
) -> None:
    """Run the loop's steps by Dagster until Ctrl-C: when they are due, and when production asks for them. With a page.

    Everything that Dagster remembers is below dagster/ of the home. Nothing leaves this machine.

    Example: demlopment schedule --port 3001
    """
    if find_spec("dagster") is None or find_spec("dagster_webserver") is None:
        raise SettingsError(
            "Dagster is not installed.", "Install it: make venv_orchestrate, or pip install demlopment[orchestrate]."
        )
    _refuse_taken(host, port)
    home = home_of(settings_of(context))
    folder = prepared(home.root / "dagster")
    ours = {"DAGSTER_HOME": str(folder.resolve()), "DEMLOPMENT_HOME": str(home.root.resolve())}
    say(f"Dagster comes up on http://{host}:{port}; Ctrl-C stops it.")
    command = [sys.executable, "-m", "dagster", "dev", "-m", "demlopment.orchestrate", "-h", host, "-p", str(port)]
    sys.stdout.flush()
    # Dagster ends its processes by SIGINT, which they would ignore if whoever started us in the background has us ignore it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(sys.executable, command, os.environ | ours)  # noqa: S606  in our place, so that signals reach it


def _refuse_taken(host: str, port: int) -> None:
    """Raise SettingsError where the page cannot come up: Dagster would say so after ten seconds, in a traceback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"{host}:{port} cannot be used: {error.strerror}.", "Name another with --host or --port."
            ) from error


def prepared(folder: Path) -> Path:
    """Dagster's home, with settings of ours unless it has some."""
    from demlopment.home import replace

    folder.mkdir(exist_ok=True)
    if not (folder / FILE).exists():
        replace(folder / FILE, INSTANCE.encode())
    return folder
