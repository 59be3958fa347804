"""`demlopment serve` and `demlopment predict`: start the endpoint, and ask it."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from demlopment.commands.client import ask
from demlopment.commands.place import home_of
from demlopment.commands.saying import say
from demlopment.errors import ArchiveError, DataError

if TYPE_CHECKING:
    from demlopment.home import Home
    from demlopment.serving import Addresses
    from demlopment.settings import Endpoint


def serve(
    context: typer.Context,
    models_too: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    until_stdin_closes: Annotated[
        bool, typer.Option(help="For programs: print the addresses as one line of JSON, and stop when standard input closes.")
    ] = False,
    start: Annotated[bool, typer.Option("--start", help="Accepted: serving is what this does, in the foreground.")] = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Accepted: it always stays in the foreground.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the endpoint of this home.")] = False,
    engine: Annotated[
        str | None, typer.Option(help="Who answers: own, or torchserve, the real one, see docs/torchserve.md.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", "-v", help="Show the version and leave.")] = False,
    ts_config: Annotated[Path | None, typer.Option(help="TorchServe's config.properties.")] = None,
    model_store: Annotated[Path | None, typer.Option(help="Where archives are.")] = None,
    models: Annotated[
        list[str] | None, typer.Option(help="Load these too: all, or several of a.mar and name=a.mar.", metavar="MODEL...")
    ] = None,
    no_config_snapshots: Annotated[
        bool, typer.Option("--no-config-snapshots", "--ncs", help="Accepted: snapshot files are never written.")
    ] = False,
    disable_token_auth: Annotated[bool, typer.Option("--disable-token-auth", "--dt", help="Requests need no token.")] = False,
    enable_model_api: Annotated[
        bool, typer.Option("--enable-model-api", help="Clients may register and unregister models.")
    ] = False,
    log_config: Annotated[str | None, typer.Option(help="Not supported.")] = None,
    cpp_log_config: Annotated[str | None, typer.Option(help="Not supported.")] = None,
    workflow_store: Annotated[str | None, typer.Option(help="Not supported.")] = None,
    plugins_path: Annotated[str | None, typer.Option("--plugins-path", "--ppath", help="Not supported.")] = None,
) -> None:
    """Serve every registered model on the three ports until Ctrl-C.

    Takes TorchServe's options too, see docs/torchserve.md.

    Example: DEMLOPMENT_ENDPOINT__INFERENCE_PORT=9080 demlopment serve
    """
    from demlopment.commands import torchserve

    if version:
        torchserve.show_version()
        return
    if stop:
        torchserve.stop(context)
        return
    unsupported = {
        "--log-config": log_config,
        "--cpp-log-config": cpp_log_config,
        "--workflow-store": workflow_store,
        "--plugins-path": plugins_path,
    }
    if models_too and not models:
        raise DataError(f"serve got {models_too[0]!r}, which is no option.", "Name models after --models.")
    if start and not foreground:
        torchserve.warn("--start: the endpoint stays in the foreground; end it with Ctrl-C, or with serve --stop elsewhere.")
    for option, value in unsupported.items():
        if value is not None:
            torchserve.warn(f"{option} is not supported and has no effect.")
    given = torchserve.given(
        engine=engine,
        model_store=model_store,
        models=[*(models or ()), *(models_too or ())],
        disable_token_auth=disable_token_auth,
        enable_model_api=enable_model_api,
    )
    _serve(context, ts_config, given, leash=until_stdin_closes)


def _serve(context: typer.Context, ts_config: Path | None, given: dict[str, Any], *, leash: bool) -> None:
    from demlopment import serving
    from demlopment.commands import torchserve

    configured = torchserve.configured(context, ts_config, given)
    home = home_of(configured.settings)

    def ready(addresses: "Addresses") -> None:
        if leash:
            print(json.dumps(asdict(addresses)), flush=True)
        else:
            _show_curl_lines(addresses, home, configured.settings.endpoint)

    chosen = configured.settings.endpoint
    serve = serving.serve
    if chosen.engine == "torchserve":
        from demlopment.serving.torchserve.frontend import serve
    serve(home, chosen, leash=leash, ready=ready, configuration=configured.file)


def _show_curl_lines(addresses: "Addresses", home: "Home", settings: "Endpoint") -> None:
    from demlopment.serving import tokens

    first = _first_loaded(home, settings.model_store or home.models)
    if first is None:
        say(f"Ready on {addresses.inference}, but {home.root} has no model: run `demlopment demo` or `train` first.")
        return
    name, sample = first
    say("Ready. Paste one of these into another terminal; Ctrl-C stops the endpoint.")
    body = "YOUR_INPUT" if sample is None else shlex.quote(str(sample))
    needed = tokens.required(settings, tokens.static(settings))
    asking, managing = (f' -H "Authorization: Bearer {key}"' if needed else "" for key in ("INFERENCE_KEY", "MANAGEMENT_KEY"))
    say(f"  curl{asking} -T {body} {addresses.inference}/predictions/{name}")
    say(f"  curl{managing} {addresses.management}/models/{name}")
    say(f"  curl {addresses.metrics}/metrics")
    if needed:
        say(f"The keys are in {home.endpoint / tokens.NAME}, until they expire.")


def _first_loaded(home: "Home", store: Path) -> tuple[str, Path | None] | None:
    """A model that is served, and a picture for a first request to it, taken out of its archive if there is one in it."""
    from demlopment import archive
    from demlopment.home import replace
    from demlopment.serving import state

    # The endpoint is in the middle of getting ready and cannot be asked yet; its state says the same.
    served = [(name, model.versions[model.default]) for name, model in state.load(state.path(home)).models.items()]
    for name, version in served:
        if version.kind != "onnx":
            continue
        try:
            content = archive.read(store / version.file)
        except ArchiveError:  # the endpoint has named it, and serves the others
            continue
        path = home.endpoint / "sample.png"
        replace(path, content.sample)
        return name, path
    return next(((name, None) for name, version in served if version.kind != "onnx" and version.served), None)


def predict(
    context: typer.Context,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures of one character each.")],
    model: Annotated[str, typer.Option(help="Which model answers.")] = "digits",
) -> None:
    """Ask the running endpoint what pictures show.

    Example: demlopment predict var/endpoint/sample.png
    """
    path = f"/predictions/{quote(model, safe='')}"
    for picture in pictures:
        said = ask(context, "inference", "POST", path, content=_bytes_of(picture), headers={"accept": "application/json"})
        say(f"{picture}  {said['label']}  {said['confidence']:.1%}  by {said['model']} {said['version']}")


def _bytes_of(picture: Path) -> bytes:
    try:
        return picture.read_bytes()
    except OSError as error:
        raise DataError(f"{picture} cannot be read: {error.strerror}.", "Give the path of a picture.") from error
