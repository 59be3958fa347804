"""`demlopment serve` and `demlopment predict`: start the endpoint, and ask it."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from demlopment.commands.client import ask, running
from demlopment.commands.place import home_of, settings_of
from demlopment.errors import ArchiveError, DataError

if TYPE_CHECKING:
    from demlopment.home import Home
    from demlopment.serving import Addresses


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

    settings = settings_of(context)
    home = home_of(settings)

    def ready(addresses: "Addresses") -> None:
        if until_stdin_closes:
            print(json.dumps(asdict(addresses)), flush=True)
        else:
            _show_curl_lines(addresses, home)

    serving.serve(home, settings.endpoint, leash=until_stdin_closes, ready=ready)


def _show_curl_lines(addresses: "Addresses", home: "Home") -> None:
    first = _first_loaded(home)
    if first is None:
        typer.echo(f"Ready on {addresses.inference}, but {home.root} has no model: run `demlopment demo` or `train` first.")
        return
    name, sample = first
    typer.echo("Ready. Paste one of these into another terminal; Ctrl-C stops the endpoint.")
    typer.echo(f"  curl -T {shlex.quote(str(sample))} {addresses.inference}/predictions/{name}")
    typer.echo(f"  curl {addresses.management}/models/{name}")
    typer.echo(f"  curl {addresses.metrics}/metrics")


def _first_loaded(home: "Home") -> tuple[str, Path] | None:
    """A model that answers, and a picture for a first request to it, taken out of its archive."""
    from demlopment import archive
    from demlopment.home import replace
    from demlopment.serving import state

    # The endpoint is in the middle of getting ready and cannot be asked yet; its state says the same.
    for name, model in state.load(state.path(home)).models.items():
        try:
            content = archive.read(home.models / model.versions[model.default].file)
        except ArchiveError:  # the endpoint has named it, and serves the others
            continue
        path = home.endpoint / "sample.png"
        replace(path, content.sample)
        return name, path
    return None


def predict(
    context: typer.Context,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures of one character each.")],
    model: Annotated[str, typer.Option(help="Which model answers.")] = "digits",
) -> None:
    """Ask the running endpoint what pictures show.

    Example: demlopment predict var/endpoint/sample.png
    """
    inference, path = running(context).inference, f"/predictions/{quote(model, safe='')}"
    for picture in pictures:
        said = ask(inference, "POST", path, content=_bytes_of(picture), headers={"accept": "application/json"})
        typer.echo(f"{picture}  {said['label']}  {said['confidence']:.1%}  by {said['model']} {said['version']}")


def _bytes_of(picture: Path) -> bytes:
    try:
        return picture.read_bytes()
    except OSError as error:
        raise DataError(f"{picture} cannot be read: {error.strerror}.", "Give the path of a picture.") from error
