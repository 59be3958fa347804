"""The command line: builds the settings, calls one verb, shows the result or two sentences of error. Decides nothing.

Heavy libraries are imported inside the commands, so that `demlopment --help` answers at once.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demlopment import __version__
from demlopment.errors import DataError, DemlopmentError, NotReadyError, StoryError

if TYPE_CHECKING:
    from demlopment.home import Home
    from demlopment.serving import Addresses
    from demlopment.settings import Settings

# Set before a command imports the library that would phone home; a value that the user has set is kept.
SILENCED = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
INTERRUPTED = 130  # what shells, and Typer, call a process that Ctrl-C ended

HELP = "Machine learning in production: data, model, endpoint, monitoring, and the loop that joins them."
app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
data = typer.Typer(help="Ingest examples, and see what the lake holds.", no_args_is_help=True)
models = typer.Typer(help="List and verify model archives.", no_args_is_help=True)
traffic = typer.Typer(help="Split the traffic of a running endpoint between two versions.", no_args_is_help=True)
app.add_typer(data, name="data")
app.add_typer(models, name="models")
app.add_typer(traffic, name="traffic")


def main() -> None:
    """Run the command line; every failure exits non-zero with two sentences, and `--debug` shows the traceback."""
    for variable, value in SILENCED.items():
        os.environ.setdefault(variable, value)
    signal.signal(signal.SIGTERM, _interrupt)  # a polite kill cleans up like Ctrl-C
    try:
        app()
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            typer.echo("Interrupted. Run the same command again: what was finished is kept.", err=True)
        raise
    except DemlopmentError as error:
        _fail(error.problem, error.remedy)
    except Exception as error:  # noqa: BLE001  # the last place before a person, who must not meet a traceback
        _fail(
            f"Something unexpected happened: {type(error).__name__}: {error}.",
            "This is a fault of ours: run the command again with --debug in front, and report what it prints.",
        )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _fail(problem: str, remedy: str) -> None:
    if "--debug" in sys.argv:
        traceback.print_exc()
    typer.echo(f"Error: {problem} {remedy}".strip(), err=True)
    sys.exit(1)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"demlopment {__version__}")
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


def _settings(context: typer.Context) -> "Settings":
    from demlopment import settings

    return settings.load(**context.obj)


def _home(settings: "Settings") -> "Home":
    from demlopment.home import Home

    home = Home(settings.home)
    home.open()
    return home


@app.command()
def demo(context: typer.Context) -> None:
    """Turn the whole loop once on real digits, and write a report.

    Example: demlopment demo
    """
    settings = _settings(context)
    home = _home(settings)

    from rich.console import Console

    from demlopment.lifecycle.claims import claims
    from demlopment.lifecycle.loop import turn
    from demlopment.terminal import Terminal
    from demlopment.web import report

    with Terminal(Console()) as terminal:
        story = turn(home, settings, terminal)
    path = report.write(story, home.report)
    made = claims(story)
    for claim in made:
        typer.echo(f"{'yes' if claim.held else 'NO '}  {claim.sentence}")
    typer.echo(f"One turn in {story.seconds:.0f} s; {story.champion} is the champion. The report, which opens in any browser:")
    typer.echo(path)
    broken = [claim.sentence for claim in made if not claim.held]
    if broken:
        raise StoryError(f"The turn did not do what it claims: {broken[0]}.", f"Look at the evidence in {path}.")


@data.command("ingest")
def data_ingest(
    context: typer.Context,
    source: Annotated[Path | None, typer.Option("--from", help="A file like mnist_5k.csv.gz [default: that file].")] = None,
) -> None:
    """Add a source's good rows to the lake, and its bad ones to quarantine with their reasons.

    Example: demlopment data ingest --from digits.csv.gz
    """
    from demlopment.data import Lake, packaged_digits

    settings = _settings(context)
    home = _home(settings)
    with home.locked("turn"):
        added = Lake(home.lake).add(packaged_digits(source or settings.data.source))
    typer.echo(f"{added.rows} rows: {added.added} added, {added.known} known, {added.rejected} in quarantine.")
    _show_counts(added.quarantined)


@data.command("quarantine")
def data_quarantine(context: typer.Context) -> None:
    """Show how many rows are in quarantine, by reason.

    Example: demlopment data quarantine
    """
    from collections import Counter

    from demlopment.data import Lake

    rows = Lake(_home(_settings(context)).lake).quarantine()
    typer.echo(f"{len(rows)} rows in quarantine.")
    _show_counts(Counter(reason for row in rows for reason in row.reasons))


@data.command("snapshots")
def data_snapshots(context: typer.Context) -> None:
    """List the pinned snapshots.

    Example: demlopment data snapshots
    """
    from demlopment.data import Lake

    for snapshot in Lake(_home(_settings(context)).lake).snapshots().values():
        typer.echo(f"{snapshot.name}  version {snapshot.version}  {snapshot.rows} rows  {snapshot.digest[:12]}")


def _show_counts(counts: Mapping[str, int]) -> None:
    for reason, count in counts.items():
        typer.echo(f"{count:6}  {reason}")


@models.command("list")
def models_list(context: typer.Context) -> None:
    """List the archives of the model store with their scores; a broken one is named.

    Example: demlopment models list
    """
    for path in sorted(_home(_settings(context)).models.glob("*.mar")):
        try:
            typer.echo(_described(path))
        except DemlopmentError as error:
            typer.echo(f"{path}  broken: {error}")


@models.command("verify")
def models_verify(archive: Annotated[Path, typer.Argument(help="A .mar file.")]) -> None:
    """Check every member of an archive against its checksum.

    Example: demlopment models verify var/models/digits-1.0.mar
    """
    typer.echo(_described(archive))


def _described(path: Path) -> str:
    from demlopment import archive

    card = archive.read(path).card
    scores, lineage = card.scores, card.lineage
    return (
        f"{path}  {card.title}  accuracy {scores['accuracy']:.2%} "
        f"({scores['accuracy_low']:.2%} to {scores['accuracy_high']:.2%})  snapshot {lineage['snapshot']}"
    )


@app.command()
def serve(
    context: typer.Context,
    until_stdin_closes: Annotated[
        bool, typer.Option(help="For programs: print the addresses as one line of JSON, and stop when standard input closes.")
    ] = False,
) -> None:
    """Serve every registered model on the three ports until Ctrl-C.

    Example: DEMLOPMENT_ENDPOINT__INFERENCE_PORT=9080 demlopment serve
    """
    from demlopment import serving

    settings = _settings(context)
    home = _home(settings)

    def ready(addresses: "Addresses") -> None:
        if until_stdin_closes:
            print(json.dumps(asdict(addresses)), flush=True)
        else:
            _show_curl_lines(addresses, home)

    serving.serve(home, settings.endpoint, leash=until_stdin_closes, ready=ready)


def _show_curl_lines(addresses: "Addresses", home: "Home") -> None:
    typer.echo("Ready. Paste one of these into another terminal; Ctrl-C stops the endpoint.")
    typer.echo(f"  curl -T {home.endpoint / 'sample.png'} {addresses.inference}/predictions/digits")
    typer.echo(f"  curl {addresses.management}/models/digits")
    typer.echo(f"  curl {addresses.metrics}/metrics")


@app.command()
def predict(
    context: typer.Context,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures of one character each.")],
    model: Annotated[str, typer.Option(help="Which model answers.")] = "digits",
) -> None:
    """Ask the running endpoint what pictures show.

    Example: demlopment predict var/endpoint/sample.png
    """
    import httpx2

    with httpx2.Client(base_url=_running(context).inference) as http:
        for picture in pictures:
            answer = http.post(f"/predictions/{model}", content=_bytes_of(picture), headers={"accept": "application/json"})
            said = _expect(answer)
            typer.echo(f"{picture}  {said['label']}  {said['confidence']:.1%}  by {said['model']} {said['version']}")


def _bytes_of(picture: Path) -> bytes:
    try:
        return picture.read_bytes()
    except OSError as error:
        raise DataError(f"{picture} cannot be read: {error.strerror}.", "Give the path of a picture.") from error


def _running(context: typer.Context) -> "Addresses":
    from demlopment import serving

    home = _home(_settings(context))
    addresses = serving.running(home)
    if addresses is None:
        raise NotReadyError(f"No endpoint is running on {home.root}.", "Start one: demlopment serve.")
    return addresses


def _expect(answer: Any) -> Any:
    """The JSON of a successful answer; what the endpoint says otherwise, as an error."""
    if not answer.is_success:
        raise DataError(f"The endpoint answered {answer.status_code}: {answer.json()['message']}", "Correct the request.")
    return answer.json()


@traffic.command("show")
def traffic_show(context: typer.Context, model: Annotated[str, typer.Argument()] = "digits") -> None:
    """Show a model's traffic plan.

    Example: demlopment traffic show digits
    """
    _manage(context, "GET", model)


@traffic.command("split")
def traffic_split(
    context: typer.Context,
    control: Annotated[str, typer.Option(help="The version that most units keep.")],
    treatment: Annotated[str, typer.Option(help="The version that a share of the units meets.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="That share, 0 to 1.")] = 0.5,
    salt: Annotated[str, typer.Option(help="Another salt is another assignment; keep it to raise a share.")] = "1",
    model: Annotated[str, typer.Option()] = "digits",
) -> None:
    """Split a model's traffic between two registered versions; the same unit always meets the same one.

    Example: demlopment traffic split --control 3.0 --treatment 4.0 --share 0.1
    """
    _manage(context, "PUT", model, {"control": control, "treatment": treatment, "share": share, "salt": salt})


@traffic.command("end")
def traffic_end(context: typer.Context, model: Annotated[str, typer.Argument()] = "digits") -> None:
    """End a split: every request goes to the default version again.

    Example: demlopment traffic end digits
    """
    _manage(context, "DELETE", model)


def _manage(context: typer.Context, method: str, model: str, plan: dict[str, Any] | None = None) -> None:
    import httpx2

    with httpx2.Client(base_url=_running(context).management) as http:
        typer.echo(json.dumps(_expect(http.request(method, f"/models/{model}/traffic", json=plan)), indent=2))


@app.command()
def monitor(
    context: typer.Context,
    archive: Annotated[Path, typer.Argument(help="The archive whose reference the traffic is compared with.")],
) -> None:
    """Compare the journalled traffic, window by window, with what a model was made for.

    Example: demlopment monitor var/models/digits-4.0.mar
    """
    from demlopment import archive as archives
    from demlopment.lifecycle import observe

    settings = _settings(context)
    model = archives.read(archive)
    traffic = observe.journalled(_home(settings), model.card.name, since=0)
    accuracy = observe.window_accuracy(traffic, settings.monitoring)
    for window, (_, labelled, correct) in zip(observe.drift(traffic, model, settings.monitoring), accuracy, strict=True):
        worst = min(window.tests, key=lambda test: test.p_value)
        known = f"{correct}/{labelled} right" if labelled else "no labels yet"
        state = "ALARM" if window.drifted else "quiet"
        typer.echo(f"{state}  from request {window.start}: smallest p {worst.p_value:.1e} ({worst.name}); {known}")
    typer.echo(f"{len(traffic.predictions)} requests in the journal, {len(accuracy)} full windows.")


@app.command()
def history(context: typer.Context) -> None:
    """List every verdict of this home, the oldest first.

    Example: demlopment history
    """
    from demlopment.lifecycle.history import History

    for entry in History(_home(_settings(context)).history).entries():
        when = datetime.fromtimestamp(entry.at).astimezone().isoformat(timespec="seconds")
        verdict = entry.verdict
        typer.echo(f"{entry.number:4}  {when}  {verdict.kind}: {verdict.decision} {verdict.subject}. {verdict.reason}")


@app.command("settings")
def show_settings(context: typer.Context) -> None:
    """Show every setting with its value.

    Example: demlopment settings
    """
    typer.echo(_settings(context).model_dump_json(indent=2))


if __name__ == "__main__":
    main()
