"""The command line: which commands there are, and how a failure is shown. Decides nothing.

Heavy libraries are imported inside the commands, so that `demlopment --help` answers at once.
"""

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from demlopment import __version__
from demlopment.commands import (
    data,
    endpoint,
    lineage,
    loop,
    migrating,
    models,
    monitor,
    retraining,
    schedule,
    search,
    simulating,
    traffic,
)
from demlopment.commands.saying import say, visible
from demlopment.errors import DemlopmentError
from demlopment.home import REMEDIES

# Set before a command imports the library that reads it; a value that the user has set is kept.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DAGSTER_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "RUST_LOG": "off",  # of the libraries below Delta: what matters reaches us as an error, and is said in our words
    "OPENCV_LOG_LEVEL": "SILENT",  # likewise: a picture that cannot be decoded is a row in quarantine with its reason
    # polars gives memory back after a tenth of a second, and its threads share one arena; by itself it keeps most of it: 60 MB
    # more while a source is ingested, and 14 to 60 more for 2 million rows.
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:100,muzzy_decay_ms:0,narenas:1",
}
INTERRUPTED = 130  # what shells, and Typer, call a process that Ctrl-C ended
REPEATABLE = "Interrupted. Run the same command again: what was finished is kept."
TERMINATED: list[int] = []  # signals that asked this process to end

HELP = "Machine learning in production: data, model, endpoint, monitoring, and the loop that joins them."
app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
for command in (
    loop.demo,
    search.search,
    loop.train,
    retraining.retrain,
    simulating.simulate,
    endpoint.serve,
    endpoint.predict,
    migrating.migrate,
    schedule.schedule,
    loop.history,
    lineage.lineage,
):
    app.command()(command)
app.command("settings")(loop.show_settings)
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(traffic.app, name="traffic")
app.add_typer(monitor.app, name="monitor")


def main() -> None:
    """Run the command line; every failure exits non-zero with two sentences, and `--debug` shows the traceback."""
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    signal.signal(signal.SIGTERM, _interrupt)  # a polite kill cleans up like Ctrl-C
    try:
        app()
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            say(REPEATABLE, err=True)
        raise
    except Exception as error:  # noqa: BLE001  # the last place before a person, who must not meet a traceback
        _end(error)


def _end(error: Exception) -> NoReturn:
    if _interrupted(error):
        say(REPEATABLE, err=True)
        sys.exit(INTERRUPTED)
    if isinstance(error, DemlopmentError):
        _fail(error.problem, error.remedy)
    if isinstance(error, OSError) and error.errno in REMEDIES:
        _fail(f"{error.filename or 'A file'} cannot be used: {error.strerror}.", REMEDIES[error.errno])
    _unexpected(error)


def _interrupted(error: BaseException | None) -> bool:
    """Whether an interruption is behind it: a library in whose middle one arrives makes an error of its own of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None or bool(TERMINATED)


def _unexpected(error: Exception) -> NoReturn:
    _fail(
        f"Something unexpected happened: {type(error).__name__}: {error}.",
        "This is a fault of ours: run the command again with --debug in front, and report what it prints.",
    )


def _interrupt(number: int, _: object) -> None:
    TERMINATED.append(number)
    raise KeyboardInterrupt


def _fail(problem: str, remedy: str) -> NoReturn:
    if "--debug" in sys.argv:
        traceback.print_exc()
    say(visible(f"Error: {problem} {remedy}".strip()), err=True)  # a name may break a line too
    sys.exit(1)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"demlopment {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option(help="Where everything lives [default: var, or DEMLOPMENT_HOME].")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = {} if home is None else {"home": home}
