"""`demlopment monitor`: what production says, and the files by which Prometheus and Grafana watch it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from demlopment.aside import give_way
from demlopment.commands import loop
from demlopment.commands.place import home_of, settings_of
from demlopment.commands.saying import say

if TYPE_CHECKING:
    from demlopment.monitoring.watched import Objectives
    from demlopment.settings import Settings

DEFAULT = "traffic"
JOB = "demlopment"
Folder = Annotated[Path, typer.Option("--to", help="The folder to write into; it is created if need be.")]
Job = Annotated[str, typer.Option(help="The job under which Prometheus scrapes the endpoint.")]


class Monitor(TyperGroup):
    """An archive in the place of a command is what the traffic is compared with."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=Monitor,
    help="Compare the journalled traffic with what a model was made for, or write rules and dashboards.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command(DEFAULT)(loop.monitor)


@app.command()
def look(
    context: typer.Context,
    archive: Annotated[
        Path | None, typer.Argument(help="Of the version that is looked at [default: who answers most].")
    ] = None,
    model: Annotated[str, typer.Option(help="Whose champion is looked at where no archive is named.")] = "digits",
) -> None:
    """Let all monitors look at what production says of a version: a sentence first, then each of them.

    Example: demlopment monitor look
    """
    import time

    settings = settings_of(context)
    give_way(settings.monitoring.niceness)  # from the imports on, which take a second of a processor
    from demlopment import archive as archives
    from demlopment.lifecycle import watching

    home = home_of(settings)
    looked_at = watching.champion(home, model, settings.endpoint.model_store) if archive is None else archives.read(archive)
    found = watching.watch(home, settings.monitoring, looked_at, time.time())
    say(found.sentence)
    for each in found.panel.findings:
        state = "BROKEN" if each.broken else "ALARM" if each.alarm else "quiet"
        figures = [] if each.value is None else [f"value {each.value:.4g}"]
        if each.interval is not None:
            figures.append(f"{each.interval.low:.4g} to {each.interval.high:.4g}")
        if each.threshold is not None:
            figures.append(f"threshold {each.threshold:.3g}")
        say(f"{state:6}  {each.monitor}: {', '.join((*figures, each.sentence))}")
    say(f"{found.answers} answers and {found.labels} labels; {found.path} has it for the endpoint.")


@app.command()
def rules(context: typer.Context, to: Folder, job: Job = JOB) -> None:
    """Write the recording and alerting rules that Prometheus loads.

    Example: demlopment monitor rules --to /etc/prometheus
    """
    promised = objectives(settings_of(context), job)

    from demlopment.monitoring import rules

    _write(to / "demlopment.rules.yml", rules.rules(promised))


@app.command()
def dashboards(context: typer.Context, to: Folder) -> None:
    """Write the dashboard that Grafana imports or provisions.

    Example: demlopment monitor dashboards --to /var/lib/grafana/dashboards
    """
    promised = objectives(settings_of(context))

    from demlopment.monitoring import dashboards

    _write(to / "demlopment.json", dashboards.dashboard(promised))


def objectives(settings: "Settings", job: str = JOB) -> "Objectives":
    """What the settings promise. Raises SettingsError for a time that the endpoint's histogram does not tell apart."""
    from demlopment.errors import SettingsError
    from demlopment.monitoring.watched import Objectives
    from demlopment.serving.tally import BOUNDS

    wanted, slow = settings.alerts, settings.monitoring.slow_milliseconds / 1000
    if slow not in BOUNDS:
        raise SettingsError(
            f"The setting monitoring.slow_milliseconds is {1000 * slow:g}, between two bounds of the endpoint's histogram.",
            f"Choose one of {', '.join(f'{1000 * bound:g}' for bound in BOUNDS)}.",
        )
    return Objectives(
        job,
        wanted.availability,
        slow,
        wanted.fast,
        wanted.champion_days,
        wanted.label_days,
        wanted.journal_hours,
        wanted.runbooks,
    )


def _write(path: Path, text: str) -> None:
    from demlopment import home

    home.replace(path, text.encode())
    say(str(path))
